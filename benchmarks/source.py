"""Records in a `.jsonl.zst`: their texts, and a copy of the first of them."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEVEL = 3
READ_BYTES = 1 << 20


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, decompressed."""
    with path.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        yield from io.BufferedReader(stream, READ_BYTES)


def texts_of(path: Path) -> Iterator[str]:
    """Yield the text of every record."""
    for line in lines_of(path):
        yield json.loads(line)["text"]


def copy_records(source: Path, target: Path, count: int) -> None:
    """Write the first `count` records of a file into another."""
    with zstandard.open(target, "wb", zstandard.ZstdCompressor(level=LEVEL)) as out:
        for line in itertools.islice(lines_of(source), count):
            out.write(line)


def own_records(work: Path) -> Path:
    """Make records of this machine's own Python library."""
    stdlib = sysconfig.get_paths()["stdlib"]
    command = [sys.executable, "-m", "preprocess", "ingest", stdlib, str(work / "own")]
    subprocess.run([*command, "--dataset", "source_code"], check=True)
    return next((work / "own").glob("part-*.jsonl.zst"))
