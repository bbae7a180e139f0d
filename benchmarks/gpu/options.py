"""What a run was asked for, and the time it may take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

LEAST_SECONDS = 10.0
"""Nothing is begun with less left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a run was asked for."""

    device: str
    """`cuda` or `cpu`."""

    tiny: bool
    """Whether sizes are those of a test."""

    results: Path
    """Takes a JSON file for each part."""

    work: Path
    """Takes logs, traces, datasets and checkpoints; they stay on this machine."""

    blend: Path | None
    """Real text as a blend file; None: it is made of the files of `text`."""

    text: Path
    """A directory of text files."""

    deadline: float
    """In seconds of `time.monotonic`."""

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def require_time(self) -> None:
        """Refuse to begin what cannot end.

        Raises:
            TimeoutError: The run's time is used up.
        """
        if self.seconds_left() < LEAST_SECONDS:
            raise TimeoutError("the time is used up: run the same command again, it goes on here")
