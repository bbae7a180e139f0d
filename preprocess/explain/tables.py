"""The tables that stand beside the shards, read some rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from preprocess.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BATCH_ROWS = 1 << 16


def each_table(path: Path, columns: Sequence[str], take: Callable[[Any], None]) -> None:
    """Hand some columns of a table to `take`, in order; nothing where there is no file.

    Raises:
        UserError: It is damaged, or lacks a column that `take` asks for.
    """
    if not path.is_file():
        return
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                take(pa.Table.from_batches([batch]))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path}: expected {', '.join(columns)}, but {error}") from error
