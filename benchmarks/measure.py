"""Time: CPU-seconds of this process and its children, and the wall clock."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


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


def wall(runs: int, job: Callable[[], object]) -> float:
    """Return the least wall time of several runs."""
    least = float("inf")
    for _ in range(runs):
        before = time.perf_counter()
        job()
        least = min(least, time.perf_counter() - before)
    return least
