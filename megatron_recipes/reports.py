"""What a training tells while it runs: entries for `metrics.jsonl` and other sinks, and lines.

One process does, rank 0; on all others the same calls do nothing.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from megatron_recipes.figures import StepFigures, peak_memory_bytes
from megatron_recipes.job import Job
from megatron_recipes.metrics import MetricsFile, evaluation_line, step_line
from megatron_recipes.sinks import Sink, open_sinks
from megatron_recipes.step import StepResult


class Reports:
    """The metrics and the lines of one attempt."""

    def __init__(
        self, job: Job, attempt: int, resumed_step: int, *, tells: bool, tell: Callable[[str], None]
    ) -> None:
        """Open the sinks behind `resumed_step`, -1 for a training that begins.

        Args:
            job: The training.
            attempt: The number of this start.
            resumed_step: The last step whose metrics stay.
            tells: Whether this process is the one that does.
            tell: Prints a line.
        """
        self._config, self._attempt = job.config, attempt
        self._tells, self._tell = tells, tell
        self._first_step = max(resumed_step, 0)
        self._started = time.monotonic()
        self._figures = StepFigures(job.config)
        self._file: MetricsFile | None = None
        self._sinks: list[Sink] = []
        if tells:
            self._file = MetricsFile(job.run.metrics, resumed_step)
            self._sinks = open_sinks(job.sinks, job.run.path, resumed_step, job.identity())

    def start_clock(self) -> None:
        """Count the time of the steps from now on."""
        self._started = time.monotonic()

    def tell(self, lines: str | Iterable[str]) -> None:
        """Print a line, or several."""
        if self._tells:
            for line in [lines] if isinstance(lines, str) else lines:
                self._tell(line)

    def entry(self, step: int, result: StepResult, seconds: float) -> dict[str, Any]:
        """Return what the metrics say of a step."""
        elapsed = time.monotonic() - self._started
        mean = elapsed / max(step - self._first_step, 1)
        return {
            "kind": "step",
            "step": step,
            "loss": result.loss,
            "learning_rate": result.learning_rate,
            "grad_norm": result.grad_norm,
            **self._figures.of(seconds),
            "memory_bytes": peak_memory_bytes(),
            "seconds": seconds,
            "seconds_left": (self._config.last_step - step) * mean,
            "consumed_tokens": step * self._config.batch.tokens_per_step,
            "attempt": self._attempt,
        }

    def step(
        self, step: int, result: StepResult, seconds: float, measured: dict[str, float]
    ) -> None:
        """Report a step that is good, with what was measured on all processes, if anything."""
        if not self._tells:
            return
        entry = self.entry(step, result, seconds) | measured
        self._write(entry)
        is_logged = step % self._config.schedule.log_interval == 0
        if is_logged or step in (1, self._config.last_step):
            self._tell(step_line(entry, self._config))

    def evaluation(self, step: int, group: str, loss: float, tokens: int) -> None:
        """Report the held-out loss of a group."""
        if not self._tells:
            return
        entry = {"kind": "evaluation", "step": step, "group": group, "loss": loss, "tokens": tokens}
        self._write(entry)
        self._tell(evaluation_line(entry))

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file:
            self._file.write(entry)
        for sink in self._sinks:
            sink.write(entry)

    def sync(self) -> None:
        """Wait until the metrics are on the disk: a checkpoint never knows more than they do."""
        if self._file:
            self._file.sync()

    def close(self) -> None:
        """Write the rest."""
        if self._file:
            self._file.close()
        for sink in self._sinks:
            sink.close()
