"""What a run may use of the machine, and its part of the work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from preprocess.errors import Misuse

DEFAULT_MEMORY_BYTES_PER_WORKER = 2 << 30
LEAST_MEMORY_BYTES = 64 << 10
"""Below it records of a usual length would be rejected: a unit was forgotten."""
MAX_RECORD_BYTES = 2 << 30
"""The longest record that is read, on any machine; `MAX_LINE_BYTES` of the extension."""

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What a run may use; nothing here changes a byte of the output but `max_record_bytes`."""

    workers: int
    memory_bytes: int
    task: int | None = None
    """This task's number, from 0; None: all units, and complete the directory."""
    num_tasks: int = 1
    max_rejected: float = 0.05
    """Largest share of native records that may be unreadable."""
    report: Callable[[str, int | None], contextlib.AbstractContextManager[ProgressCallback]] = (
        lambda _label, _total: contextlib.nullcontext(lambda _records, _text_bytes: None)
    )
    """Given a label and the bytes of text expected (None: unknown), shows progress."""

    def __post_init__(self) -> None:
        if self.memory_bytes < LEAST_MEMORY_BYTES:
            raise Misuse(
                f"expected --memory of {LEAST_MEMORY_BYTES >> 10} KiB or more, got "
                f"{self.memory_bytes} bytes; give it a unit, as 512MiB"
            )

    def limits(self) -> dict[str, int]:
        """Return what `run.json` must say of the memory, nothing where there is enough of it.

        Less memory than `MAX_RECORD_BYTES` rejects records that more would read: a run that
        began with it must go on with as much.
        """
        limit = self.memory_bytes
        return {"max_record_bytes": limit} if limit < MAX_RECORD_BYTES else {}
