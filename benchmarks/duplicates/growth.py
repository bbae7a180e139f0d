"""What a longer corpus and another script cost, within bounded memory."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.corpora import within
from benchmarks.duplicates import scripts
from benchmarks.duplicates.end_to_end import FORMATS, formats
from benchmarks.duplicates.variants import Variants
from benchmarks.source import texts_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.duplicates.rig import Corpus, Rig, Taken
    from benchmarks.process_tree import Usage

FACTORS = (1, 4, 16)
MEMORY = "256MiB"


@dataclass(frozen=True, kw_only=True, slots=True)
class Grown:
    """Ours on a corpus so many times as long; starting is left out of the times."""

    factor: int
    records: int
    text_bytes: int
    input_bytes: int
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    removed: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """Ours on the same records in another script; starting is left out."""

    name: str
    text_bytes: int
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """MB of text per CPU-second."""
        return self.text_bytes / 1e6 / self.cpu_seconds

    def to_json(self) -> dict[str, Any]:
        """Return all of it, with the rate."""
        return {**asdict(self), "rate": self.rate}


def grow(rig: Rig, workers: int) -> Iterator[Grown]:
    """Measure with bounded memory on the corpus and its variants in other words."""
    variants = Variants(rig.corpus("web").path)
    for factor in FACTORS:
        path = rig.work / f"grown-{factor}.jsonl.zst"
        records, size = variants.write(path, factor)
        corpus = rig.add(path.stem, path, records, size)
        yield _grown(rig, corpus, factor, workers)
        path.unlink()


def _grown(rig: Rig, corpus: Corpus, factor: int, workers: int) -> Grown:
    options = ("--workers", str(workers), "--memory", MEMORY)
    taken = _measure(rig, corpus, options, runs=1 if factor > 1 else rig.runs)
    manifest = json.loads((_output(rig) / "manifest.json").read_text())
    return Grown(
        factor=factor,
        records=corpus.records,
        text_bytes=corpus.text_bytes,
        input_bytes=corpus.path.stat().st_size,
        removed=corpus.records - manifest["counts"]["out"],
        **asdict(taken),
    )


def _output(rig: Rig) -> Path:
    return rig.work / "grown"


def _measure(rig: Rig, corpus: Corpus, options: tuple[str, ...], runs: int) -> Taken:
    output = _output(rig)

    def once(source: Path) -> Usage:
        shutil.rmtree(output, ignore_errors=True)
        return rig.ours([source], output, *options)

    return rig.least(once, corpus.path, runs)


def in_scripts(rig: Rig, limit_bytes: int) -> Iterator[Script]:
    """Measure web text and the same in other scripts, one worker."""
    texts = within(texts_of(rig.corpus("web").path), limit_bytes)
    options = ("--workers", "1", *FORMATS[formats(rig)[0]])
    written = {"web": texts} | {
        name: list(scripts.rewritten(texts, name)) for name in scripts.SCRIPTS
    }
    for name, rewritten in written.items():
        corpus = rig.store(f"script {name}", map(_line, itertools.count(), rewritten))
        taken = _measure(rig, corpus, options, runs=rig.runs)
        yield Script(name=name, text_bytes=corpus.text_bytes, cpu_seconds=taken.cpu_seconds)


def _line(number: int, text: str) -> bytes:
    return json.dumps({"id": f"r#{number}", "text": text}, ensure_ascii=False).encode() + b"\n"
