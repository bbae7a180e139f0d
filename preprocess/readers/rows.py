"""Columns of a Parquet file as lines of JSON, where few of them are needed.

What reads whole files, `tokenize` and `dedup`, does so without Python.
"""

from __future__ import annotations

import base64
import datetime
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from preprocess.errors import UserError
from preprocess.exact_json import ENCODER
from preprocess.readers.lines import Line
from preprocess.records import TruncatedInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyarrow import RecordBatch

ROWS = 64
_NOT_PYTHON = (ValueError, ArithmeticError, LookupError)
"""What Arrow raises for values that Python cannot hold."""


def read_rows(path: Path, field: str, *others: str) -> Iterator[Line]:
    """Yield each row of a file as an object of these fields alone; a null is a field left out.

    Of `others`, columns that are not there or hold no strings are left out too.

    Raises:
        TruncatedInput: The file is cut off or damaged. Every row before that was yielded.
        UserError: It has no column named `field`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _expect_column(path, names, field)
            chosen = [field, *(name for name in others if name in names and name != field)]
            for batch in file.iter_batches(batch_size=ROWS, columns=chosen):
                columns = [batch.column(name).to_pylist() for name in chosen]
                for values in zip(*columns, strict=True):
                    yield Line(_line(dict(zip(chosen, values, strict=True)), field))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error


def read_whole_rows(path: Path, field: str) -> Iterator[bytes | OddRow]:
    """Yield each row of a file as a JSON object of all its columns, nulls left out.

    Times are written as ISO 8601, bytes that are no UTF-8 as base64, and numbers that JSON has not
    (NaN, infinities) as their names. A row that Python cannot hold comes as it is.

    Raises:
        TruncatedInput: The file is cut off or damaged. Every row before that was yielded.
        UserError: It has no column named `field`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _expect_column(path, file.schema_arrow.names, field)
            for batch in file.iter_batches(batch_size=ROWS):
                for row in rows_of(batch):
                    yield row if isinstance(row, OddRow) else ENCODER.encode(_plain(row))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


class OddRow(NamedTuple):
    """A row that is none to Python."""

    reason: str
    raw: bytes
    """The row as a stream of Arrow."""


def rows_of(batch: RecordBatch) -> Iterator[dict[str, Any] | OddRow]:
    """Yield each row of a batch as an object of its columns.

    Columns may hold times beyond those of Python, which are then spelled by Arrow, or in zones that
    nobody knows; strings that are no UTF-8; and several may have one name.
    """
    if len(set(batch.schema.names)) < len(batch.schema.names):
        yield from (OddRow("duplicate_column", _stream(row)) for row in _singly(batch))
        return
    try:
        yield from batch.to_pylist()
    except _NOT_PYTHON:
        yield from map(_row, _singly(batch))


def _row(batch: RecordBatch) -> dict[str, Any] | OddRow:
    """Return the only row of a batch."""
    import pyarrow as pa

    for spelled in (False, True):
        try:
            row: dict[str, Any] = (_with_times_spelled(batch) if spelled else batch).to_pylist()[0]
        except UnicodeDecodeError:
            return OddRow("invalid_utf8", _stream(batch))
        except (*_NOT_PYTHON, pa.ArrowException):
            continue
        return row
    return OddRow("value_out_of_range", _stream(batch))


def _with_times_spelled(batch: RecordBatch) -> RecordBatch:
    import pyarrow as pa

    columns = [
        column.cast(pa.string()) if pa.types.is_temporal(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _singly(batch: RecordBatch) -> Iterator[RecordBatch]:
    return (batch.slice(number, 1) for number in range(batch.num_rows))


def _stream(row: RecordBatch) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, row.schema) as stream:
        stream.write_batch(row)
    return bytes(sink.getvalue())


def _plain(value: Any) -> Any:
    """Return a value of Arrow as JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return value


def _expect_column(path: Path, names: list[str], field: str) -> None:
    if field not in names:
        raise UserError(
            f"{path}: expected a column named {field!r}, found "
            f"{', '.join(names) or 'no columns'}; name it with --text-field"
        )


def _damaged(path: Path, error: Exception) -> TruncatedInput:
    return TruncatedInput(
        f"{path}: expected a whole Parquet file, it breaks off or is damaged "
        f"({str(error).partition(chr(10))[0]}); fetch the file again"
    )


def _line(row: dict[str, Any], field: str) -> bytes:
    fields = {}
    for name, value in row.items():
        if isinstance(value, bytes):
            # A column without a logical type holds bytes, which are text if they are UTF-8.
            try:
                fields[name] = value.decode()
            except UnicodeDecodeError:
                return value  # no line of JSON, as a line with these bytes would be none
        elif isinstance(value, str) or (name == field and value is not None):
            fields[name] = value
    return msgspec.json.encode(fields)
