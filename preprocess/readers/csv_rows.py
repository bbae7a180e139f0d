"""Rows of a CSV file as native records, each an object by the names in the first row.

A cell may hold line breaks inside quotes; bytes, quotes and numbers of cells are checked, and what
breaks them is rejected with the lines it stood on.
"""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

from preprocess.readers.decoding import text_fault
from preprocess.readers.lines import HEAD_BYTES, read_lines
from preprocess.readers.native import outcome
from preprocess.records import Origin, Outcome, Rejection, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from preprocess.readers.lines import Line
    from preprocess.readers.reader import Convert, Reader

# The module's own limit of 128 KiB is for the whole process; how much is held is limited below.
csv.field_size_limit(sys.maxsize)


class _OverLimit(Exception):  # noqa: N818 - it names a state of the row
    """A row goes on beyond what may be held."""


class _Lines:
    """Lines as the module wants them, with the bytes of the row being read."""

    def __init__(self, lines: Iterable[Line], limit_bytes: int) -> None:
        self._lines = iter(lines)
        self._limit = limit_bytes
        self._held: list[bytes] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._size += len(line.data) + 1
            self._held.append(line.data)
            if line.is_oversized or self._size > self._limit:
                raise _OverLimit
            yield line.data.decode("utf-8", "surrogateescape") + "\n"

    def row(self) -> bytes:
        """Return the bytes of the lines since the row before."""
        raw = b"\n".join(self._held)
        self._held, self._size = [], 0
        return raw


def read_csv(
    reader: Reader, path: Path, relative: str, limit_bytes: int, convert: Convert
) -> Iterator[Outcome]:
    """Yield the outcome of each row after the first; plain, `.gz` or `.zst`.

    After a quote that is never closed, or a row above the limit, there is no telling where the next
    row begins: the rest of the file is one rejection.

    Raises:
        TruncatedInput: A compressed stream ends early, after every row before that.
    """
    name = portable_path(relative)
    lines = _Lines(read_lines(path, limit_bytes), limit_bytes)
    rows = csv.reader(lines, strict=True)
    header: list[str] | None = None
    broken = ""
    ordinal = 0
    while True:
        origin = Origin(path=name, record=ordinal)
        reason = ""
        try:
            cells = next(rows, None)
        except (csv.Error, _OverLimit) as error:
            reason = "over_memory" if isinstance(error, _OverLimit) else "invalid_csv"
            raw = lines.row()
            raw = raw[:HEAD_BYTES] if reason == "over_memory" else raw
            yield Outcome(rejection=Rejection(origin=origin, reason=reason, raw=raw))
            return
        if cells is None:
            return
        raw = lines.row()
        if not cells:
            continue
        if header is None:
            header, broken = cells, text_fault(raw)
            continue
        ordinal += 1
        yield _outcome(reader, header, cells, raw, origin, convert, broken)


def _outcome(
    reader: Reader,
    header: list[str],
    cells: list[str],
    raw: bytes,
    origin: Origin,
    convert: Convert,
    reason: str,
) -> Outcome:
    reason = reason or text_fault(raw)
    if not reason and (len(cells) != len(header) or len(set(header)) != len(header)):
        reason = "cells_do_not_fit_the_header"
    if reason:
        return Outcome(rejection=Rejection(origin=origin, reason=reason, raw=raw))
    value = dict(zip(header, cells, strict=True))
    return outcome(reader, raw, origin, convert, lambda _: value)
