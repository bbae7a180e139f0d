"""The learning rate as a function of the step: warm-up, decay, annealing.

It has no state, so a resumed training has the rate of the unbroken one whatever was saved, and
whoever wants the curve can compute it without a training. It equals Megatron-Core's
`OptimizerParamScheduler`; a test holds it against that.
"""

import math
from collections.abc import Callable

from megatron_recipes.config import TrainingConfig

ANNEALS: dict[str, Callable[[float], float]] = {
    "linear": lambda share: 1.0 - share,
    "cosine": lambda share: 0.5 * (math.cos(math.pi * share) + 1.0),
    "exponential": lambda share: 2.0 * 0.5**share - 1.0,
    "minus_sqrt": lambda share: 1.0 - math.sqrt(share),
}
"""Each falls from 1 to 0 as its share of the way goes from 0 to 1. Source: Hägele et al., "Scaling
Laws and Compute-Optimal Training Beyond Fixed Training Durations" (2024), for `minus_sqrt`."""


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the rate of a step, the first being 1.

    The warm-up rises linearly from `lr_warmup_init` and reaches `learning_rate` at its last step;
    the decay reaches `min_learning_rate` at the last step of all. `WSD` keeps the highest rate
    until `lr_wsd_decay_steps` before that, then anneals.
    """
    optimization, num_steps = config.optimization, config.schedule.num_steps
    highest, lowest = optimization.learning_rate, optimization.min_learning_rate
    warmup = optimization.lr_warmup_steps
    if warmup and step <= warmup:
        start = optimization.lr_warmup_init
        return start + (highest - start) * step / warmup
    style = optimization.lr_decay_style
    if style == "constant":
        return highest
    if style == "WSD":
        first, style = num_steps - optimization.lr_wsd_decay_steps, optimization.lr_wsd_decay_style
    else:
        first = warmup
    share = (min(step, num_steps) - first) / (num_steps - first)
    return lowest + (highest - lowest) * (ANNEALS[style](share) if share > 0 else 1.0)
