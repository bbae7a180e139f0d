"""The memory of `tokenize` does not follow the length of the input."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import zstandard

if TYPE_CHECKING:
    from pathlib import Path


def peak_bytes(source: Path, output: Path, tokenizer: Path) -> int:
    """Return the most memory that a run with two workers took."""
    command = [sys.executable, "-m", "preprocess", "tokenize", str(source), str(output)]
    options = ["--tokenizer", str(tokenizer), "--holdout", "0", "--workers", "2"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


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
