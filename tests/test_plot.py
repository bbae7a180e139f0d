"""`megatron-recipes plot`: what it draws of which runs, and what it says of those it cannot."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from megatron_recipes.plot.figures import draw_all
from megatron_recipes.plot.runs import read_runs, smoothed

PNG = b"\x89PNG\r\n\x1a\n"
FIGURES = [
    "grad_norm.png",
    "held_out_loss.png",
    "learning_rate.png",
    "loss.png",
    "memory_bytes.png",
    "model_tflops_per_gpu.png",
    "tokens_per_second_per_gpu.png",
]


def step(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "step",
        "step": number,
        "loss": 8 / number,
        "learning_rate": 1e-3,
        "grad_norm": 1.0,
        "tokens_per_second_per_gpu": 1000.0,
        "model_tflops_per_gpu": 0.5,
        "mfu": None,
        "mfu_denominator": "none",
        "memory_bytes": 3e9,
        "consumed_tokens": number * 64,
        "attempt": 1 if number < 5 else 2,
        **changes,
    }


def evaluation(number: int, group: str, loss: float) -> dict[str, Any]:
    return {"kind": "evaluation", "step": number, "group": group, "loss": loss, "tokens": 9}


def write_run(directory: Path, entries: list[dict[str, Any]], end: str = "") -> Path:
    directory.mkdir(parents=True)
    text = "".join(json.dumps(entry) + "\n" for entry in entries) + end
    (directory / "metrics.jsonl").write_text(text)
    return directory


def whole_run(directory: Path, num_steps: int = 100) -> Path:
    steps = [step(number) for number in range(1, num_steps + 1)]
    groups = [evaluation(at, group, 2.5) for at in (0, num_steps) for group in ("agent", "code")]
    return write_run(directory, groups[:2] + steps + groups[2:])


def plot(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "megatron_recipes", "plot", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_runs_become_figures_and_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    runs = [whole_run(tmp_path / "first/run"), whole_run(tmp_path / "second/run", 40)]
    result = plot(*runs, "--output", tmp_path / "out")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path}/out/index.html\n"
    figures = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert figures == FIGURES
    assert all((tmp_path / "out" / name).read_bytes().startswith(PNG) for name in figures)
    page = (tmp_path / "out/index.html").read_text()
    assert page.count("data:image/png;base64,") == len(FIGURES)
    assert not re.search(r"https?://|<script|<link|@import", page)
    # Told apart by as much of their paths as that takes.
    assert re.findall(r'<td><span title="[^"]+">([^<]+)</span>', page) == [
        "first/run",
        "second/run",
    ]
    assert re.search(r"<td>100</td><td>6,400</td><td>0\.0838</td><td>2\.5000</td>", page)


def test_run_of_one_step_and_a_broken_last_line_are_drawn(tmp_path: Path) -> None:
    run = write_run(tmp_path / "one", [step(1)], end='{"kind": "step", "st')
    result = plot(run, "--output", tmp_path / "out", "--x", "tokens")
    assert (result.returncode, result.stderr) == (
        0,
        f"{run}/metrics.jsonl: 1 unreadable lines are left out\n",
    )
    assert (tmp_path / "out/loss.png").read_bytes().startswith(PNG)
    assert not (tmp_path / "out/held_out_loss.png").exists()


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["none"], "{0}/none: expected the directory of a training with metrics.jsonl, found none"),
        (["run", "run"], "{0}/run is named twice; name each run once"),
        (
            ["empty"],
            "{0}/empty/metrics.jsonl: expected at least one step, found none; nothing to plot yet",
        ),
    ],
)
def test_runs_that_cannot_be_drawn_are_one_line(
    tmp_path: Path, names: list[str], line: str
) -> None:
    whole_run(tmp_path / "run", 2)
    write_run(tmp_path / "empty", [evaluation(0, "agent", 3.0)])
    result = plot(*(tmp_path / name for name in names), "--output", tmp_path / "out")
    expected = f"megatron-recipes plot: {line.format(tmp_path)}\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", expected)
    assert not (tmp_path / "out").exists()


def test_resumed_step_counts_once_and_its_place_is_marked(tmp_path: Path) -> None:
    entries = [step(1), step(2), step(3), step(3, attempt=2, loss=7.0), step(4, attempt=2)]
    [run] = read_runs([write_run(tmp_path / "run", entries)])
    assert run.column("loss").tolist() == [8.0, 4.0, 7.0, 2.0]
    assert run.resumptions("step") == [2.0]
    assert run.resumptions("tokens") == [128.0]


def test_what_no_run_has_gets_no_figure_and_what_is_no_number_no_point(tmp_path: Path) -> None:
    entries = [step(number, loss=None if number == 2 else 1.0) for number in range(1, 60)]
    for entry in entries:
        del entry["memory_bytes"]
    [run] = read_runs([write_run(tmp_path / "run", entries)])
    assert numpy.isnan(run.column("loss")[1])
    assert "memory_bytes.png" not in [picture.name for picture in draw_all([run], "step")]


def test_mean_is_around_its_place_and_ends_where_it_would_be_restless() -> None:
    line = smoothed(numpy.arange(20.0), 8)
    assert numpy.isnan(line[[0, 1, 18, 19]]).all()
    assert line[2:18].tolist() == list(range(2, 18))  # a slope is not moved
    assert smoothed(numpy.array([1.0, numpy.nan, 3.0]), 2).tolist()[1] == 2.0
    assert smoothed(numpy.array([5.0]), 60).tolist() == [5.0]
