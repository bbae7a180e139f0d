"""One column of a Parquet file as lines of JSON, where few of them are needed.

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


def read_rows(path: Path, field: str) -> Iterator[Line]:
    """Yield each row of a file as an object of that field alone; a null is a field left out.

    Raises:
        TruncatedInput: The file is cut off or damaged. Every row before that was yielded.
        UserError: It has no such column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if field not in file.schema_arrow.names:
                found = ", ".join(file.schema_arrow.names)
                raise UserError(
                    f"{path}: expected a column named {field!r}, found {found or 'no columns'}; "
                    "name it with --text-field"
                )
            for batch in file.iter_batches(batch_size=ROWS, columns=[field]):
                for value in batch.column(0).to_pylist():
                    yield Line(_line(field, value))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TruncatedInput(
            f"{path}: expected a whole Parquet file, it breaks off or is damaged "
            f"({str(error).partition(chr(10))[0]}); fetch the file again"
        ) from error


def _line(field: str, value: Any) -> bytes:
    return msgspec.json.encode({} if value is None else {field: value})
