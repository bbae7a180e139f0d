"""Columns of a Parquet file as lines of JSON, where few of them are needed.

What reads whole files, `tokenize` and `dedup`, does so without Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.errors import UserError
from preprocess.readers.lines import Line
from preprocess.records import TruncatedInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 64


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
            if field not in names:
                raise UserError(
                    f"{path}: expected a column named {field!r}, found "
                    f"{', '.join(names) or 'no columns'}; name it with --text-field"
                )
            chosen = [field, *(name for name in others if name in names and name != field)]
            for batch in file.iter_batches(batch_size=ROWS, columns=chosen):
                columns = [batch.column(name).to_pylist() for name in chosen]
                for values in zip(*columns, strict=True):
                    yield Line(_line(dict(zip(chosen, values, strict=True)), field))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TruncatedInput(
            f"{path}: expected a whole Parquet file, it breaks off or is damaged "
            f"({str(error).partition(chr(10))[0]}); fetch the file again"
        ) from error


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
