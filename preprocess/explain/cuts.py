"""What `dedup` cut out of a record's text, and where the same stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from preprocess.explain.tables import each_table

if TYPE_CHECKING:
    from pathlib import Path

CUTS = "cuts.parquet"
COLUMNS = ["record", "start", "end", "survivor", "survivor_start"]
SHOWN = 5


@dataclass(slots=True)
class Cuts:
    """What `cuts.parquet` says of a record."""

    count: int = 0
    """Parts of its text that went."""
    text_bytes: int = 0
    """Of all of them."""
    first: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the first of them."""
    num_elsewhere: int = 0
    """Parts that went, of this record or others, since they stay in this one."""

    def lines(self) -> tuple[str, ...]:
        """Return what there is to say of it, a line each."""
        said = []
        if self.count:
            parts = f"{self.count:,} part{'s'[: self.count != 1]} of its text"
            said.append(f"{parts} went, {self.text_bytes:,} bytes: {self.places()}")
        if self.num_elsewhere:
            parts = f"{self.num_elsewhere:,} part{'s'[: self.num_elsewhere != 1]}"
            said.append(f"{parts} went elsewhere, since the same stays in it")
        return tuple(said)

    def places(self) -> str:
        """Return where the first parts stood, and where the same stays."""
        shown = [
            f"bytes {row['start']:,} to {row['end']:,}, which stay in {row['survivor']} "
            f"from byte {row['survivor_start']:,} on"
            for row in self.first
        ]
        more = self.count - len(shown)
        return "; ".join(shown) + (f"; and {more:,} more" if more else "")


def cuts_of(identifier: str, directory: Path) -> Cuts:
    """Return what was cut out of a record; nothing where the stage cuts no texts.

    Raises:
        UserError: `cuts.parquet` is damaged.
    """
    found = Cuts()
    each_table(directory / CUTS, COLUMNS, lambda table: _read(identifier, table, found))
    return found


def _read(identifier: str, table: Any, found: Cuts) -> None:
    own = table.filter(pc.equal(table["record"], identifier))
    found.count += len(own)
    found.text_bytes += pc.sum(pc.subtract(own["end"], own["start"]), min_count=0).as_py()
    found.first += own.slice(0, SHOWN - len(found.first)).to_pylist()
    found.num_elsewhere += pc.sum(pc.equal(table["survivor"], identifier)).as_py() or 0
