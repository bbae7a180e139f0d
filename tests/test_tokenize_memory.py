"""The memory of `tokenize` does not follow the length of the input."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import zstandard

if TYPE_CHECKING:
    from pathlib import Path


# A process that a large one starts counts that one's memory as its own peak (`ru_maxrss` outlives
# `exec`), so a small one starts it and measures.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
print(usage.ru_maxrss * 1024)
"""


def peak_bytes(source: Path, output: Path, tokenizer: Path) -> int:
    """Return the most memory that a run with two workers took."""
    command = [sys.executable, "-m", "preprocess", "tokenize", str(source), str(output)]
    options = ["--tokenizer", str(tokenizer), "--holdout", "0", "--workers", "2"]
    measured = [sys.executable, "-c", MEASURED, *command, *options]
    return int(subprocess.run(measured, capture_output=True, check=True).stdout)


def write_short_records(path: Path, count: int) -> None:
    texts = ("a", "bc", "def")
    lines = "".join(f'{{"text": "{texts[number % 3]}"}}\n' for number in range(30_000)).encode()
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as writer:
        for _ in range(count // 30_000):
            writer.write(lines)


@pytest.mark.parametrize(
    "count", [900_000, pytest.param(20_010_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_any_number_of_short_records_stays_below_600_mb(
    tmp_path: Path, tokenizer: Path, count: int
) -> None:
    source = tmp_path / "short.jsonl.zst"
    write_short_records(source, count)
    assert peak_bytes(source, tmp_path / "out", tokenizer) < 600_000_000
    index = (tmp_path / "out/part-00000.idx").stat().st_size
    assert index > 20 * count, "all of them are to be in the index"
