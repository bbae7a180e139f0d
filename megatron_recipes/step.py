"""One training step: passes, the sums over all processes, the optimizer's update.

What all processes have to know of a step (its loss, whether one was asked to stop) is summed while
the optimizer works. On a GPU nothing waits for the device but the optimizer itself, which needs
the gradient norm: when it has that, the sums, queued before it, have arrived.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed

from megatron_recipes.config import TrainingConfig
from megatron_recipes.data import training_batches
from megatron_recipes.forward import forward_step, run_passes
from megatron_recipes.guards.hang import PASSES, SUMMING, UPDATING, Watchdog
from megatron_recipes.optimizer import prepare_step
from megatron_recipes.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """What a step came to; equal on all processes but for `reports`."""

    loss: float
    """Mean over the tokens of the step."""

    grad_norm: float
    """Before clipping."""

    learning_rate: float
    """Of this step."""

    is_asked_to_stop: bool
    """Whether any process was."""

    reports: list[torch.Tensor]
    """Of this process's micro batches: summed loss and tokens, `[2]`, float64."""


class Sums:
    """Sums of a few numbers over all processes, on their way to this one."""

    def __init__(self, values: torch.Tensor) -> None:
        """Begin to sum `values` (float64, on the device) in place."""
        self._values = values
        self._work = torch.distributed.all_reduce(values, async_op=True)
        self._host, self._arrival = values, None
        if values.is_cuda:
            self._work.wait()  # the stream waits, this process does not
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrival.record()

    def wait(self) -> list[float]:
        """Return the sums."""
        if self._arrival is None:
            self._work.wait()
        else:
            self._arrival.synchronize()
        found: list[float] = self._host.tolist()
        return found


class TrainStep:
    """The parts of a training that make a step."""

    def __init__(
        self,
        config: TrainingConfig,
        world: World,
        dataset: Any,
        chunks: list[Any],
        optimizer: Any,
        watchdog: Watchdog,
    ) -> None:
        self._config, self._world, self._dataset = config, world, dataset
        self._chunks, self._optimizer, self._watchdog = chunks, optimizer, watchdog
        self._num_microbatches = config.batch.num_microbatches(config.layout)

    def run(
        self, step: int, *, is_asked: bool, passes: Callable[..., Any] = forward_step
    ) -> StepResult:
        """Train one step; all processes call this together.

        Args:
            step: Its number, the first being 1.
            is_asked: Whether this process was asked to stop.
            passes: `forward_step`, possibly measured.
        """
        self._watchdog.beat(step, PASSES)
        rate = prepare_step(self._config, self._optimizer, step)
        for chunk in self._chunks:
            chunk.zero_grad_buffer()
        self._optimizer.zero_grad()
        consumed = (step - 1) * self._config.batch.global_batch_size
        batches = training_batches(self._dataset, self._config, self._world, consumed)
        reports = run_passes(
            self._watchdog.reading(batches),
            self._num_microbatches,
            self._config,
            self._chunks,
            forward_only=False,
            step=passes,
        )
        sums = Sums(self._summands(reports, is_asked=is_asked))
        self._watchdog.now(UPDATING)
        _, grad_norm, _ = self._optimizer.step()
        self._watchdog.now(SUMMING)
        loss, tokens, asked = sums.wait()
        return StepResult(
            loss=loss / tokens,
            grad_norm=float(grad_norm),
            learning_rate=rate,
            is_asked_to_stop=asked > 0,
            reports=reports if self._world.counts_loss else [],
        )

    def _summands(self, reports: list[torch.Tensor], *, is_asked: bool) -> torch.Tensor:
        """Return this process's summed loss, its tokens, and 1 if it was asked to stop."""
        values = torch.zeros(3, dtype=torch.float64, device=self._world.device)
        if reports and self._world.counts_loss:
            torch.sum(torch.stack(reports), dim=0, out=values[:2])
        if is_asked:
            values[2].fill_(1.0)  # not from a tensor of this process: that would wait
        return values


def micro_batch_losses(reports: list[torch.Tensor], world: World) -> dict[tuple[int, int], float]:
    """Return mean losses by replica and number of the micro batch; all call this together."""
    found: list[Any] = [None] * torch.distributed.get_world_size()
    mine = [report.tolist() for report in reports]
    torch.distributed.all_gather_object(found, (world.data_parallel_rank, mine))
    sums: dict[tuple[int, int], tuple[float, float]] = {}
    for replica, pairs in found:  # of context parallel processes each has a part
        for number, (loss, tokens) in enumerate(pairs):
            before = sums.get((replica, number), (0.0, 0.0))
            sums[replica, number] = (before[0] + loss, before[1] + tokens)
    return {place: loss / max(tokens, 1.0) for place, (loss, tokens) in sums.items()}
