"""What a run was asked for, and the time it may take."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEAST_SECONDS = 10.0
"""Nothing is begun with less left."""

SHARE = 1.2
"""How much more than a fair share of the time the next of several sub-steps may take."""


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
    """In seconds of `time.monotonic`, which all processes of a machine share."""

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

    def within(self, seconds: float) -> Options:
        """Return the same with no more than `seconds` left."""
        return dataclasses.replace(self, deadline=min(self.deadline, time.monotonic() + seconds))

    def first_of(self, count: int) -> Options:
        """Return the same for the first of `count` sub-steps: time is left for the others."""
        return self.within(self.seconds_left() * min(1.0, SHARE / count))

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        fields = dataclasses.asdict(self)
        paths = {name: str(value) for name, value in fields.items() if isinstance(value, Path)}
        return fields | paths

    @staticmethod
    def from_json(content: dict[str, Any]) -> Options:
        """Return what another process was asked for."""
        paths = {
            name: Path(content[name]) if content[name] else None
            for name in ("results", "work", "blend", "text")
        }
        return Options(**(content | paths))
