"""What the tokenizer is to reach, and what a run reached of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.in_memory import Row, fastest_exact
from benchmarks.peers import OURS
from benchmarks.to_disk import MEGATRON, DiskRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.extremes import Figure

WARM = {"gpt2": 2.5, "llama3": 1.7, "qwen2_5": 1.5, "mistral_v3": 1.5}
"""Ours over the fastest exact peer; llama3_1 has Llama-3's vocabulary and does not count."""

OVER_PEERS = 1.6
OVER_MEGATRON = {"gpt2": 65.0, "llama3": 55.0}
AROUND_NS_PER_BYTE = 2.2
LOAD_MS = {"llama3": 50.0}
SCALING = 0.95
WORST = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One figure against what it is to be."""

    what: str
    model: str
    reached: float
    wanted: float | None
    """None: reported, not counted."""

    at_most: bool = False
    against: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the figure is on the right side; None where nothing is wanted."""
        if self.wanted is None:
            return None
        return self.reached <= self.wanted if self.at_most else self.reached >= self.wanted

    def to_json(self) -> dict[str, Any]:
        """Return all of it, with the verdict."""
        return {**asdict(self), "is_met": self.is_met}


def judge(rows: list[Row], disk: list[DiskRow], figures: list[Figure]) -> list[Target]:
    """Return every target with what was reached."""
    return [
        *_in_memory(rows),
        *_over_peers(disk),
        *_over_megatron(disk),
        *_figures(figures),
        *_equal(rows),
    ]


def _in_memory(rows: list[Row]) -> Iterator[Target]:
    for ours in rows:
        if ours.who != OURS or ours.corpus != "web":
            continue
        peer = fastest_exact(rows, ours.model)
        if peer is None or not (ours.warm and peer.warm):
            continue
        yield Target(
            what="in memory, warm, over the fastest exact peer",
            model=ours.model,
            reached=(ours.rate(ours.warm) or 0.0) / (peer.rate(peer.warm) or 1.0),
            wanted=WARM.get(ours.model),
            against=peer.who,
        )


def _over_peers(disk: list[DiskRow]) -> Iterator[Target]:
    for ours in disk:
        peers = [
            row
            for row in disk
            if (row.model, row.corpus) == (ours.model, ours.corpus)
            and row.who not in (OURS, MEGATRON)
        ]
        if ours.who != OURS or not peers:
            continue
        peer = max(peers, key=lambda row: row.rate)
        yield Target(
            what=f"to disk, over every exact peer, {ours.corpus}",
            model=ours.model,
            reached=ours.rate / peer.rate,
            wanted=OVER_PEERS,
            against=peer.who,
        )


def _over_megatron(disk: list[DiskRow]) -> Iterator[Target]:
    ours = {(row.model, row.corpus): row for row in disk if row.who == OURS}
    for row in disk:
        if row.who == MEGATRON:
            yield Target(
                what=f"to disk, over Megatron's path, {row.corpus}",
                model=row.model,
                reached=ours[row.model, row.corpus].rate / row.rate,
                wanted=OVER_MEGATRON.get(row.model) if row.corpus == "web" else None,
            )


def _figures(figures: list[Figure]) -> Iterator[Target]:
    wanted = {"reading, JSON, writing": AROUND_NS_PER_BYTE, "two workers / two runs": SCALING}
    for figure in figures:
        hostile = figure.unit == "x web text"
        limit = WORST if hostile else wanted.get(figure.what)
        if figure.what == "load, again":
            limit = LOAD_MS.get(figure.model)
        yield Target(
            what=f"{figure.what}, {figure.unit}",
            model=figure.model,
            reached=figure.value,
            wanted=limit,
            at_most=figure.unit != "share",
        )


def _equal(rows: list[Row]) -> Iterator[Target]:
    for model in dict.fromkeys(row.model for row in rows):
        ours = [row for row in rows if row.model == model and row.who == OURS]
        yield Target(
            what=f"documents with other ids, of {sum(row.documents for row in ours):,}",
            model=model,
            reached=sum(row.different for row in ours),
            wanted=0,
            at_most=True,
        )
