"""`make demo` itself, on a small part of the standard library and for few steps."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """The demo's plan, its inputs and its training cut down; nothing else is changed."""
    content = (ROOT / "plans/demo.toml").read_text()
    small = [
        ('"runs/demo"', f'"{tmp_path}/run"'),
        ('"{stdlib}"', '"{stdlib}/email"', 2),
        ('"{stdlib}"', f'"{tmp_path}/texts"'),
        ('"{site_packages}"', '"{site_packages}/griffe"'),
        ('"{site_packages}"', '"{site_packages}/packaging-*.dist-info"'),
        ("vocab_size = 16384", "vocab_size = 1024"),
        (
            "num_steps = 100, global_batch_size = 16",
            "num_steps = 16, lr_warmup_steps = 2, checkpoint_interval = 4",
        ),
        ("holdout = 0.05", "holdout = 0.3"),
    ]
    for old, new, *count in small:
        assert old in content, old
        content = content.replace(old, new, *(count or [1]))
    path = tmp_path / "small.toml"
    path.write_text(content)
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(40):
        words = " ".join(f"word{number * each % 97} and" for each in range(300))
        (texts / f"README{number}.md").write_text(f"# Text {number}\n\n{words}.\n")
    return path


def test_make_demo_ends_in_a_trained_model_and_a_page(plan: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        ["make", "demo", f"PLAN={plan}"],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "run"
    assert (run / "tiny/DONE").exists()
    lines = [json.loads(line) for line in (run / "tiny/metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert [line["step"] for line in steps] == list(range(1, 17)), "each step stands there once"
    assert {line["attempt"] for line in steps} == {1, 2}, "it was killed once and resumed"
    held_out = {
        (line["group"], line["step"]): line["loss"]
        for line in lines
        if line["kind"] == "evaluation"
    }
    for group in ("agent", "code", "text"):
        assert held_out[group, 16] < held_out[group, 0]
    blend = json.loads((run / "blend.json").read_text())
    weights = {part["group"]: part["weight"] for part in blend["train"]}
    assert weights == {"agent": 0.36, "code": 0.32, "text": 0.32}
    page = (run / "report/report.html").read_text()
    assert len(page) > 100_000
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page), "opens without network"
    assert "Done in" in done.stderr
    assert f"{run}:" in done.stderr


def test_a_second_plan_is_ones_own_data(tmp_path: Path, preprocess: object) -> None:
    from conftest import write_records

    write_records(tmp_path / "mine.jsonl", [f"my own text number {each}" for each in range(300)])
    (tmp_path / "mine.toml").write_text(
        """
[run]
directory = "out"

[[stage]]
name = "records"
command = "ingest"
input = "${MINE}"
options = { dataset = "jsonl", text_field = "text" }

[[stage]]
name = "unique"
command = "dedup"
input = "records"
options = { threshold = 0.9 }
"""
    )
    environment = {**os.environ, "MINE": "mine.jsonl"}
    done = preprocess("run", "mine.toml", env=environment)  # type: ignore[operator]
    assert done.returncode == 0, done.stderr
    assert "[1/2] preprocess ingest mine.jsonl out/records --dataset jsonl" in done.stderr
    manifest = json.loads((tmp_path / "out/unique/manifest.json").read_text())
    assert manifest["config"]["threshold"] == 0.9
    again = preprocess("run", "mine.toml", env=environment)  # type: ignore[operator]
    assert again.returncode == 0, again.stderr
    done = preprocess("run", "mine.toml")  # type: ignore[operator]
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "expected the environment variable MINE of '${MINE}', it is not set" in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("[run]", "[rum]"),
            "the plan: expected run, slurm, stage, training, found 'rum'; remove it",
        ),
        (('command = "dedup"', 'command = "dance"'), "expected a command of blend, dedup, ingest"),
        (('name = "unique"', 'name = "records"'), "expected each name once, records is there"),
        (("input", "imput"), "[[stage]] records: expected command, input, name, options, found"),
        (("[run]", "[run"), "expected a plan in TOML, but"),
        (('[run]\ndirectory = "out"', "run = 5"), "[run]: expected a table, found 5"),
        (('input = "a"', "input = [5]"), "expected a name, a path or a list of them as input"),
        (('input = "a"', "options = 5"), "[[stage]] records: options: expected a table, found 5"),
        (('command = "dedup"', "command = [1]"), "[[stage]] unique: expected a command of blend"),
    ],
)
def test_a_wrong_plan_is_one_line(
    tmp_path: Path, preprocess: object, change: tuple[str, str], message: str
) -> None:
    content = """
[run]
directory = "out"

[[stage]]
name = "records"
command = "ingest"
input = "a"

[[stage]]
name = "unique"
command = "dedup"
input = "records"
"""
    (tmp_path / "plan.toml").write_text(content.replace(*change))
    done = preprocess("run", "plan.toml")  # type: ignore[operator]
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stages", ["stage = 5", '[stage]\nname = "x"', "stage = [5]"])
def test_stages_that_are_no_tables_are_one_line(
    tmp_path: Path, preprocess: object, stages: str
) -> None:
    (tmp_path / "plan.toml").write_text(f'run = {{ directory = "out" }}\n{stages}\n')
    done = preprocess("run", "plan.toml")  # type: ignore[operator]
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "[[stage]]" in done.stderr
    assert "a bug of ours" not in done.stderr


def test_the_demo_needs_a_training(tmp_path: Path) -> None:
    plan = tmp_path / "no training.toml"
    plan.write_text('[run]\ndirectory = "out"\n')
    done = subprocess.run(
        [ROOT / "scripts/demo.sh", plan], text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "no training.toml: expected a [[training]] with a name and num_steps" in done.stderr
