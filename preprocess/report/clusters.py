"""What `dedup` found: sizes of the clusters, pairs to look at, what each source lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from preprocess.report.cluster_rows import CLUSTERS, COLUMNS, batches
from preprocess.report.pairs import Pair, Sample, draw_sample, read_pairs
from preprocess.report.recall import Recall, measure_recall
from preprocess.report.texts import find_texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from preprocess.manifest import Share
    from preprocess.report.stages import Origins, Stage

LARGEST_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What a source lost."""

    source: str
    records: int
    """That were read."""
    fallen: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicates:
    """All that one dedup stage found."""

    stage: str
    sizes: NDArray[np.int64]
    """Records of every cluster, the survivor included; ascending."""
    kinds: dict[str, int]
    """Records that fell, by why."""
    largest: tuple[tuple[str, int], ...]
    """First record and size of the largest clusters."""
    losses: tuple[Loss, ...]
    """By source, the largest share first; empty where the input is no stage of the run."""
    pairs: tuple[Pair, ...]
    recall: Recall | None
    """None where there are no pairs to measure, or the texts are gone."""
    scope: str
    """What was compared, an option of the stage."""
    num_emptied: int
    """Records of which all was cut."""
    details: dict[str, Any]
    """What the stage's manifest says beyond its counts."""


def read_duplicates(stages: list[Stage], origins: Origins, notes: list[str]) -> list[Duplicates]:
    """Return what each stage with a `clusters.parquet` found; a damaged one becomes a note."""
    found = []
    for stage in stages:
        path = stage.directory / CLUSTERS
        if not path.is_file():
            continue
        try:
            found.append(_read(stage, origins, path))
        except (OSError, KeyError, pa.ArrowException) as error:
            notes.append(f"{path}: expected the columns {', '.join(COLUMNS)}, but {error}")
    return found


def _read(stage: Stage, origins: Origins, path: Path) -> Duplicates:
    sizes = _sizes(path)
    kinds = _count_kinds(path)
    sample = draw_sample(path)
    config = stage.manifest.config if stage.manifest else {}
    scope = str(config.get("scope", "near"))
    texts = _texts(stage, sample, scope)
    dropped = stage.manifest.counts.dropped if stage.manifest else {}
    largest = sizes.slice(0, LARGEST_SHOWN).to_pylist()
    return Duplicates(
        stage=stage.name,
        sizes=np.sort(sizes["size"].to_numpy().astype(np.int64)),
        kinds={kind: count for kind, count in sorted(kinds.items()) if kind != "survivor"},
        largest=tuple((str(row["cluster"]), int(row["size"])) for row in largest),
        losses=_losses(stage, origins),
        pairs=read_pairs(sample, texts),
        recall=measure_recall(config, sample, texts),
        scope=scope,
        num_emptied=dropped.get("nothing_left", 0),
        details=stage.manifest.details if stage.manifest else {},
    )


def _sizes(path: Path) -> Any:
    """Return a table with a row a cluster, `cluster` and `size`, the largest first.

    Memory grows with the number of clusters, not of records.
    """
    aggregated = [
        table.append_column("size", pa.array(np.ones(len(table), np.int64)))
        .group_by("cluster")
        .aggregate([("size", "sum")])
        for table in batches(path, ["cluster"])
    ]
    if not aggregated:
        return pa.table({name: pa.array([], pa.int64()) for name in ("cluster", "size")})
    sums = pa.concat_tables(aggregated).group_by("cluster").aggregate([("size_sum", "sum")])
    return (
        sums.select(["cluster", "size_sum_sum"])
        .rename_columns(["cluster", "size"])
        .sort_by([("size", "descending"), ("cluster", "ascending")])
    )


def _count_kinds(path: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for table in batches(path, ["kind"]):
        for entry in pc.value_counts(table["kind"].combine_chunks()):
            counts[str(entry["values"])] += int(entry["counts"].as_py())
    return counts


def _losses(stage: Stage, origins: Origins) -> tuple[Loss, ...]:
    read = _by_source(share for _, shard in origins.of(stage) for share in shard.composition)
    left = _by_source(stage.manifest.composition() if stage.manifest else [])
    losses = [
        Loss(source=source, records=records, fallen=records - left[source])
        for source, records in read.items()
        if records > left[source]
    ]
    return tuple(sorted(losses, key=lambda loss: (-loss.fallen / loss.records, loss.source)))


def _by_source(shares: Iterable[Share]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for share in shares:
        counts[share.source] += share.records
    return counts


def _texts(stage: Stage, sample: Sample, scope: str) -> dict[str, str]:
    wanted = {name for row in sample.rows() for name in (row.dropped, row.kept)}
    paths = [entry.path for entry in stage.manifest.inputs] if stage.manifest else []
    is_own_content = scope not in ("exact", "url")
    return find_texts(paths, wanted, stage.directory.parent, is_own_content=is_own_content)
