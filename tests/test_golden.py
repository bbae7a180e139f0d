"""Every file of the agent datasets gives what the table says, and all of it is accounted for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import golden
import pytest
import zstandard

from preprocess.readers import READERS

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess

AGENT_DATASETS = [line.split("/")[0] for line in golden.TABLE.read_text().splitlines()]


@pytest.mark.shared
def test_every_file_gives_what_the_table_says(shared: Path) -> None:
    expected = golden.TABLE.read_text(encoding="utf-8").splitlines()
    assert golden.table(shared / "data/agent") == expected


@pytest.mark.shared
@pytest.mark.parametrize("dataset", sorted(set(AGENT_DATASETS)))
def test_a_run_accounts_for_every_native_record(
    dataset: str, shared: Path, tmp_path: Path, preprocess: Preprocess
) -> None:
    done = preprocess(
        "ingest", shared / "data/agent" / dataset, "out", "--dataset", dataset,
        "--licenses", "any", "--max-rejected", "1", "--workers", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "out/manifest.json").read_text())["counts"]
    assert counts["in"] == counts["out"] + sum(counts["dropped"].values())
    lines = [
        line for line in golden.TABLE.read_text().splitlines() if line.startswith(f"{dataset}/")
    ]
    assert counts["native"] == sum(_of(line, "native") for line in lines)
    assert counts["out"] == sum(_of(line, "out") for line in lines)
    rejected = tmp_path / "out/rejected.jsonl.zst"
    found = []
    if rejected.exists():
        with zstandard.open(rejected) as file:
            found = file.read().splitlines()
    assert len(found) == sum(counts["rejected"].values())
    assert all({"origin", "reason", "raw"} <= json.loads(line).keys() for line in found)


def _of(line: str, what: str) -> int:
    for part in line.partition("\t")[2].split("; "):
        name, _, count = part.rpartition(" ")
        if name == what:
            return int(count)
    return 0


def test_every_agent_dataset_is_in_the_table() -> None:
    local = {"python_api", "source_code", "package_text", "web", "jsonl", "bfcl_v1"}
    assert set(READERS) - local == set(AGENT_DATASETS)
