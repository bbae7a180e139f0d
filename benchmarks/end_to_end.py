"""From `.jsonl.zst` to ids on disk: ours by its command, peers by the shortest path around them.

A peer's encoder stands between zstandard, orjson and one numpy write a batch, without index,
sidecars or checksums: nothing that its users need is slower. Megatron's path is that of its
preprocess_data.py: json, the reference in a pool of one process, IndexedDatasetBuilder.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.measure import measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np

    from benchmarks.models import Model
    from benchmarks.peers import Encoder

BATCH_BYTES = 4 << 20
READ_BYTES = 1 << 20


def peer_path(encoder: Encoder, source: Path, output: Path, dtype: np.dtype) -> int:
    """Write the ids of all records of `source` into `output`; return how many."""
    num_ids = 0
    with output.open("wb") as out:
        for texts in _batches(source):
            ids, _ = encoder.flatten(encoder.encode(encoder.prepare(texts)))
            ids.astype(dtype, copy=False).tofile(out)
            num_ids += len(ids)
    return num_ids


def _batches(source: Path) -> Iterator[list[str]]:
    import orjson
    import zstandard

    texts, size = [], 0
    with source.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(
            file, read_size=READ_BYTES, read_across_frames=True
        )
        for line in io.BufferedReader(stream, READ_BYTES):
            texts.append(orjson.loads(line)["text"])
            size += len(line)
            if size >= BATCH_BYTES:
                yield texts
                texts, size = [], 0
    if texts:
        yield texts


def our_command(model: Model, source: Path, output: Path, *, workers: int = 1) -> list[str]:
    """Return the command of a whole stage: shards, index, sidecars, checksums, manifest."""
    command = [sys.executable, "-m", "preprocess", "tokenize", str(source), str(output)]
    options = ["--tokenizer", model.path, "--no-eod", "--holdout", "0", "--workers", str(workers)]
    return command + options


def our_seconds(model: Model, source: Path, output: Path, *, runs: int) -> float:
    """Return the least CPU-seconds of several runs, starting and loading included."""
    return measure(runs, lambda: run_afresh([our_command(model, source, output)], [output]))[0]


def run_afresh(commands: Sequence[list[str]], outputs: Sequence[Path]) -> None:
    """Run commands side by side into directories that are not there yet.

    Raises:
        RuntimeError: One failed; the message has its last line.
    """
    for output in outputs:
        shutil.rmtree(output, ignore_errors=True)
    running = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    failed = [process for process in running if process.communicate()[1] and process.returncode]
    ended = [process.returncode for process in running]
    if failed or any(ended):
        raise RuntimeError(f"{' '.join(commands[0])}: exit statuses {ended}")


def megatron_seconds(model: Model, source: Path, prefix: Path) -> float:
    """Return the CPU-seconds of Megatron's path, starting and loading included."""
    command = [sys.executable, "-m", "benchmarks.megatron_path", model.name, model.path]
    command += [str(source), str(prefix)]
    return measure(1, lambda: run_afresh([command], []))[0]
