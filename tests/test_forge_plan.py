"""`plans/forge.toml`, the paper's corpus, on real records of every source."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from preprocess.plan import read_plan
from preprocess.readers import READERS

if TYPE_CHECKING:
    from conftest import Preprocess

PLAN = Path(__file__).resolve().parents[1] / "plans/forge.toml"
STAGES = frozenset(("ingest", "dedup", "tokenize", "blend", "report"))


def test_the_plan_names_readers_and_earlier_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "TOKENIZER", "RUN"):
        monkeypatch.setenv(f"FORGE_{name}", f"/{name}")
    plan = read_plan(PLAN, STAGES)
    read = {
        stage.arguments[stage.arguments.index("--dataset") + 1]
        for stage in plan.stages
        if stage.command == "ingest"
    }
    assert read <= set(READERS)
    (unique,) = (stage for stage in plan.stages if stage.command == "dedup")
    assert set(unique.inputs) == {
        f"/RUN/{stage.name}" for stage in plan.stages if stage.command == "ingest"
    }
    (blend,) = (stage for stage in plan.stages if stage.command == "blend")
    assert [each.rpartition(":")[2] for each in blend.inputs] == ["0.36", "0.32", "0.32"]


def test_an_option_that_is_no_path_is_never_taken_for_a_stage(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "the fox"}\n')
    table = '[[stage]]\nname = "{}"\ncommand = "ingest"\ninput = "in.jsonl"\n'
    options = 'options = { dataset = "jsonl" }\n'
    (tmp_path / "plan.toml").write_text(
        f'[run]\ndirectory = "run"\n{table.format("jsonl")}{options}{table.format("b")}{options}'
    )
    done = preprocess("run", "plan.toml")
    assert (done.returncode, done.stdout.count("complete")) == (0, 2), done.stderr


@pytest.mark.shared
def test_it_runs_whole_on_real_records(
    tmp_path: Path, shared: Path, preprocess: Preprocess
) -> None:
    data = tmp_path / "data"
    for name in ("web", "code"):
        (data / name).mkdir(parents=True)
    for directory in (shared / "data/agent").iterdir():
        if directory.is_dir():
            (data / directory.name).symlink_to(directory)
    page = "<p>The tide tables of the harbour are printed twice a year, in May and October.</p>"
    (data / "web/a.html").write_text(f"<html><body><article>{page * 4}</article></body></html>")
    (data / "code/a.py").write_text("def tide(hour):\n    return hour % 12\n")
    environment = {
        **os.environ,
        "FORGE_DATA": str(data),
        "FORGE_RUN": str(tmp_path / "run"),
        "FORGE_TOKENIZER": str(shared / "tokenizers/gpt2"),
    }
    done = preprocess("run", PLAN, env=environment)
    assert done.returncode == 0, done.stderr
    blend = json.loads((tmp_path / "run/blend.json").read_text())
    assert [each["group"] for each in blend["train"]] == ["agent", "code", "text"]
    card = (tmp_path / "run/report/card.md").read_text()
    for name in ("toolbench", "api_pack", "openapi"):
        assert f"| {name} |" in card
    assert "CC-BY-NC" not in card
