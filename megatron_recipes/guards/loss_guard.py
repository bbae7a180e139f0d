"""What makes a step bad: a loss or gradient norm that is no number, or a loss far above the last.

Decided from numbers that are equal on all processes, so all of them decide alike.
"""

import math
from collections import deque
from collections.abc import Iterable

MEMORY = 100
"""Steps whose losses the mean is over: `loss_spike_factor` says so."""

FEWEST = 10
"""Steps before a mean means anything; before them only what is no number is bad."""


class LossGuard:
    """The losses of the last steps, and what they say of the next."""

    def __init__(self, spike_factor: float, losses: Iterable[float] = ()) -> None:
        """Begin with the losses of the steps before, the latest last; 0 looks for no spike."""
        self.spike_factor = spike_factor
        self._losses = deque(losses, maxlen=MEMORY)

    def badness(self, loss: float, grad_norm: float) -> str:
        """Return what is wrong with a step as the end of a sentence, or "", which keeps its loss.

        >>> guard = LossGuard(2.0, [1.0] * 10)
        >>> guard.badness(2.5, 1.0)
        'its loss of 2.5 is more than loss_spike_factor (2) times 1, the mean of 10 steps before'
        """
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            return f"its loss is {loss:.6g} and its gradient norm {grad_norm:.6g}"
        if self.spike_factor and len(self._losses) >= FEWEST:
            mean = math.fsum(self._losses) / len(self._losses)
            if loss > self.spike_factor * mean:
                return (
                    f"its loss of {loss:.6g} is more than loss_spike_factor "
                    f"({self.spike_factor:g}) times {mean:.6g}, the mean of "
                    f"{len(self._losses)} steps before"
                )
        self._losses.append(loss)
        return ""
