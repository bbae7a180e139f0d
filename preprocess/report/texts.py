"""Looking up the texts of a few records in the files that a stage read."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec
import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterable

SEARCHED_BYTES = 4 << 30
"""Stored bytes that are searched at most: a few minutes; the page is no place to scan a corpus."""


class _Record(msgspec.Struct):
    id: str
    text: str


def find_texts(paths: Iterable[str], wanted: set[str], run: Path) -> dict[str, str]:
    """Return the texts of those wanted records that stand in the files.

    A file that has moved along with the run is looked for there; one that is gone, damaged or
    behind `SEARCHED_BYTES` gives nothing.
    """
    found: dict[str, str] = {}
    searched = 0
    for name in paths:
        path = Path(name)
        moved = run / path.parent.name / path.name
        path = path if path.is_file() else moved
        if found.keys() >= wanted or not path.is_file():
            continue
        searched += path.stat().st_size
        if searched > SEARCHED_BYTES:
            break
        try:
            _search(path, wanted, found)
        except (OSError, EOFError, zstandard.ZstdError):
            continue
    return found


def _search(path: Path, wanted: set[str], found: dict[str, str]) -> None:
    # Ids are looked for as bytes first: parsing every line would take ten times as long.
    needles = [msgspec.json.encode(record)[1:-1] for record in sorted(wanted - found.keys())]
    with _open(path) as lines:
        for line in lines:
            if not any(needle in line for needle in needles):
                continue
            try:
                record = msgspec.json.decode(line, type=_Record)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            if record.id in wanted:
                found.setdefault(record.id, record.text)
                if found.keys() >= wanted:
                    return


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    file = path.open("rb")
    if path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().stream_reader(
            file, read_across_frames=True, closefd=True
        )
        return io.BufferedReader(cast("io.RawIOBase", reader), 1 << 20)
    return file
