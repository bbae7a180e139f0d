"""Where a run puts what it needs for a while: beside its output, or where the environment says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from conftest import Preprocess, write_records

from preprocess.fetch import scratch_directory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    path = tmp_path / "node's own disk"
    path.mkdir()
    return path


def test_outputs_do_not_depend_on_scratch_and_nothing_stays_there(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path, scratch: Path
) -> None:
    write_records(tmp_path / "in.jsonl", [f"the text number {each % 90}" for each in range(200)])
    found = []
    for name, directory in (("with", str(scratch)), ("without", "")):
        environment = {**os.environ, "HEPHAESTUS_FORGE_SCRATCH": directory}
        done = preprocess("dedup", "in.jsonl", f"{name}/unique", env=environment)
        assert done.returncode == 0, done.stderr
        options = ("--tokenizer", tokenizer)
        done = preprocess("tokenize", f"{name}/unique", f"{name}/t", *options, env=environment)
        assert done.returncode == 0, done.stderr
        files = sorted((tmp_path / name / "t").glob("part-*"))
        found.append([file.read_bytes() for file in files])
    assert found[0] == found[1]
    assert len(found[0]) == 4
    assert list(scratch.iterdir()) == []


def test_scratch_that_is_not_there_is_named(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    write_records(tmp_path / "in.jsonl", ["the text", "another text"])
    environment = {**os.environ, "HEPHAESTUS_FORGE_SCRATCH": str(tmp_path / "gone")}
    done = preprocess("tokenize", "in.jsonl", "t", "--tokenizer", tokenizer, env=environment)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert f"{tmp_path}/gone/" in done.stderr


def test_copies_of_addresses_go_there_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    monkeypatch.setenv("HEPHAESTUS_FORGE_SCRATCH", str(scratch))
    assert scratch_directory(tmp_path) == scratch
    monkeypatch.setenv("HEPHAESTUS_FORGE_SCRATCH", "")
    assert scratch_directory(tmp_path) == tmp_path
