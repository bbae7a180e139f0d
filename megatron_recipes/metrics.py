"""What a run tells: `metrics.jsonl`, and lines for the person who watches.

One object a step: `kind` "step", `step`, `loss`, `learning_rate`, `grad_norm`,
`tokens_per_second` (of all processes), `tokens_per_second_per_gpu`, `model_tflops_per_gpu` by
`flops_formula` (where documents bound attention it counts whole sequences), `mfu` of
`mfu_denominator`, `memory_bytes` (the most rank 0 has held: allocated on its GPU, else resident),
`seconds`, `seconds_left`, `consumed_tokens`, `attempt`; one per group of an evaluation: `kind`
"evaluation", `step`, `group`, `loss`, `tokens`. On a CPU "per GPU" is per process. A resumed run
drops what comes after the checkpoint it resumes from, so that each step stands in the file once.
"""

import contextlib
import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from megatron_recipes.config import TrainingConfig
from megatron_recipes.whole_files import write_whole

GIGA = 1e9


class MetricsFile:
    """`metrics.jsonl`, held open by the process that writes it."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        """Open the file, keeping what was written up to `resumed_step`; -1 keeps nothing."""
        kept = _lines_up_to(path, resumed_step) if path.exists() else []
        write_whole(path, "".join(kept))
        self._path = path
        self._file: TextIO = path.open("a", encoding="utf-8")

    def write(self, entry: dict[str, Any]) -> None:
        """Append one object. It is on the disk when the next checkpoint is."""
        with self._named():
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Wait until everything written is on the disk."""
        with self._named():
            os.fsync(self._file.fileno())

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # which does not say what could not be written
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def close(self) -> None:
        """Write the rest and close the file."""
        self.sync()
        self._file.close()


def _lines_up_to(path: Path, step: int) -> list[str]:
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            break  # the last line of a killed run
        if line.endswith("\n") and entry["step"] <= step:
            kept.append(line)
    return kept


def recent_losses(path: Path, step: int, count: int) -> list[float]:
    """Return the losses of the last `count` steps up to `step`, in their order."""
    lines = _lines_up_to(path, step) if path.exists() else []
    entries = [json.loads(line) for line in lines]
    return [entry["loss"] for entry in entries if entry["kind"] == "step"][-count:]


def evaluated_groups(path: Path, step: int) -> list[str]:
    """Return the groups whose loss after a step is known."""
    lines = _lines_up_to(path, step) if path.exists() else []
    entries = [json.loads(line) for line in lines]
    return [
        entry["group"]
        for entry in entries
        if entry["kind"] == "evaluation" and entry["step"] == step
    ]


def step_line(entry: dict[str, Any], config: TrainingConfig) -> str:
    """Return the line of one step, from its entry in the metrics file."""
    left = str(datetime.timedelta(seconds=round(entry["seconds_left"])))
    each = "process" if config.execution.gpu == "cpu" else "GPU"
    mfu = "" if entry["mfu"] is None else f"  MFU {entry['mfu']:.1%} ({entry['flops_formula']})"
    return (
        f"step {entry['step']}/{config.schedule.num_steps}  loss {entry['loss']:.4f}  "
        f"learning rate {entry['learning_rate']:.2e}  gradient norm {entry['grad_norm']:.3f}  "
        f"{entry['tokens_per_second_per_gpu']:,.0f} tokens/s/{each}  "
        f"{entry['model_tflops_per_gpu']:.3g} TFLOP/s/{each}{mfu}  "
        f"{entry['memory_bytes'] / GIGA:.3g} GB  {left} left"
    )


def evaluation_line(entry: dict[str, Any]) -> str:
    """Return the line of one group's evaluation, from its entry in the metrics file."""
    return (
        f"held-out loss of {entry['group']} at step {entry['step']}: {entry['loss']:.4f} "
        f"over {entry['tokens']:,} tokens"
    )
