"""When steps end, as the device that computes them has it.

A step returns as soon as the norm of its gradients is known; on a GPU the optimizer's kernels and
the weights they write are still queued then. So an event is queued behind each step, and the GPU
notes when it comes to it. `torch.cuda.synchronize` would measure the same work and change it: the
queue would run empty at each step, while in a training the next step is prepared meanwhile.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

import torch


class StepClock:
    """Marks between steps, and the seconds from each to the next."""

    def __init__(self, device: torch.device) -> None:
        """Make a clock for the steps of this process; on a CPU it is the system's."""
        self._on_gpu = device.type == "cuda"
        self._marks: list[Any] = []

    def mark(self) -> None:
        """Note, without waiting, when all that was asked of the device so far is done."""
        if self._on_gpu:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._marks.append(event)
        else:  # what was asked is done
            self._marks.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Wait for the last mark, and return the seconds from each mark to the next."""
        pairs = list(itertools.pairwise(self._marks))
        if not self._on_gpu:
            return [after - before for before, after in pairs]
        self._marks[-1].synchronize()
        return [before.elapsed_time(after) / 1000 for before, after in pairs]


def timed_steps(
    run: Callable[[int], float], num_steps: int, clock: StepClock
) -> tuple[list[float], list[float]]:
    """Run steps; return what each returned, and the seconds each took on the device.

    Args:
        run: Runs the step of a number from 0, and returns its loss.
        num_steps: How many.
        clock: Of the device; it has no marks yet.
    """
    clock.mark()
    losses = []
    for number in range(num_steps):
        losses.append(run(number))
        clock.mark()
    return losses, clock.seconds()
