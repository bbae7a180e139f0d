"""How far the estimate is from published runs, each predicted by rates it had no part in.

The rates that no data sheet gives (the shares of the peak that matrix products and attention reach
inside a training, and the exposed share of communication) are fitted to the other runs; a run's
whole family is left out with it, as two sizes of one series would predict each other.
"""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from megatron_recipes.estimate.published import RUNS, PublishedRun
from megatron_recipes.estimate.rates import Rates, gpu_and_rates
from megatron_recipes.estimate.step_time import estimate

FITTED = ("bf16_share", "fp8_share", "attention_share", "exposed_share")
MIN_SHARE, MAX_SHARE = 0.3, 0.9
"""No kernel is known outside."""
FIRST_FACTOR, LAST_FACTOR = 1.1, 1.001
"""The fit moves a rate up or down by this, ever less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """A published run, and what the estimate says of it."""

    run: PublishedRun
    """The run."""

    published: float
    """Tokens per second and GPU from `PUBLISHED` rates, nothing fitted."""

    held_out: float
    """The same from rates fitted to the runs of all other families."""

    rates: Rates
    """Those."""

    @property
    def error(self) -> float:
        """Of the held-out prediction, relative to what was measured."""
        return self.held_out / self.run.tokens_per_second_per_gpu - 1


def tokens_per_second(run: PublishedRun, rates: Rates) -> float:
    """Return the estimated tokens per second and GPU of a run."""
    gpu, _ = gpu_and_rates(run.work.execution.gpu)
    return estimate(run.work, gpu, rates).tokens_per_second_per_gpu


def fit_rates(runs: Sequence[PublishedRun], start: Rates) -> Rates:
    """Return the rates with the least mean absolute logarithmic error over the runs.

    One rate at a time moves up or down by a factor that shrinks when nothing improves.
    """
    best, least, factor = start, _error(runs, start), FIRST_FACTOR
    while factor > LAST_FACTOR:
        improved = False
        for name, step in itertools.product(FITTED, (factor, 1 / factor)):
            share = getattr(best, name) * step
            if name != "exposed_share" and not MIN_SHARE <= share <= MAX_SHARE:
                continue
            tried = replace(best, **{name: min(share, 1.0)})
            error = _error(runs, tried)
            if error < least:
                best, least, improved = tried, error, True
        if not improved:
            factor = math.sqrt(factor)
    return best


def _error(runs: Sequence[PublishedRun], rates: Rates) -> float:
    return statistics.fmean(
        abs(math.log(tokens_per_second(run, rates) / run.tokens_per_second_per_gpu)) for run in runs
    )


def predictions() -> list[Prediction]:
    """Return every published run with its two predictions."""
    found, by_family = [], {}
    for run in RUNS:
        _, start = gpu_and_rates(run.work.execution.gpu)
        if run.family not in by_family:
            others = [other for other in RUNS if other.family != run.family]
            by_family[run.family] = fit_rates(others, start)
        rates = by_family[run.family]
        found.append(
            Prediction(
                run=run,
                published=tokens_per_second(run, start),
                held_out=tokens_per_second(run, rates),
                rates=rates,
            )
        )
    return found
