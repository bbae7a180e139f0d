"""The training loop of one process: resume, evaluate, step, save, stop when asked.

Megatron-Core computes; this module decides when. All processes run it in step: whatever is
decided is decided from numbers that are equal everywhere.
"""

import datetime
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch.distributed

from megatron_recipes.active import require_active, require_chosen_attention
from megatron_recipes.checkpoints.checkpointer import Checkpointer
from megatron_recipes.checkpoints.content import newest_sound_checkpoint, require_sound
from megatron_recipes.checkpoints.master_weights import FP8_WEIGHTS
from megatron_recipes.data import build_datasets
from megatron_recipes.figures import peak_memory_bytes
from megatron_recipes.forward import connect_schedule, evaluate, forward_step
from megatron_recipes.guards.bad_step import describe_bad_step, known_bad_steps
from megatron_recipes.guards.garbage import GarbageCollection
from megatron_recipes.guards.hang import EVALUATING, SAVING, STARTING, Watchdog
from megatron_recipes.guards.loss_guard import MEMORY, LossGuard
from megatron_recipes.guards.stragglers import (
    Measurement,
    PassTimer,
    Stragglers,
    gather,
    measured_interval,
)
from megatron_recipes.guards.watch import open_watchdog
from megatron_recipes.job import Job
from megatron_recipes.metrics import evaluated_groups, recent_losses
from megatron_recipes.model import build_model
from megatron_recipes.model_identity import layout_sizes, model_identity
from megatron_recipes.optimizer import build_optimizer
from megatron_recipes.reports import Reports
from megatron_recipes.run_directory import HF_FILES, Checkpoint
from megatron_recipes.start_lines import start_lines
from megatron_recipes.step import StepResult, TrainStep, micro_batch_losses
from megatron_recipes.stop import StopRequest
from megatron_recipes.tuning.checks import conversation_lines
from megatron_recipes.tuning.groups import MULTIPLE, kept_multiple
from megatron_recipes.world import World, gathered, join_world, leave_world


def train(job: Job, stop: StopRequest, attempt: int, tell: Callable[[str], None]) -> None:
    """Train until the last step, a requested stop, or an error; every process calls this.

    Args:
        job: The training; its directory is prepared.
        stop: Noted signals.
        attempt: The number of this start.
        tell: Prints a line for the person who watches.

    Raises:
        FloatingPointError: A step was bad.
        ValueError: The data or the weights to start from do not fit the config.
    """
    schedule = job.config.schedule
    # The watchdog speaks first: it knows more than the collective that times out.
    patience = datetime.timedelta(seconds=2 * schedule.hang_timeout_seconds + 60)
    world = join_world(job.config.layout, schedule.seed, patience)
    hosts = gathered(socket.gethostname())
    watchdog = open_watchdog(job, world.rank, hosts, attempt, tell)
    try:
        Training(job, world, stop, attempt, tell, watchdog, Stragglers(hosts)).run()
    finally:
        watchdog.close()
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
        watchdog: Watchdog,
        stragglers: Stragglers,
    ) -> None:
        self.job, self.config, self.world, self.stop = job, job.config, world, stop
        self.tell = tell
        self.watchdog, self.stragglers = watchdog, stragglers
        self.checkpoint, self.start_from, losses, self.evaluated = self._find_checkpoints()
        self.step = self.checkpoint.step if self.checkpoint else 0
        self.saved_step = self.checkpoint.step if self.checkpoint else -1
        self.guard = LossGuard(self.config.schedule.loss_spike_factor, losses)
        self.multiple = kept_multiple(self.config, self.checkpoint)
        self.datasets = build_datasets(self.config, job.blend, job.cache, multiple=self.multiple)
        of_conversations = self._conversation_lines()  # refused before weights are read
        watchdog.beat(self.step, STARTING)
        is_fresh = self.checkpoint is None and self.start_from is None
        self.chunks = build_model(self.config, world, draws_weights=is_fresh)
        self.optimizer = build_optimizer(self.config, self.chunks)
        self.checkpointer = Checkpointer(
            job.run, self.config, self.chunks, self.optimizer, world, tell
        )
        watchdog.beat(self.step, STARTING)
        self._restore()
        connect_schedule(self.chunks, self.optimizer)
        self.train_step = TrainStep(
            self.config, world, self.datasets.train, self.chunks, self.optimizer, watchdog
        )
        self.garbage = GarbageCollection(self.config.execution.garbage_collection_interval)
        self.reports = Reports(job, attempt, self.saved_step, tells=world.rank == 0, tell=tell)
        self.measured_interval = measured_interval(self.config.schedule.log_interval)
        self.reports.tell(start_lines(job, world, self.datasets, self.checkpoint, self.start_from))
        self.reports.tell(of_conversations)
        active = require_active(self.config, self.chunks, self.optimizer)
        self.reports.tell(f"active: {line}" for line in active)
        self.names_attention = False
        self.reports.tell(known_bad_steps(job.run.path, self.step))

    def _find_checkpoints(
        self,
    ) -> tuple[Checkpoint | None, Checkpoint | None, list[float], list[str]]:
        """Return the newest sound checkpoint, the one to begin with, and what the metrics say.

        That is the last losses, and the groups that were evaluated at the checkpoint's step.
        """
        checkpoint = newest_sound_checkpoint(self.job.run, self.tell)
        step = checkpoint.step if checkpoint else -1
        # From rank 0, as each process may have seen another newest one of the other training.
        found: list[Any] = [
            self.job.start_from,
            recent_losses(self.job.run.metrics, step, MEMORY) if self.world.rank == 0 else [],
            evaluated_groups(self.job.run.metrics, step) if self.world.rank == 0 else [],
        ]
        torch.distributed.broadcast_object_list(found, src=0)
        if checkpoint is None and found[0]:
            require_sound(found[0])
        return checkpoint, *found

    def _conversation_lines(self) -> list[str]:
        """Return what is to be known of conversations; every process refuses what one does."""
        if not self.config.batch.pack_conversations:
            return []
        places = [self.job.run.path]
        if self.start_from:
            places += [self.start_from.path, self.start_from.path.parent]
        return conversation_lines(
            self.datasets.train,
            [place / HF_FILES for place in places],
            eod_id=self.job.blend.eod_id,
            shows=self.world.rank == 0 and self.checkpoint is None,
        )

    def _restore(self) -> None:
        if self.checkpoint:
            self.checkpointer.load(self.checkpoint)
        elif self.start_from:
            self.checkpointer.load_weights(self.start_from)
        else:
            for chunk in self.chunks:
                chunk.broadcast_params()

    def run(self) -> None:
        """Train from where the training stands to its last step, or to a requested stop."""
        if not self.checkpoint or self._is_due(self.config.schedule.evaluation_interval):
            self._evaluate(self.evaluated)
        is_stopping = False
        self.reports.start_clock()
        with self.garbage:
            while self.step < self.config.last_step and not is_stopping:
                is_stopping = self.advance()
        if self.saved_step < self.step:
            self._save()
        self.watchdog.beat(self.step, SAVING)
        self.checkpointer.wait()
        self._finish(is_stopping)

    def advance(self) -> bool:
        """Train the next step, with all that is due after it; return whether to stop."""
        # After the last step a training ends in any case, evaluated and `DONE`.
        is_stopping = self._train_one_step() and self.step < self.config.schedule.num_steps
        if not self.names_attention:  # which is chosen by the first forward pass
            self.reports.tell(require_chosen_attention(self.config))
            self.names_attention = True
        self.checkpointer.poll()
        if is_stopping:  # whoever asks may not wait for long: the next start evaluates
            self._save()
        elif self._is_due(self.config.schedule.evaluation_interval):
            self._evaluate()
        if self.saved_step < self.step and self._is_due(self.config.schedule.checkpoint_interval):
            self._save()
        self.garbage.after_step(self.step)
        return is_stopping

    def _is_due(self, interval: int) -> bool:
        is_last = self.step == self.config.schedule.num_steps
        return is_last or (interval > 0 and self.step % interval == 0)

    def _train_one_step(self) -> bool:
        """Train the next step and report it; return whether any process was asked to stop."""
        started = time.monotonic()
        step = self.step + 1
        timer = PassTimer(self.world.device) if step % self.measured_interval == 0 else None
        result = self.train_step.run(
            step,
            is_asked=bool(self.stop.signal_name),
            passes=timer.timed(forward_step) if timer else forward_step,
        )
        reason = self.guard.badness(result.loss, result.grad_norm)
        if reason:
            self._end_at_bad_step(step, result, reason)
        self.step = step
        seconds = time.monotonic() - started
        measured = self._look_for_stragglers(timer) if timer else {}
        self.reports.step(step, result, seconds, measured)
        return result.is_asked_to_stop

    def _look_for_stragglers(self, timer: PassTimer) -> dict[str, float]:
        mine = Measurement(
            seconds=timer.seconds(),
            stage=self.world.pipeline_model_parallel_rank,
            memory_bytes=peak_memory_bytes(),
        )
        found = gather(mine, self.world.device)
        self.reports.tell(self.stragglers.lines(self.step, found))
        return self.stragglers.figures(found)

    def _end_at_bad_step(self, step: int, result: StepResult, reason: str) -> None:
        """Name the batch and end the training; nothing of the step is kept.

        Raises:
            FloatingPointError: Always, with the same line on all processes.
        """
        self.checkpointer.wait()  # one of an earlier step, which is good
        losses = micro_batch_losses(result.reports, self.world)
        line: list[Any] = [None]
        if self.world.rank == 0:
            self.reports.close()
            newest, _ = self.job.run.newest_checkpoint()
            line[0] = describe_bad_step(
                self.job.run.path,
                self.config,
                self.job.blend,
                self.datasets.train,
                self.reports.entry(step, result, 1.0),
                reason,
                newest.path if newest else None,
                losses,
            )
        torch.distributed.broadcast_object_list(line, src=0)
        raise FloatingPointError(line[0])

    def _evaluate(self, known: Sequence[str] = ()) -> None:
        def watched(batches: Any) -> Any:
            for batch in batches:
                self.watchdog.beat(self.step, EVALUATING)
                yield batch

        for group, dataset in self.datasets.valid.items():
            if group in known:
                continue
            self.watchdog.beat(self.step, EVALUATING)
            loss, tokens = evaluate(dataset, self.config, self.chunks, self.world, watched)
            self.reports.evaluation(self.step, group, loss, tokens)

    def _save(self) -> None:
        self.watchdog.beat(self.step, SAVING)
        self.reports.sync()
        state = {
            "step": self.step,
            "consumed_samples": self.step * self.config.batch.global_batch_size,
            "consumed_tokens": self.step * self.config.batch.tokens_per_step,
            "model": model_identity(self.config),
            "layout": layout_sizes(self.config),
            "use_distributed_optimizer": self.config.layout.use_distributed_optimizer,
            FP8_WEIGHTS: self.config.precision.fp8_param_gather,
            "tokenizer": self.job.blend.tokenizer,
        }
        if self.config.batch.pack_conversations:
            state[MULTIPLE] = self.multiple
        self.checkpointer.save(state)
        self.saved_step = self.step

    def _finish(self, is_stopping: bool) -> None:
        self.reports.close()
        num_steps = self.config.schedule.num_steps
        if self.step == num_steps:
            if self.world.rank == 0:
                self.job.run.done.write_text(f"{self.step}\n", encoding="utf-8")
            self.reports.tell(f"done: {self.job.run.done}")
            return
        reason = f"asked to by {self.stop.signal_name or 'a signal'}"
        self.reports.tell(
            f"stopped at step {self.step} of {num_steps}, "
            f"{reason if is_stopping else 'as stop_at_step says'}; the same command resumes"
        )
