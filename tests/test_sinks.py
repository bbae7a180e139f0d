"""Where metrics go: the file that is always written, and what is written beside it if asked for."""

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from blend_files import write_blend
from test_training import command, run

from megatron_recipes.metrics import MetricsFile, recent_losses
from megatron_recipes.sinks import SinkOptions, open_sinks, scalars

STEP = {
    "kind": "step",
    "step": 3,
    "loss": 2.5,
    "mfu": None,
    "mfu_denominator": "none",
    "attempt": 1,
}
EVALUATION = {"kind": "evaluation", "step": 3, "group": "code", "loss": 2.0, "tokens": 64}


def test_numbers_of_an_entry_get_names_of_their_own() -> None:
    assert list(scalars(STEP)) == [("train/loss", 2.5)]
    assert list(scalars(EVALUATION)) == [("valid/code/loss", 2.0)]


def test_resumed_metrics_have_each_step_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = MetricsFile(path, -1)
    for number in range(1, 8):
        first.write({"kind": "step", "step": number, "loss": float(number)})
    first.close()
    with path.open("a") as file:
        file.write('{"kind": "step", "step": 8, "lo')
    assert recent_losses(path, 5, 3) == [3.0, 4.0, 5.0]
    second = MetricsFile(path, 5)
    second.write({"kind": "step", "step": 6, "loss": 60.0})
    second.close()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(entry["step"], entry["loss"]) for entry in entries] == [
        *((number, float(number)) for number in range(1, 6)),
        (6, 60.0),
    ]


@pytest.mark.parametrize(
    ("arguments", "option", "package"),
    [(["--tensorboard"], "--tensorboard", "tensorboard"), (["--wandb", "p"], "--wandb", "wandb")],
)
def test_missing_package_is_one_line_before_anything_starts(
    tmp_path: Path, arguments: list[str], option: str, package: str
) -> None:
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed here")
    blend = write_blend(tmp_path / "data")
    options = ["--blend", blend, "--checkpoint-dir", tmp_path / "run", *arguments]
    result = run(command("train", "tiny", *options))
    assert (result.returncode, result.stdout, result.stderr) == (
        1,
        "",
        f"megatron-recipes train: {option} needs the package {package}, which is not installed; "
        f"pip install {package}, or leave the option out\n",
    )
    assert not (tmp_path / "run").exists()


class Recorder:
    """Stands for a run of Weights & Biases and for a writer of TensorBoard."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.calls: list[Any] = [(arguments, options)]

    def log(self, values: dict[str, float], step: int) -> None:
        self.calls.append((values, step))

    def add_scalar(self, *arguments: Any) -> None:
        self.calls.append(arguments)

    def finish(self) -> None:
        self.calls.append("closed")

    close = finish


def opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: SinkOptions, step: int
) -> list[Any]:
    """What the package is told by two entries behind a step."""
    made: list[Recorder] = []

    def make(*arguments: Any, **given: Any) -> Recorder:
        made.append(Recorder(*arguments, **given))
        return made[-1]

    wandb, board = types.ModuleType("wandb"), types.ModuleType("torch.utils.tensorboard")
    wandb.init = make  # type: ignore[attr-defined]
    board.SummaryWriter = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    [sink] = open_sinks(options, tmp_path, step, {"recipe": "tiny"})
    for entry in (STEP, EVALUATION):
        sink.write(entry)
    sink.close()
    return made[0].calls


def test_tensorboard_forgets_what_came_after_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert opened(monkeypatch, tmp_path, SinkOptions(tensorboard=True), 2) == [
        ((str(tmp_path / "tensorboard"),), {"purge_step": 3}),
        ("train/loss", 2.5, 3),
        ("valid/code/loss", 2.0, 3),
        "closed",
    ]


def test_resumed_training_is_the_same_run_of_weights_and_biases(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = SinkOptions(wandb_project="forge")
    first = opened(monkeypatch, tmp_path, options, -1)
    (_, given) = first[0]
    assert (given["project"], given["resume"]) == ("forge", "allow")
    assert (given["name"], given["config"]) == (tmp_path.name, {"recipe": "tiny"})
    assert first[1:] == [({"train/loss": 2.5}, 3), ({"valid/code/loss": 2.0}, 3), "closed"]
    assert opened(monkeypatch, tmp_path, options, 2)[0][1]["id"] == given["id"]
    assert opened(monkeypatch, tmp_path / "x", options, 2)[0][1]["id"] != given["id"]
