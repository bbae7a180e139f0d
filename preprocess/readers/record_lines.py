"""The records of a file as lines of JSON, whatever its format, where Python has to see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess._rust_ext import RecordLines
from preprocess.readers.lines import NO_LIMIT, Line
from preprocess.readers.rows import read_rows
from preprocess.records import TruncatedInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_record_lines(path: Path, field: str, *others: str) -> Iterator[Line]:
    """Yield the records of a file in order, numbered as all stages number them.

    Of Parquet only the fields named are read; lines are whole.

    Raises:
        TruncatedInput: The file is cut off or damaged. Every record before that was yielded.
        UserError: A Parquet file has no column named `field`.
        ValueError: A WARC file holds pages, of which the text is not known yet.
    """
    if path.suffix == ".parquet":
        yield from read_rows(path, field, *others)
        return
    lines = RecordLines(path, limit_bytes=NO_LIMIT)
    for batch in lines:
        for data, is_oversized, is_cut in batch:
            yield Line(data, is_cut=is_cut, is_oversized=is_oversized)
    if lines.damage is not None:
        raise TruncatedInput(
            f"{path}: {lines.damage}; what came before was read; fetch the file again"
        )
