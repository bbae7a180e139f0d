"""What trainings left in their `metrics.jsonl`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from preprocess.report.stages import Plan

METRICS = "metrics.jsonl"
DONE = "DONE"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One optimizer update."""

    step: int
    loss: float
    learning_rate: float = float("nan")
    grad_norm: float = float("nan")
    tokens_per_second: float = float("nan")
    seconds: float = 0.0
    consumed_tokens: int = 0
    attempt: int = 0
    """Counts the starts of the run."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Loss on the held-out part of one group."""

    step: int
    group: str
    loss: float
    """Natural logarithm, mean over the tokens."""
    tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """One directory with metrics, or a training that the plan names and nobody began."""

    name: str
    directory: Path
    blend: str | None
    """As the plan writes it; None where no plan says."""
    steps: tuple[Step, ...]
    """Ascending, each once: what a resumed run trained again counts."""
    evaluations: tuple[Evaluation, ...]
    is_done: bool
    """Whether its last step is trained."""

    @property
    def resumptions(self) -> list[int]:
        """The first step of every attempt but the first."""
        return [
            after.step
            for before, after in zip(self.steps, self.steps[1:], strict=False)
            if after.attempt != before.attempt
        ]

    def before_and_after(self) -> dict[str, tuple[Evaluation, Evaluation | None]]:
        """Return the first and the last evaluation of every group; None where there is but one."""
        groups: dict[str, list[Evaluation]] = {}
        for evaluation in self.evaluations:
            groups.setdefault(evaluation.group, []).append(evaluation)
        return {
            group: (found[0], found[-1] if len(found) > 1 else None)
            for group, found in groups.items()
        }


def read_trainings(run: Path, plan: Plan, notes: list[str]) -> list[Training]:
    """Return the trainings: the plan's in its order, then others that left metrics, by name."""
    found = sorted(path.parent.name for path in run.glob(f"*/{METRICS}"))
    names = [*plan.trainings, *(name for name in found if name not in plan.trainings)]
    return [_read_training(run / name, plan, notes) for name in names]


def _read_training(directory: Path, plan: Plan, notes: list[str]) -> Training:
    steps: dict[int, Step] = {}
    evaluations: dict[tuple[int, str], Evaluation] = {}
    for entry in _entries(directory / METRICS, notes):
        if isinstance(entry, Step):
            steps[entry.step] = entry
        else:
            evaluations[entry.step, entry.group] = entry
    return Training(
        name=directory.name,
        directory=directory,
        blend=plan.blends.get(directory.name),
        steps=tuple(steps[number] for number in sorted(steps)),
        evaluations=tuple(evaluations[key] for key in sorted(evaluations)),
        is_done=any(directory.glob(DONE)) or any(directory.glob(f"*/{DONE}")),
    )


def _entries(path: Path, notes: list[str]) -> list[Step | Evaluation]:
    found: list[Step | Evaluation] = []
    unreadable = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    entry = _entry(json.loads(line))  # json, for it reads the NaN of a lost run
                except (ValueError, msgspec.MsgspecError):
                    unreadable += 1  # the last line of a run that was killed while it wrote
                    continue
                if entry is not None:
                    found.append(entry)
    except FileNotFoundError:
        return []
    except OSError as error:
        notes.append(f"{path}: expected metrics, but {error.strerror}")
    if unreadable:
        notes.append(f"{path}: {unreadable:,} unreadable lines are left out")
    return found


def _entry(value: Any) -> Step | Evaluation | None:
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "step":
        return msgspec.convert(value, Step)
    if kind == "evaluation":
        return msgspec.convert(value, Evaluation)
    return None
