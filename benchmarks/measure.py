"""Timing in CPU-seconds of this process and its children, and the text that is measured on."""

from __future__ import annotations

import json
import resource
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from preprocess.readers.lines import read_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One measurement."""

    what: str
    who: str
    is_ours: bool
    text_bytes: int
    cpu_seconds: float
    """The least of the runs."""
    agreement: str = ""
    """What was compared, and how it came out."""

    @property
    def rate(self) -> float:
        """MB of text per CPU-second."""
        return self.text_bytes / 1e6 / self.cpu_seconds

    def to_json(self) -> dict[str, Any]:
        """Return all of it, with the rate."""
        return {**asdict(self), "megabytes_per_cpu_second": round(self.rate, 2)}


def cpu_seconds() -> float:
    """Return the CPU time of this process and its ended children, user and system."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure[T](runs: int, job: Callable[[], T]) -> tuple[float, T]:
    """Return the least CPU time of several runs, and what the last one gave."""
    least = float("inf")
    for _ in range(runs):
        before = cpu_seconds()
        outcome = job()
        least = min(least, cpu_seconds() - before)
    return least, outcome


def load_texts(path: Path, limit_bytes: int) -> list[str]:
    """Return texts from the beginning of a record file, up to a number of UTF-8 bytes."""
    texts = []
    left = limit_bytes
    for line in read_lines(path):
        text = json.loads(line.data)["text"]
        texts.append(text)
        left -= len(text.encode())
        if left <= 0:
            break
    return texts
