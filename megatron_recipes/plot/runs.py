"""The metrics of runs, as columns of numbers."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

METRICS = "metrics.jsonl"
X_AXES = ("step", "tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run."""

    path: Path
    """Its directory."""

    label: str
    """What tells it from the others in a legend: the end of its path."""

    steps: tuple[dict[str, Any], ...]
    """The entry of every step, in their order, each once."""

    evaluations: tuple[dict[str, Any], ...] = ()
    """The entry of every group at every step that was evaluated."""

    notes: tuple[str, ...] = field(default=())
    """What could not be read."""

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a figure of all steps; not a number where a step lacks it."""
        return np.array([_number(entry.get(name)) for entry in self.steps])

    @property
    def tokens_per_step(self) -> float:
        """Tokens of a step; not a number without steps."""
        if not self.steps:
            return math.nan
        return _number(self.steps[-1].get("consumed_tokens")) / int(self.steps[-1]["step"])

    def x(self, axis: str) -> NDArray[np.float64]:
        """Return where the steps lie on an axis, `step` or `tokens`."""
        return self.column("step" if axis == "step" else "consumed_tokens")

    @property
    def groups(self) -> list[str]:
        """The groups evaluated, in their order."""
        return list(dict.fromkeys(str(entry["group"]) for entry in self.evaluations))

    def held_out(self, group: str, axis: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where a group was evaluated, and its losses."""
        found = [entry for entry in self.evaluations if entry["group"] == group]
        factor = 1.0 if axis == "step" else self.tokens_per_step
        places = np.array([entry["step"] * factor for entry in found], float)
        return places, np.array([_number(entry.get("loss")) for entry in found])

    def resumptions(self, axis: str) -> list[float]:
        """Return where later attempts went on: before the first step of each."""
        attempts = self.column("attempt")
        places = self.x(axis)
        later = np.flatnonzero(attempts[1:] != attempts[:-1]) + 1
        return [float(places[place - 1]) for place in later]


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Return the runs in directories, each with a label of its own.

    Raises:
        FileNotFoundError: One has no metrics.
        ValueError: One has metrics without a step, or is named twice.
    """
    files = [(path / METRICS if path.is_dir() else path).resolve() for path in paths]
    for file, path in zip(files, paths, strict=True):
        if not file.is_file():
            raise FileNotFoundError(
                f"{path}: expected the directory of a training with {METRICS}, found none"
            )
        if files.count(file) > 1:
            raise ValueError(f"{path} is named twice; name each run once")
    labels = _labels([file.parent for file in files])
    return [_read_run(file, label) for file, label in zip(files, labels, strict=True)]


def _labels(directories: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell all of them apart."""
    longest = max(len(directory.parts) for directory in directories)
    for depth in range(1, longest):
        labels = ["/".join(directory.parts[-depth:]) for directory in directories]
        if len(set(labels)) == len(labels):
            return labels
    return [str(directory) for directory in directories]


def _read_run(path: Path, label: str) -> Run:
    steps: dict[int, dict[str, Any]] = {}
    evaluations: dict[tuple[int, str], dict[str, Any]] = {}
    unreadable = 0
    for entry in _entries(path):
        kind = entry.get("kind")
        if kind == "step" and isinstance(entry.get("step"), int) and entry["step"] > 0:
            steps[entry["step"]] = entry
        elif kind == "evaluation" and isinstance(entry.get("step"), int) and "group" in entry:
            evaluations[entry["step"], str(entry["group"])] = entry
        elif kind is None:
            unreadable += 1
    if not steps:
        raise ValueError(f"{path}: expected at least one step, found none; nothing to plot yet")
    notes = [f"{path}: {unreadable} unreadable lines are left out"] if unreadable else []
    return Run(
        path=path.parent,
        label=label,
        steps=tuple(steps[step] for step in sorted(steps)),
        evaluations=tuple(evaluations.values()),
        notes=tuple(notes),
    )


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file; an empty one for a line that is none."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # the last line of a run that was killed while it wrote
                entry = {}
            yield entry if isinstance(entry, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def smoothed(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return means over about `width` values around each, over down to half as many at both ends.

    The outermost values have no mean: it would be as restless as they are. What is no number is
    left out of the means.
    """
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0.0], np.cumsum(known)])
    places = np.arange(len(values))
    # The window shrinks on both sides alike: a mean of one side only would lie off a slope.
    half = np.minimum(width // 2, np.minimum(places, len(values) - 1 - places))
    first, after = places - half, places + half + 1
    counted = counts[after] - counts[first]
    means = np.full(len(values), np.nan)
    is_meant = (counted > 0) & (half >= min(width // 4, half.max(initial=0)))
    np.divide(sums[after] - sums[first], counted, out=means, where=is_meant)
    return means
