"""What `dedup` is to reach, and what a run reached of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.duplicates.end_to_end import OURS
from benchmarks.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.duplicates.end_to_end import Row
    from benchmarks.duplicates.growth import Grown, Script
    from benchmarks.duplicates.same_bytes import Same
    from benchmarks.duplicates.truth import Clusters, Recall

OVER_FASTEST = {"JSONL": 14.0, "zstd level 1": 9.0}
"""Ours over the fastest peer, by what our survivors are written as."""

OVER_DATATROVE = 300.0
OTHER_SCRIPT = 0.4
RECALL = 0.995
PEAK_BYTES = 356 << 20
GROWTH = 1.15
DATATROVE = "datatrove"


def judge(
    rows: list[Row],
    clusters: Clusters,
    recall: Recall,
    grown: list[Grown],
    scripts: list[Script],
    same: list[Same],
) -> list[Target]:
    """Return every target with what was reached."""
    different = sum(len(each.different) for each in same)
    return [
        *_over_peers(rows),
        *_scripts(scripts),
        *_truth(clusters, recall),
        *_growth(grown),
        _at_most("files that another way of running changes", different, 0),
    ]


def _at_most(what: str, reached: float, wanted: float) -> Target:
    return Target(what=what, model="", reached=reached, wanted=wanted, at_most=True)


def _over_peers(rows: list[Row]) -> Iterator[Target]:
    peers = [row for row in rows if row.who != OURS and row.rate]
    whole = [row for row in peers if row.corpus == "web"]
    if whole:
        fastest = max(whole, key=lambda row: row.rate)
        for ours in (row for row in rows if (row.who, row.corpus) == (OURS, "web")):
            yield Target(
                what=f"end to end over the fastest peer, {ours.format}" + _only(ours),
                model="",
                reached=ours.rate / fastest.rate,
                wanted=OVER_FASTEST.get(ours.format),
                against=fastest.who,
            )
    for peer in (row for row in peers if row.who == DATATROVE):
        same = [row for row in rows if (row.who, row.corpus, row.simd) == (OURS, peer.corpus, "")]
        ours = max(same, key=lambda row: row.rate)
        yield Target(
            what="end to end over the pipeline",
            model="",
            reached=ours.rate / peer.rate,
            wanted=OVER_DATATROVE,
            against=DATATROVE,
        )


def _only(row: Row) -> str:
    return f", {row.simd.upper()} only" if row.simd else ""


def _scripts(scripts: list[Script]) -> Iterator[Target]:
    web = next(each for each in scripts if each.name == "web")
    for script in scripts:
        if script is not web:
            reached = script.rate / web.rate
            what = f"{script.name} text / web text, MB per CPU-second"
            yield Target(what=what, model="", reached=reached, wanted=OTHER_SCRIPT)


def _truth(clusters: Clusters, recall: Recall) -> Iterator[Target]:
    threshold = "dropped records whose survivor's true similarity is below the threshold"
    yield _at_most(f"{threshold}, of {clusters.dropped:,}", clusters.below, 0)
    yield _at_most("dropped records that name no kept one", clusters.not_kept, 0)
    for seeds, measured in (("16 seeds", recall.over_seeds), ("the default seed", recall.measured)):
        yield Target(
            what=f"pairs at 0.8 or more that share a band / theory, {seeds}",
            model="",
            reached=measured / recall.expected,
            wanted=RECALL if seeds == "16 seeds" else None,
        )


def _growth(grown: list[Grown]) -> Iterator[Target]:
    first, last = grown[0], grown[-1]
    peak = max(each.peak_bytes for each in grown)
    yield _at_most("peak memory of all processes, MiB", peak / (1 << 20), PEAK_BYTES / (1 << 20))
    times = {
        "time": (first.wall_seconds, last.wall_seconds),
        "CPU time": (first.cpu_seconds, last.cpu_seconds),
    }
    for name, (once, often) in times.items():
        what = f"{name} at {last.factor}x / {last.factor} x that at 1x"
        yield _at_most(what, often / (last.factor * once), GROWTH)
