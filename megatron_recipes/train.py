"""The training loop of one process: resume, evaluate, step, save, stop when asked.

Megatron-Core computes; this module decides when. All processes run it in step: whatever is
decided is decided from numbers that are equal everywhere.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed
from megatron.core.optimizer_param_scheduler import get_canonical_lr_for_logging

from megatron_recipes.checkpoint import (
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from megatron_recipes.data import Datasets, build_datasets, training_batches
from megatron_recipes.forward import connect_schedule, evaluate, gather_weights, run_schedule
from megatron_recipes.job import Job
from megatron_recipes.metrics import MetricsFile, evaluation_line, step_line
from megatron_recipes.model import build_model
from megatron_recipes.optimizer import build_optimizer, build_scheduler
from megatron_recipes.run_directory import (
    Checkpoint,
    layout_sizes,
    model_identity,
)
from megatron_recipes.show import num_epochs
from megatron_recipes.stop import StopRequest
from megatron_recipes.world import (
    World,
    join_world,
    leave_world,
    sum_over_world,
    uses_transformer_engine,
)

MANY_EPOCHS = 4
"""Repeating data further than this has been found to gain little: Muennighoff et al., "Scaling
Data-Constrained Language Models" (2023)."""


def train(job: Job, stop: StopRequest, attempt: int, tell: Callable[[str], None]) -> None:
    """Train until the last step, a requested stop, or an error; every process calls this.

    Args:
        job: The training; its directory is prepared.
        stop: Noted signals.
        attempt: The number of this start.
        tell: Prints a line for the person who watches; only rank 0 calls it.

    Raises:
        FloatingPointError: The loss is no number.
        ValueError: The data or the weights to start from do not fit the config.
    """
    world = join_world(job.config.layout, job.config.schedule.seed)
    Training(job, world, stop, attempt, tell).run()
    # Not after an error: the others may wait in a collective, and whoever started them ends them.
    leave_world()


class Training:
    """The parts of a training on one process, and the loop over its steps."""

    def __init__(
        self,
        job: Job,
        world: World,
        stop: StopRequest,
        attempt: int,
        tell: Callable[[str], None],
    ) -> None:
        self.job, self.config, self.world, self.stop = job, job.config, world, stop
        self.attempt, self.tell = attempt, tell
        self.checkpoint, self.start_from = self._find_checkpoints()
        self.step = self.checkpoint.step if self.checkpoint else 0
        self.datasets = build_datasets(self.config, job.blend, job.run.cache)
        self.chunks = build_model(self.config, world)
        self.optimizer = build_optimizer(self.config, self.chunks)
        self._restore()
        self.scheduler = build_scheduler(self.config, self.optimizer, self.step)
        connect_schedule(self.chunks, self.optimizer)
        self.metrics = self._open_metrics()
        self._describe(self.datasets)

    def _find_checkpoints(self) -> tuple[Checkpoint | None, Checkpoint | None]:
        """Return the newest checkpoint of this training, and the one it begins with."""
        # Rank 0 looks, so that processes never resume from different steps when a shared file
        # system shows them different lists.
        found: list[Any] = [None, None]
        if self.world.rank == 0:
            checkpoint, ignored = self.job.run.newest_checkpoint()
            for line in ignored:
                self.tell(line)
            found = [checkpoint, self.job.start_from]
        torch.distributed.broadcast_object_list(found, src=0)
        return found[0], found[1]

    def _restore(self) -> None:
        if self.checkpoint:
            load_checkpoint(self.checkpoint, self.config, self.chunks, self.optimizer)
        elif self.start_from:
            load_weights(self.start_from, self.chunks, self.optimizer)
        else:
            for chunk in self.chunks:
                chunk.broadcast_params()

    def _open_metrics(self) -> MetricsFile | None:
        if self.world.rank:
            return None
        return MetricsFile(self.job.run.metrics, self.step if self.checkpoint else -1)

    def _describe(self, datasets: Datasets) -> None:
        for line in datasets.too_small:
            self._tell(line)
        for group in self.job.blend.train:
            epochs = num_epochs(self.config, group)
            if epochs > MANY_EPOCHS:
                self._tell(f"group {group.name} is read {epochs:.1f} times over")
        if self.checkpoint:
            self._tell(f"resuming from {self.checkpoint.path}")
        elif self.start_from:
            self._tell(f"starting from the weights of {self.start_from.path}")
        layers = "Transformer Engine" if uses_transformer_engine() else "local"
        self._tell(
            f"{torch.distributed.get_world_size()} processes on {self.world.device.type}, "
            f"{layers} layers, {self.config.precision.params_dtype}, "
            f"{'distributed ' if self.config.layout.use_distributed_optimizer else ''}AdamW, "
            f"vocabulary {self.config.model.vocab_size:,} padded to "
            f"{self.config.model.padded_vocab_size:,}"
        )

    def _tell(self, line: str) -> None:
        if self.world.rank == 0:
            self.tell(line)

    def run(self) -> None:
        """Train from where the training stands to its last step, or to a requested stop."""
        if not self.checkpoint:
            self._evaluate()
        is_stopping = False
        saved_step = self.checkpoint.step if self.checkpoint else -1
        started, first = time.monotonic(), self.step
        while self.step < self.config.last_step and not is_stopping:
            entry, is_stopping = self._train_one_step()
            self._report(entry, (time.monotonic() - started) / (self.step - first))
            if self._is_due(self.config.schedule.evaluation_interval):
                self._evaluate()
            if self._is_due(self.config.schedule.checkpoint_interval) or is_stopping:
                saved_step = self._save()
        if saved_step < self.step:
            self._save()
        self._finish(is_stopping)

    def _is_due(self, interval: int) -> bool:
        is_last = self.step == self.config.schedule.num_steps
        return is_last or (interval > 0 and self.step % interval == 0)

    def _train_one_step(self) -> tuple[dict[str, Any], bool]:
        """Return the metrics of the next step, and whether any process was asked to stop."""
        started = time.monotonic()
        batch, consumed = self.config.batch, self.step * self.config.batch.global_batch_size
        for chunk in self.chunks:
            chunk.zero_grad_buffer()
        self.optimizer.zero_grad()
        # The rate of step n is the schedule's at n: the first step is not spent at rate 0.
        self.scheduler.step(1)
        loss, tokens = run_schedule(
            training_batches(self.datasets.train, self.config, self.world, consumed),
            batch.num_microbatches(self.config.layout),
            self.config,
            self.chunks,
            forward_only=False,
        )
        _, grad_norm, _ = self.optimizer.step()
        mine = [loss, tokens] if self.world.counts_loss else [0.0, 0.0]
        loss, tokens, asked = sum_over_world(
            [*mine, float(bool(self.stop.signal_name))], self.world.device
        )
        self.step += 1
        loss /= tokens
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            raise FloatingPointError(
                f"the loss of step {self.step} is {loss}, its gradient norm {grad_norm}; the last "
                f"checkpoint before it stays in {self.job.run.path}; lower learning_rate or look "
                "at the data of this step"
            )
        seconds = time.monotonic() - started
        entry = {
            "kind": "step",
            "step": self.step,
            "loss": loss,
            "learning_rate": get_canonical_lr_for_logging(self.optimizer.param_groups),
            "grad_norm": float(grad_norm),
            "tokens_per_second": batch.tokens_per_step / seconds,
            "seconds": seconds,
            "consumed_tokens": self.step * batch.tokens_per_step,
            "attempt": self.attempt,
        }
        return entry, asked > 0

    def _report(self, entry: dict[str, Any], mean_seconds: float) -> None:
        if self.metrics:
            self.metrics.write(entry)
            is_logged = self.step % self.config.schedule.log_interval == 0
            if is_logged or self.step in (1, self.config.last_step):
                left = (self.config.last_step - self.step) * mean_seconds
                self._tell(step_line(entry, self.config, left))

    def _evaluate(self) -> None:
        for group, dataset in self.datasets.valid.items():
            loss, tokens = evaluate(dataset, self.config, self.chunks, self.world)
            entry = {
                "kind": "evaluation",
                "step": self.step,
                "group": group,
                "loss": loss,
                "tokens": tokens,
            }
            if self.metrics:
                self.metrics.write(entry)
                self._tell(evaluation_line(entry))

    def _save(self) -> int:
        if self.metrics:
            self.metrics.sync()
        state = {
            "step": self.step,
            "consumed_samples": self.step * self.config.batch.global_batch_size,
            "consumed_tokens": self.step * self.config.batch.tokens_per_step,
            "model": model_identity(self.config),
            "layout": layout_sizes(self.config),
            "use_distributed_optimizer": self.config.layout.use_distributed_optimizer,
            "tokenizer": self.job.blend.tokenizer,
        }
        gather_weights(self.chunks)
        path = save_checkpoint(
            self.job.run,
            state,
            self.chunks,
            self.optimizer,
            self.world,
            keep=self.config.schedule.keep_checkpoints,
        )
        self._tell(f"saved {path}")
        return self.step

    def _finish(self, is_stopping: bool) -> None:
        if self.metrics:
            self.metrics.close()
            if self.step == self.config.schedule.num_steps:
                self.job.run.done.write_text(f"{self.step}\n", encoding="utf-8")
                self._tell(f"done: {self.job.run.done}")
            else:
                reason = f"asked to by {self.stop.signal_name or 'a signal'}"
                self._tell(
                    f"stopped at step {self.step} of {self.config.schedule.num_steps}, "
                    f"{reason if is_stopping else 'as stop_at_step says'}; "
                    "the same command resumes"
                )
