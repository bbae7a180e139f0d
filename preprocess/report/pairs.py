"""Pairs of a dropped record and the one that stays: a sample, spread over what there is.

A corpus has a few sources and similarities with most of the pairs; taken as they come, all
examples would be alike. So pairs are kept by *cell*, a source and a band of similarity, a few of
each in the order of the file, and examples are taken from the cells that were used least. It
depends on the file alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from preprocess.report.cluster_rows import COLUMNS, batches, similarity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NUM_PAIRS = 10
NUM_EXACT = 2
"""Of the pairs shown, where there are near ones enough: equal texts tell little."""
CELL_WIDTH = 0.02
PER_CELL = 32
MOST_CELLS = 2_000
"""Sources that come later than so many cells are not shown: memory stays bounded."""
MOST_ROWS = 400

type Cell = tuple[str, int]
"""A source, and a band of similarity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A record that fell, and the one that it fell to."""

    dropped: str
    kept: str
    kind: str
    similarity: float
    texts: tuple[str, str] | None = None
    """As they were compared, the kept one first; None where they were not found."""


@dataclass(slots=True)
class Sample:
    """Some pairs of each cell, and of each source's records with equal texts or addresses."""

    near: dict[Cell, list[Pair]] = field(default_factory=dict)
    exact: dict[str, list[Pair]] = field(default_factory=dict)

    def near_rows(self) -> list[Pair]:
        """Return near duplicates, the first of each cell before the second of any."""
        return _in_turns([self.near[cell] for cell in sorted(self.near)], MOST_ROWS)

    def exact_rows(self) -> list[Pair]:
        """Return records that are equal, the first of each source before the second of any."""
        return _in_turns([self.exact[source] for source in sorted(self.exact)], NUM_PAIRS)

    def rows(self) -> list[Pair]:
        """Return all pairs whose texts are of use."""
        return [*self.near_rows(), *self.exact_rows()]


def _in_turns(lists: list[list[Pair]], most: int) -> list[Pair]:
    turns = (row for column in zip_longest(*lists) for row in column if row is not None)
    return list(islice(turns, most))


def draw_sample(path: Path) -> Sample:
    """Return pairs of a `clusters.parquet`."""
    sample = Sample()
    for table in batches(path, COLUMNS):
        rows = table.append_column("similarity", similarity(table))
        rows = rows.append_column("source", _sources(rows["record"]))
        _add_near(sample, rows.filter(pc.equal(rows["kind"], "near")))
        _add_exact(sample, rows.filter(pc.is_in(rows["kind"], pa.array(["exact", "url"]))))
    return sample


def _sources(records: Any) -> Any:
    """Return what stands before the first slash of each id: that is the source."""
    first = pc.list_element(pc.split_pattern(records, "/", max_splits=1), 0)
    return pc.if_else(pc.match_substring(records, "/"), first, "")


def _add_near(sample: Sample, rows: Any) -> None:
    cells = pc.cast(pc.floor(pc.divide(rows["similarity"], CELL_WIDTH)), pa.int64())
    numbers = pa.array(np.arange(len(rows), dtype=np.int64))
    keyed = pa.table({"source": rows["source"], "cell": cells, "row": numbers})
    groups = keyed.group_by(["source", "cell"], use_threads=False).aggregate([("row", "list")])
    for group in groups.to_pylist():
        cell = (group["source"], group["cell"])
        if cell not in sample.near and len(sample.near) >= MOST_CELLS:
            continue
        held = sample.near.setdefault(cell, [])
        chosen = group["row_list"][: PER_CELL - len(held)]
        held += map(_pair, rows.take(chosen).to_pylist())


def _add_exact(sample: Sample, rows: Any) -> None:
    for source in pc.unique(rows["source"]).to_pylist():
        held = sample.exact.get(source, [])
        is_known = source in sample.exact or len(sample.exact) < MOST_CELLS
        if len(held) < NUM_PAIRS and is_known:
            found = rows.filter(pc.equal(rows["source"], source)).slice(0, NUM_PAIRS - len(held))
            sample.exact[source] = [*held, *map(_pair, found.to_pylist())]


def _pair(row: dict[str, Any]) -> Pair:
    return Pair(
        dropped=str(row["record"]),
        kept=str(row["survivor"]),
        kind=str(row["kind"]),
        similarity=float(row["similarity"]),
    )


def read_pairs(sample: Sample, texts: dict[str, str]) -> tuple[Pair, ...]:
    """Return the pairs that are shown, the least similar first, with their texts."""
    exact = sample.exact_rows()
    near = list(islice(_spread(sample), NUM_PAIRS - min(NUM_EXACT, len(exact))))
    near.sort(key=lambda pair: (pair.similarity, pair.dropped))
    shown = [*near, *exact][:NUM_PAIRS]
    return tuple(
        replace(pair, texts=(texts[pair.kept], texts[pair.dropped]))
        if pair.kept in texts and pair.dropped in texts
        else pair
        for pair in shown
    )


def _spread(sample: Sample) -> Iterator[Pair]:
    """Yield near duplicates, each from the source and the similarity that were used least.

    Of equally good ones the outermost similarity comes first: there the rule is at its limit.
    """
    left = {cell: list(pairs) for cell, pairs in sorted(sample.near.items())}
    middle = (min((cell for _, cell in left), default=0) + max((c for _, c in left), default=0)) / 2
    sources: Counter[str] = Counter()
    bands: Counter[int] = Counter()
    while left:
        cell = min(
            left, key=lambda cell: (sources[cell[0]] + bands[cell[1]], -abs(cell[1] - middle), cell)
        )
        yield left[cell].pop(0)
        sources[cell[0]] += 1
        bands[cell[1]] += 1
        if not left[cell]:
            del left[cell]
