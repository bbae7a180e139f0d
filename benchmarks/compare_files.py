"""Ids of whole files: ours against those of the libraries that define them.

    python -m benchmarks.compare_files --tokenizers DIR FOLDER_OR_FILE...

Every UTF-8 file below the folders is read, `.zst` and `.gz` decompressed and `.jsonl` cut into its
lines, which are documents as they stand. Ends with 1 if any ids differ.
"""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import sys
import time
from pathlib import Path  # noqa: TC003 (typer reads annotations)
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer
import zstandard

from benchmarks.fuzz_tokenizers import Tally, compare_one
from benchmarks.models import Model, find_models

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH_BYTES = 4 << 20
PIECE_BYTES = 1 << 20
"""Longer lines are compared in pieces: some references are quadratic in the length of a word."""


def documents(path: Path) -> Iterator[str]:
    """Yield the documents of a file; none of one that is not UTF-8 throughout."""
    try:
        with _opened(path) as file:
            if ".jsonl" in path.name:
                for line in file:
                    yield from _pieces(line.decode())
            else:
                yield from _pieces(file.read().decode())
    except (UnicodeDecodeError, OSError, EOFError, zstandard.ZstdError):
        return  # an image, a library, a damaged example


def _opened(path: Path) -> BinaryIO:
    raw = path.open("rb")
    if path.suffix == ".zst":
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
    return gzip.open(raw) if path.suffix == ".gz" else raw  # type: ignore[return-value]


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE_BYTES):
        yield text[start : start + PIECE_BYTES]


def files_of(paths: list[Path]) -> list[Path]:
    """Return all files below the paths, in order, links left out."""
    found = []
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [each for each in inside if each.is_file() and not each.is_symlink()]
    return found


def batches(files: list[Path]) -> Iterator[list[str]]:
    """Yield the documents of files in batches of some megabytes."""
    texts: list[str] = []
    size = 0
    for path in files:
        for text in documents(path):
            texts.append(text)
            size += len(text)
            if size >= BATCH_BYTES:
                yield texts
                texts, size = [], 0
    if texts:
        yield texts


def compare_files(model: Model, files: list[Path], processes: int) -> Tally:
    """Compare one tokenizer on all documents, with special tokens parsed and as text in turn."""
    total = Tally()
    jobs = ((model, texts, number % 2 == 0) for number, texts in enumerate(batches(files)))
    if processes == 1:
        for job in jobs:
            total.add(compare_one(job))
        return total
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for tally in pool.imap_unordered(compare_one, jobs):
            total.add(tally)
    return total


def main(
    paths: Annotated[list[Path], typer.Argument(help="Folders and files.")],
    tokenizers: Annotated[Path, typer.Option(help="Folders gpt2, llama3, ..., tiktoken.")],
    only: Annotated[list[str] | None, typer.Option(help="A tokenizer; again for more.")] = None,
    processes: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
) -> None:
    """Compare ids on files, for every tokenizer of a directory."""
    os.environ["RAYON_NUM_THREADS"] = "1"  # for the processes to come: they share the cores
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    files = files_of(paths)
    total = Tally()
    for model in find_models(tokenizers):
        if only and model.name not in only:
            continue
        began = time.monotonic()
        tally = compare_files(model, files, processes)
        seconds = time.monotonic() - began
        print(f"{model.name}: {len(files):,} files, {tally}, {seconds:.0f} s", flush=True)
        total.add(tally)
    if total.different or not total.ids:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
