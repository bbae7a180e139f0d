"""The memory of `dedup` is what `--memory` says, however short or long records are."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import zstandard
from test_tokenize_memory import MEASURED, write_short_records

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def peaks(source: Path, output: Path, steps: list[str], workers: int) -> dict[str, float]:
    """Return the most memory that each step took with 256 MiB, in MiB."""
    found = {}
    for step in steps:
        command = [sys.executable, "-m", "preprocess", "dedup", str(source), str(output)]
        options = ["--memory", "256MiB", "--workers", str(workers), "--step", step]
        measured = [sys.executable, "-c", MEASURED, *command, *options]
        done = subprocess.run(measured, capture_output=True, check=True)
        found[step] = int(done.stdout) / MIB
    return found


@pytest.mark.parametrize(
    "count", [900_000, pytest.param(20_010_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_any_number_of_short_records_stays_within_its_memory(tmp_path: Path, count: int) -> None:
    source = tmp_path / "short.jsonl.zst"
    write_short_records(source, count)
    found = peaks(source, tmp_path / "out", ["sign", "bands"], workers=2)
    assert max(found.values()) < 356, found
    keys = (tmp_path / "out/units/00000.sign").stat().st_size
    assert keys > 204 * count, "every line is to have its keys"


def test_long_records_stay_within_their_memory(tmp_path: Path) -> None:
    source = tmp_path / "long.jsonl.zst"
    text = " ".join(f"word{number}" for number in range(1_000_000))  # 11 MB
    with source.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as writer:
        for number in range(24):
            writer.write(f'{{"id": "{number}", "text": "{number} {text}"}}\n'.encode())
    found = peaks(source, tmp_path / "out", ["sign", "bands"], workers=2)
    assert max(found.values()) < 356, found
    assert (tmp_path / "out/units/00000.words").stat().st_size == 24 * 1_000_001 * 4


def test_pieces_of_a_letter_stay_within_their_memory(tmp_path: Path) -> None:
    source = tmp_path / "short.jsonl"
    letters = "\\n".join("abcdefghijklmnopqrstuvwxyz" * 770)
    with source.open("w") as file:
        for number in range(600):
            file.write(f'{{"id": "{number}", "text": "{number}\\n{letters}"}}\n')
    options = ["--memory", "64MiB", "--workers", "2", "--scope", "line", "--min-piece-chars", "1"]
    command = [sys.executable, "-m", "preprocess", "dedup", str(source), str(tmp_path / "out")]
    for step in ("sign", "bands", "connect", "drop"):
        measured = [sys.executable, "-c", MEASURED, *command, *options, "--step", step]
        done = subprocess.run(measured, capture_output=True, check=True)
        # A batch is 1 MiB and has 350,000 pieces: 32,768 of them are in memory at a time.
        assert int(done.stdout) / MIB < 64 + 76, step
