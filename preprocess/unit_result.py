"""What the journal says of a unit that is done: its shards, counts and inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from preprocess.manifest import Agreement, Counts, InputEntry, Share, hash_file

if TYPE_CHECKING:
    from pathlib import Path


class FileSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Size and hash of a finished file."""

    bytes: int
    xxh3: str


class UnitShard(msgspec.Struct, frozen=True, kw_only=True):
    """A shard of a unit, before it has its final number."""

    shard: int
    series: str
    """`part`, or `valid` for what is held out."""
    records: int
    text_bytes: int
    files: dict[str, FileSummary]
    """Extension -> its file; the first one is the shard's own, the others stand beside it."""
    composition: list[Share] = []
    tokens: int | None = None


class UnitResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a unit."""

    shards: list[UnitShard]
    counts: Counts
    inputs: list[InputEntry]
    problems: list[str] = []
    notices: list[str] = []
    details: dict[str, int] = {}
    """Figures that are summed over the units."""
    check: Agreement | None = None


def file_summary(path: Path) -> FileSummary:
    """Return the size and hash of a file."""
    size, xxh3 = hash_file(path)
    return FileSummary(bytes=size, xxh3=xxh3)
