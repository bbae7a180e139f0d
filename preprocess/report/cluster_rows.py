"""The rows of `clusters.parquet`, some at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLUSTERS = "clusters.parquet"
COLUMNS = ["record", "cluster", "survivor", "kind", "estimated", "jaccard"]
BATCH_ROWS = 1 << 16


def batches(path: Path, columns: list[str]) -> Iterator[Any]:
    """Yield tables of some columns.

    Raises:
        KeyError: One of `COLUMNS` is not in the file.
        OSError: It cannot be read.
        pyarrow.ArrowException: It is damaged.
    """
    with pq.ParquetFile(path) as file:
        missing = sorted(set(COLUMNS) - set(file.schema_arrow.names))
        if missing:
            raise KeyError(f"there is no {missing[0]}")
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            table = pa.Table.from_batches([batch])
            # Words that repeat may be stored as a dictionary, on which less is defined.
            place = table.schema.get_field_index("kind")
            if place >= 0:
                table = table.set_column(place, "kind", table["kind"].cast(pa.string()))
            yield table


def similarity(table: Any) -> Any:
    """Return the similarity of each row with its survivor: the true one, else the estimate."""
    # Neither null nor "not a number" says that the true similarity was computed.
    true = pc.cast(table["jaccard"], pa.float64())
    known = pc.fill_null(pc.is_finite(true), False)
    return pc.if_else(known, true, pc.cast(table["estimated"], pa.float64()))
