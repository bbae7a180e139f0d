"""Which process is slow: its reading and forward passes beside those of its pipeline stage.

All processes end a step together, so the time of a step says nothing of one of them. What each
does alone is to read its data and to compute its forward passes. That is measured in one step of
ten or more, and gathered once then; other steps pay nothing. Tensor parallel processes wait for
each other inside a pass: they are slow together, and named together.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed

SLOW_RATIO = 1.5
"""How many times the median of its stage a process takes that is named."""

LEAST_SECONDS = 0.005
"""Beyond the median; less is the noise of an idle machine."""

LEAST_INTERVAL = 10
"""Steps from one measurement to the next, at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What one process reports of a measured step."""

    seconds: float
    """Reading data and forward passes."""

    stage: int
    """Its pipeline stage: stages differ in their work."""

    memory_bytes: int
    """The most it has held."""


def measured_interval(log_interval: int) -> int:
    """Return the steps between measurements: a multiple of the log's interval.

    >>> [measured_interval(steps) for steps in (1, 4, 50)]
    [10, 12, 50]
    """
    return log_interval * -(-LEAST_INTERVAL // log_interval)


class PassTimer:
    """Measures the forward steps of one training step, without waiting for the device."""

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._spans: list[tuple[Any, Any]] = []

    def timed(self, forward_step: Callable[..., Any]) -> Callable[..., Any]:
        """Return a forward step that is measured."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            start = self._mark()
            result = forward_step(*args, **kwargs)
            self._spans.append((start, self._mark()))
            return result

        return measured

    def _mark(self) -> Any:
        if not self._is_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def seconds(self) -> float:
        """Return the time of the passes; on a GPU they have ended when the gradient norm is."""
        if self._is_cuda:
            return float(sum(start.elapsed_time(end) for start, end in self._spans)) / 1000
        return float(sum(end - start for start, end in self._spans))


def gather(mine: Measurement, device: torch.device) -> list[Measurement]:
    """Return the measurements of all processes by rank; all call this together."""
    values = torch.tensor(
        [mine.seconds, mine.stage, mine.memory_bytes], dtype=torch.float64, device=device
    )
    found = [torch.empty_like(values) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(found, values)
    return [
        Measurement(seconds=row[0], stage=int(row[1]), memory_bytes=int(row[2]))
        for row in torch.stack(found).tolist()
    ]


class Stragglers:
    """Names processes that were slow in two measured steps running: once may be chance."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = hosts
        self._suspects: frozenset[int] = frozenset()

    def figures(self, found: Sequence[Measurement]) -> dict[str, float]:
        """Return what the metrics say of a measured step, over all processes."""
        seconds = [each.seconds for each in found]
        return {
            "most_memory_bytes": max(each.memory_bytes for each in found),
            "pass_seconds_median": statistics.median(seconds),
            "pass_seconds_most": max(seconds),
            "slowest_rank": seconds.index(max(seconds)),
        }

    def lines(self, step: int, found: Sequence[Measurement]) -> list[str]:
        """Return a line for each process that is slow, and was in the measured step before."""
        slow = slow_ranks(found)
        named = [rank for rank in slow if rank in self._suspects]
        self._suspects = frozenset(slow)
        return [
            f"rank {rank} ({self._hosts[rank]}) is slow at step {step}: it reads and passes "
            f"forward in {found[rank].seconds:.3g} s, {found[rank].seconds / slow[rank]:.1f} times "
            f"the median of its pipeline stage ({slow[rank]:.3g} s); the others wait for it"
            for rank in named
        ]


def slow_ranks(found: Sequence[Measurement]) -> dict[int, float]:
    """Return the slow ranks with the median of their stage, in seconds."""
    slow: dict[int, float] = {}
    for stage in {each.stage for each in found}:
        ranks = [rank for rank, each in enumerate(found) if each.stage == stage]
        # Of two the lower one: with their mean neither could be twice the median.
        median = statistics.median_low(found[rank].seconds for rank in ranks)
        limit = max(SLOW_RATIO * median, median + LEAST_SECONDS)
        slow |= {rank: median for rank in ranks if found[rank].seconds > limit}
    return dict(sorted(slow.items()))
