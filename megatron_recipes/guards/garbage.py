"""Python's garbage collection: at the same steps on all processes, or as Python likes.

A process that collects while the others wait for it in a collective makes all of them wait; with
a thousand processes that collect when they like, most steps wait for one.
"""

import gc


class GarbageCollection:
    """Collects every `interval` steps while it is open; 0 leaves it to Python."""

    def __init__(self, interval: int) -> None:
        self.interval = interval

    def __enter__(self) -> "GarbageCollection":
        if self.interval:
            gc.collect()
            # What was made so far (modules, the model) stays until the end: looking through it
            # again every time costs some 0.1 s, the rest next to nothing.
            gc.freeze()
            gc.disable()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.interval:
            gc.unfreeze()
            gc.enable()

    def after_step(self, step: int) -> None:
        """Collect if it is time."""
        if self.interval and step % self.interval == 0:
            gc.collect()
