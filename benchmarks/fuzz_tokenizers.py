"""Millions of generated texts: our ids against those of the libraries that define them.

    python -m benchmarks.fuzz_tokenizers --tokenizers DIR --millions 10 [--seed N]

Every text is encoded with special tokens parsed or taken as text, batch by batch in turn. Ends
with 1 if any ids differ, and prints the first texts of which they do; the same seed gives the same
texts for any number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 (typer reads annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.grammar import texts
from benchmarks.models import Model, find_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.references import Reference
    from preprocess._rust_ext import Tokenizer

BATCH = 5_000
SHOWN = 5

type Job = tuple[Model, int, int]
"""Tokenizer, seed, number of texts."""


@dataclass(kw_only=True, slots=True)
class Tally:
    """What was compared."""

    strings: int = 0
    ids: int = 0
    text_bytes: int = 0
    different: int = 0
    examples: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = f"{self.strings:,} texts, {self.text_bytes:,} bytes, {self.ids:,} ids"
        lines = "".join(f"\n  {example}" for example in self.examples)
        return f"{counts}, {self.different:,} different{lines}"

    def add(self, other: Tally) -> None:
        """Count what another one counted."""
        self.strings += other.strings
        self.ids += other.ids
        self.text_bytes += other.text_bytes
        self.different += other.different
        self.examples += other.examples[: SHOWN - len(self.examples)]


_loaded: dict[str, tuple[Tokenizer, Reference]] = {}


def _pair(model: Model) -> tuple[Tokenizer, Reference]:
    """Return both encoders; a process keeps the last tokenizer only, they are large."""
    if model.name not in _loaded:
        from benchmarks.references import load_reference
        from preprocess._rust_ext import Tokenizer

        ours = Tokenizer.load(model.path)
        if ours.fallback_reason is not None:
            raise ValueError(f"{model.name}: a library would be compared with itself")
        _loaded.clear()
        _loaded[model.name] = ours, load_reference(model)
    return _loaded[model.name]


def compare(ours: Tokenizer, reference: Reference, given: Sequence[str], *, parse: bool) -> Tally:
    """Encode texts with both and count what came out."""
    tally = Tally(strings=len(given), text_bytes=sum(len(text.encode()) for text in given))
    rows = ours.encode_batch(given, parse_special=parse, workers=1)
    expected_rows = reference.encode(given, parse_special=parse)
    for text, row, expected in zip(given, rows, expected_rows, strict=True):
        tally.ids += len(expected)
        if row.tolist() != expected:
            tally.different += 1
            if len(tally.examples) < SHOWN:
                tally.examples.append(f"parse_special={parse}: {text[:300]!r}")
    return tally


def compare_one(job: tuple[Model, Sequence[str], bool]) -> Tally:
    """Compare texts in a process of a pool, which keeps its encoders for the next."""
    model, given, parse = job
    return compare(*_pair(model), given, parse=parse)


def _do(job: Job) -> Tally:
    model, seed, count = job
    return compare_one((model, texts(seed, count), seed % 2 == 0))


def fuzz(model: Model, strings: int, seed: int, processes: int) -> Tally:
    """Compare one tokenizer on generated texts."""
    jobs = list(_jobs(model, strings, seed))
    total = Tally()
    if processes == 1:
        for job in jobs:
            total.add(_do(job))
        return total
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        for tally in pool.imap(_do, jobs):
            total.add(tally)
    return total


def _jobs(model: Model, strings: int, seed: int) -> Iterator[Job]:
    for number, start in enumerate(range(0, strings, BATCH)):
        yield model, seed * 1_000_003 + number, min(BATCH, strings - start)


def main(
    tokenizers: Annotated[Path, typer.Option(help="Folders gpt2, llama3, ..., tiktoken.")],
    millions: Annotated[float, typer.Option(help="Strings for each tokenizer.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Other strings for another number.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="A tokenizer; again for more.")] = None,
    processes: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
) -> None:
    """Compare ids on generated texts, for every tokenizer of a directory."""
    os.environ["RAYON_NUM_THREADS"] = "1"  # for the processes to come: they share the cores
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    models = [model for model in find_models(tokenizers) if not only or model.name in only]
    if not models:
        raise typer.BadParameter(f"expected folders gpt2, llama3, ... in {tokenizers}")
    total = Tally()
    for model in models:
        began = time.monotonic()
        tally = fuzz(model, round(millions * 1e6), seed, processes)
        print(f"{model.name}: {tally}, {time.monotonic() - began:.0f} s", flush=True)
        total.add(tally)
    if total.different or not total.ids:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
