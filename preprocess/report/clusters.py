"""What `dedup` found: sizes of the clusters, and a few of them with their texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from preprocess.report.texts import find_texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.report.stages import Stage

CLUSTERS = "clusters.parquet"
COLUMNS = ["record", "cluster", "survivor", "kind", "estimated", "jaccard"]
NUM_EXAMPLES = 3
MEMBERS_SHOWN = 8
MEMBERS_READ = 1_000
"""Of a cluster that is shown, at most so many records are looked at."""
BATCH_ROWS = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A record of a cluster."""

    record: str
    survivor: str
    kind: str
    """survivor, exact or near."""
    similarity: float | None
    """With the survivor: the true one, else the estimate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A cluster that is shown."""

    size: int
    members: tuple[Member, ...]
    """The survivor first, then the least similar; at most `MEMBERS_SHOWN`."""
    kept: Member
    dropped: Member
    """The record whose text stands beside the survivor's."""
    texts: tuple[str, str] | None = None
    """Of `kept` and `dropped`; None where they were not found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicates:
    """All that one dedup stage found."""

    stage: str
    sizes: NDArray[np.int64]
    """Records of every cluster, the survivor included."""
    num_exact: int
    num_near: int
    examples: tuple[Cluster, ...]


def read_duplicates(stages: list[Stage], notes: list[str]) -> list[Duplicates]:
    """Return what each stage with a `clusters.parquet` found; a damaged one becomes a note."""
    found = []
    for stage in stages:
        path = stage.directory / CLUSTERS
        if not path.is_file():
            continue
        try:
            found.append(_read(stage, path))
        except (OSError, KeyError, pa.ArrowException) as error:
            notes.append(f"{path}: expected the columns {', '.join(COLUMNS)}, but {error}")
    return found


def _read(stage: Stage, path: Path) -> Duplicates:
    totals = _totals(path)
    kinds = _count_kinds(path)
    chosen = _choose(totals)
    members = _members(path, [totals["cluster"][row] for row in chosen])
    examples = [
        _example(rows, int(totals["size"][row].as_py()))
        for row, rows in zip(chosen, members, strict=True)
    ]
    return Duplicates(
        stage=stage.name,
        sizes=np.sort(totals["size"].to_numpy().astype(np.int64)),
        num_exact=kinds.get("exact", 0),
        num_near=kinds.get("near", 0),
        examples=_with_texts(stage, [example for example in examples if example is not None]),
    )


def _batches(path: Path, columns: list[str]) -> Iterator[Any]:
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


def _totals(path: Path) -> Any:
    """Return a table with a row per cluster: `cluster`, `size`, `near`, `similarity` (lowest).

    Memory grows with the number of clusters, not of records.
    """
    aggregated = []
    for table in _batches(path, ["cluster", "kind", "estimated", "jaccard"]):
        is_near = pc.equal(table["kind"], "near")
        similarity = pc.if_else(is_near, _similarity(table), None)
        rows = pa.table(
            {
                "cluster": table["cluster"],
                "size": pa.array(np.ones(len(table), np.int64)),
                "near": pc.cast(is_near, pa.int64()),
                "similarity": similarity,
            }
        )
        aggregated.append(_sum_by_cluster(rows))
    if not aggregated:
        names = ["cluster", "size", "near", "similarity"]
        return pa.table({name: pa.array([], pa.int64()) for name in names})
    return _sum_by_cluster(pa.concat_tables(aggregated)).sort_by(
        [("size", "descending"), ("cluster", "ascending")]
    )


def _sum_by_cluster(rows: Any) -> Any:
    return (
        rows.group_by("cluster")
        .aggregate([("size", "sum"), ("near", "sum"), ("similarity", "min")])
        .select(["cluster", "size_sum", "near_sum", "similarity_min"])
        .rename_columns(["cluster", "size", "near", "similarity"])
    )


def _similarity(table: Any) -> Any:
    # Neither null nor "not a number" says that the true similarity was computed.
    true = pc.cast(table["jaccard"], pa.float64())
    known = pc.fill_null(pc.is_finite(true), False)
    return pc.if_else(known, true, pc.cast(table["estimated"], pa.float64()))


def _count_kinds(path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table in _batches(path, ["kind"]):
        for entry in pc.value_counts(table["kind"].combine_chunks()):
            kind = str(entry["values"])
            counts[kind] = counts.get(kind, 0) + int(entry["counts"].as_py())
    return counts


def _choose(totals: Any) -> list[int]:
    """Return the rows of the clusters that tell most, in the order in which they are shown.

    They are the largest one, the largest other one with near duplicates, and that whose near
    duplicate is the least similar to its survivor: the rule at its limit. The largest fill up.
    """
    near = np.flatnonzero(totals["near"].to_numpy() > 0)
    similarity = totals["similarity"].to_numpy().astype(np.float64)
    candidates = [
        *range(min(1, len(totals))),
        *[row for row in near[:2].tolist() if row > 0][:1],
        *near[np.argsort(similarity[near], kind="stable")][:NUM_EXAMPLES].tolist(),
        *range(min(NUM_EXAMPLES, len(totals))),
    ]
    return list(dict.fromkeys(candidates))[:NUM_EXAMPLES]


def _members(path: Path, clusters: list[Any]) -> list[list[Member]]:
    """Return up to `MEMBERS_READ` records of each cluster, and its survivor whatever its place."""
    found: list[list[Member]] = [[] for _ in clusters]
    names = [cluster.as_py() for cluster in clusters]
    if not names:
        return found
    for table in _batches(path, COLUMNS):
        wanted = pc.is_in(table["cluster"], pa.array(names, table["cluster"].type))
        rows = table.append_column("similarity", _similarity(table)).filter(wanted)
        for row in rows.to_pylist():
            members = found[names.index(row["cluster"])]
            if len(members) < MEMBERS_READ or row["kind"] == "survivor":
                members.append(
                    Member(
                        record=str(row["record"]),
                        survivor=str(row["survivor"]),
                        kind=str(row["kind"]),
                        similarity=row["similarity"] if row["kind"] == "near" else None,
                    )
                )
    return found


def _example(members: list[Member], size: int) -> Cluster | None:
    survivors = {member.record: member for member in members if member.kind == "survivor"}
    fallen = [member for member in members if member.kind != "survivor"]
    # A near duplicate shows more than an equal text, the least similar one most.
    fallen.sort(key=lambda member: (member.kind != "near", member.similarity or 0, member.record))
    for dropped in fallen:
        kept = survivors.get(dropped.survivor)
        if kept is not None:
            others = [member for member in fallen if member is not dropped]
            return Cluster(
                size=size,
                members=(*survivors.values(), dropped, *others)[:MEMBERS_SHOWN],
                kept=kept,
                dropped=dropped,
            )
    return None


def _with_texts(stage: Stage, clusters: list[Cluster]) -> tuple[Cluster, ...]:
    wanted = {member.record for each in clusters for member in (each.kept, each.dropped)}
    paths = [entry.path for entry in stage.manifest.inputs] if stage.manifest else []
    texts = find_texts(paths, wanted, stage.directory.parent)
    return tuple(
        replace(each, texts=(texts[each.kept.record], texts[each.dropped.record]))
        if each.kept.record in texts and each.dropped.record in texts
        else each
        for each in clusters
    )
