"""What happened to a record, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A dropped record and the one that stays in its stead, as they were compared."""

    kept: str
    """Id of the one that stays."""
    kept_text: str | None
    """None where it is no longer where the stage read it."""
    dropped_text: str | None
    is_own_content: bool
    """Whether a conversation was compared by what was said in it, not by its text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What one stage did to a record."""

    stage: str
    command: str
    verdict: str
    """kept, dropped, rejected, tokenized, held out, ..."""
    reason: str
    """Where it stands now, or why it is gone."""
    notes: tuple[str, ...] = ()
    pair: Pair | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a record stands in the output of a stage."""

    directory: Path
    shard: str
    """File name; for tokens that of the `.bin`."""
    xxh3: str
    number: int
    """Of the record or the document in its shard, from 0."""
    line: bytes = b""
    """Of a record."""
