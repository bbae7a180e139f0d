"""Rows of a Parquet file as native records.

Only for datasets whose columns hold texts and numbers: what is a free-form object in the source (a
schema, arguments) loses its own keys in Arrow, and is never read from here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.readers.lines import HEAD_BYTES
from preprocess.readers.native import outcome
from preprocess.readers.rows import OddRow, rows_of
from preprocess.records import Origin, Outcome, Rejection, TruncatedInput, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.readers.reader import Convert, Reader

ROWS = 64
"""Rows held at once."""

_BINARY = re.compile(r"\b(?:large_|fixed_size_)?binary\b")


def read_parquet(
    reader: Reader, path: Path, relative: str, limit_bytes: int, convert: Convert
) -> Iterator[Outcome]:
    """Yield the outcome of each row; its value is what the row is as JSON.

    A row of more than `limit_bytes` as JSON is rejected as `over_memory`, and one with bytes that
    are no text as `binary`.

    Raises:
        TruncatedInput: The file is cut off or damaged, after every row before that.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = portable_path(relative)
    try:
        with pq.ParquetFile(path) as file:
            has_bytes = _BINARY.search(str(file.schema_arrow)) is not None
            ordinal = 0
            for batch in file.iter_batches(batch_size=ROWS):
                for row in rows_of(batch):
                    origin = Origin(path=name, record=ordinal)
                    ordinal += 1
                    if isinstance(row, OddRow):
                        rejection = Rejection(origin=origin, reason=row.reason, raw=row.raw)
                        yield Outcome(rejection=rejection)
                        continue
                    yield _outcome(reader, row, origin, limit_bytes, convert, has_bytes=has_bytes)
    except (pa.ArrowException, OSError) as error:
        raise TruncatedInput(
            f"{path}: expected a whole Parquet file, it breaks off or is damaged "
            f"({str(error).partition(chr(10))[0]}); fetch the file again"
        ) from error


def _outcome(
    reader: Reader,
    row: dict[str, Any],
    origin: Origin,
    limit_bytes: int,
    convert: Convert,
    *,
    has_bytes: bool,
) -> Outcome:
    value = _decoded(row) if has_bytes else row
    raw = msgspec.json.encode(row if value is None else value)  # bytes become base64
    if value is None:
        return Outcome(rejection=Rejection(origin=origin, reason="binary", raw=raw))
    if len(raw) > limit_bytes:
        shown = raw[:HEAD_BYTES]
        return Outcome(rejection=Rejection(origin=origin, reason="over_memory", raw=shown))
    # Through JSON: dates and decimals become what they are in a record.
    return outcome(reader, raw, origin, convert)


def _decoded(row: dict[str, Any]) -> dict[str, Any] | None:
    """Return a row with its bytes as text; None where they are none."""
    try:
        return {name: _text(value) for name, value in row.items()}
    except UnicodeDecodeError:
        return None


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {name: _text(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_text(each) for each in value]
    return value
