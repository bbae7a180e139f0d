"""From `.jsonl.zst` to survivors: ours in both formats and with less of the machine, and peers."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.duplicates.peers import PEERS, SLOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.brute_force import Judgement
    from benchmarks.duplicates.rig import Corpus, Rig, Taken
    from benchmarks.duplicates.truth import Truth
    from benchmarks.process_tree import Usage

OURS = "ours"
FORMATS = {
    "JSONL": ("--format", "jsonl"),
    "zstd level 1": ("--format", "jsonl.zst", "--compression-level", "1"),
    "default": (),
}
"""What survivors are written as; peers write JSONL, which costs them least."""

INSTRUCTIONS = ("", "avx2")
"""Ours: what `HEPHAESTUS_FORGE_SIMD` says, nothing for all that the machine has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One way from records to survivors; starting is left out of the times."""

    who: str
    corpus: str
    text_bytes: int = 0
    records: int = 0
    format: str = "JSONL"
    simd: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_bytes: int = 0
    """Of all processes, what starting takes included."""

    output_bytes: int = 0
    removed: int = 0
    alone: dict[str, int] = field(default_factory=dict)
    """By similarity: removed records without a kept one of at least that similarity."""

    pairs: int = 0
    found: int = 0
    failed: str | None = None
    """Why there is nothing to measure."""

    @property
    def rate(self) -> float:
        """MB of text per CPU-second; 0 where nothing was measured."""
        return self.text_bytes / 1e6 / self.cpu_seconds if self.cpu_seconds else 0.0

    @property
    def recall(self) -> float:
        """Share of the pairs at or above the threshold of which not both were kept."""
        return self.found / max(self.pairs, 1)

    def to_json(self) -> dict[str, Any]:
        """Return all of it, with the rate and the recall."""
        return {**asdict(self), "rate": self.rate, "recall": self.recall}


def run(rig: Rig, own: Truth, plain: Truth) -> Iterator[Row]:
    """Measure ours on both corpora, then every peer on the one that it can do in minutes.

    Args:
        rig: Where the corpora are.
        own: The similar pairs by the words of `preprocess dedup`.
        plain: Those by the words that most peers have.
    """
    known = formats(rig)
    for simd, form in itertools.product(INSTRUCTIONS, known):
        yield ours(rig, own, rig.corpus("web"), form, simd)
    yield ours(rig, own, rig.corpus("web slice"), known[0], "")
    for who in PEERS:
        yield peer(rig, plain, rig.corpus("web slice" if who in SLOW else "web"), who)


def formats(rig: Rig) -> list[str]:
    """Return what the command can write survivors as, what is fastest first."""
    known = rig.preprocess("dedup", "--help").stdout
    return [
        name
        for name, options in FORMATS.items()
        if all(option in known for option in options if option.startswith("--"))
    ]


def ours(rig: Rig, truth: Truth, corpus: Corpus, form: str, simd: str) -> Row:
    """Measure `preprocess dedup` with default options and one worker."""
    output = output_of(rig, OURS, corpus)

    def once(source: Path) -> Usage:
        shutil.rmtree(output, ignore_errors=True)
        return rig.ours([source], output, "--workers", "1", *FORMATS[form], simd=simd)

    taken = rig.least(once, corpus.path, rig.runs)
    judgement = truth.judge(corpus, output)
    return _row(OURS, corpus, taken, output, judgement, form=form, simd=simd)


def peer(rig: Rig, truth: Truth, corpus: Corpus, who: str) -> Row:
    """Measure a peer, or say why that cannot be."""
    output = output_of(rig, who, corpus)
    reasons: list[str] = []

    def once(source: Path) -> Usage:
        shutil.rmtree(output, ignore_errors=True)
        usage, failed = rig.peer(who, source, output)
        reasons.extend([failed] if failed else [])
        return usage

    once(rig.one_record())
    if reasons:
        return Row(who=who, corpus=corpus.name, failed=reasons[0])
    taken = rig.least(once, corpus.path, 1 if who in SLOW else rig.runs)
    if reasons:
        return Row(who=who, corpus=corpus.name, failed=reasons[0])
    return _row(who, corpus, taken, output, truth.judge(corpus, output))


def output_of(rig: Rig, who: str, corpus: Corpus) -> Path:
    """Return where a run leaves its survivors."""
    return rig.work / f"{who}-{corpus.name}".replace(" ", "-").replace(",", "")


def _row(
    who: str,
    corpus: Corpus,
    taken: Taken,
    output: Path,
    judgement: Judgement,
    *,
    form: str = "JSONL",
    simd: str = "",
) -> Row:
    return Row(
        who=who,
        corpus=corpus.name,
        text_bytes=corpus.text_bytes,
        records=corpus.records,
        format=form,
        simd=simd,
        **asdict(taken),
        output_bytes=sum(path.stat().st_size for path in output.rglob("*") if path.is_file()),
        removed=judgement.removed,
        alone=judgement.alone,
        pairs=judgement.pairs,
        found=judgement.found,
    )
