"""Encoding in memory, and records to `.bin/.idx`, against `tokenizers` and Megatron's path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measure import Result, measure
from preprocess import _rust_ext

if TYPE_CHECKING:
    from pathlib import Path

MEGATRON = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from tokenizers import Tokenizer
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
tokenizer = Tokenizer.from_file(sys.argv[1])
dtype = np.uint16 if tokenizer.get_vocab_size() < 65500 else np.int32
builder = IndexedDatasetBuilder(sys.argv[3] + ".bin", dtype=dtype)
if sys.argv[2] != "-":
    for line in open(sys.argv[2]):
        ids = tokenizer.encode(json.loads(line)["text"], add_special_tokens=False).ids
        builder.add_document(ids, [len(ids)])
builder.finalize(sys.argv[3] + ".idx")
"""
"""What Megatron-LM's preprocess_data.py does, in one process."""


def run(name: str, tokenizer: Path, texts: list[str], work: Path) -> list[Result]:
    """Measure one tokenizer."""
    return [*_in_memory(name, tokenizer, texts), *_end_to_end(name, tokenizer, texts, work)]


def _in_memory(name: str, path: Path, texts: list[str]) -> list[Result]:
    os.environ["RAYON_NUM_THREADS"] = "1"  # read by the library at its first use
    from tokenizers import Tokenizer

    size = sum(len(text.encode()) for text in texts)
    theirs = Tokenizer.from_file(str(path))
    theirs.encode_special_tokens = True
    ours = _rust_ext.Tokenizer.load(path)
    seconds, ids = measure(3, lambda: ours.encode_batch(texts, workers=1))
    their_seconds, encodings = measure(
        1, lambda: theirs.encode_batch_fast(texts, add_special_tokens=False)
    )
    different = sum(
        not np.array_equal(mine, other.ids) for mine, other in zip(ids, encodings, strict=True)
    )
    if different:
        raise SystemExit(f"{path}: {different} of {len(texts):,} documents differ: nothing to time")
    total = sum(len(each) for each in ids)
    what = f"encode in memory, {name}"
    agreement = f"{different} of {len(texts):,} documents differ, {total:,} ids"
    return [
        Result(what=what, who="ours", is_ours=True, text_bytes=size, cpu_seconds=seconds),
        Result(
            what=what,
            who="tokenizers, encode_batch_fast",
            is_ours=False,
            text_bytes=size,
            cpu_seconds=their_seconds,
            agreement=agreement,
        ),
    ]


def _end_to_end(name: str, path: Path, texts: list[str], work: Path) -> list[Result]:
    records = work / f"{name}.jsonl"
    records.write_text(
        "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    )
    size = sum(len(text.encode()) for text in texts)
    ours = [sys.executable, "-m", "preprocess", "tokenize"]
    options = ["--tokenizer", str(path), "--no-eod", "--holdout", "0", "--workers", "1"]
    tiny = work / "tiny.jsonl"
    tiny.write_text('{"text": "a"}\n')

    def our_run(source: Path, output: str) -> float:
        command = [*ours, str(source), str(work / output), *options]
        return measure(1, lambda: subprocess.run(command, check=True, capture_output=True))[0]

    def their_run(source: str, output: str) -> float:
        command = [sys.executable, "-c", MEGATRON, str(path), source, str(work / output)]
        return measure(1, lambda: subprocess.run(command, check=True, capture_output=True))[0]

    # Start and loading are left out on both sides: a run over next to nothing costs just them.
    seconds = our_run(records, f"{name}-ours") - our_run(tiny, f"{name}-start")
    their_seconds = their_run(str(records), f"{name}-theirs") - their_run("-", f"{name}-empty")
    same = (work / f"{name}-ours/part-00000.bin").read_bytes() == (
        work / f"{name}-theirs.bin"
    ).read_bytes()
    if not same:
        raise SystemExit(f"{path}: our .bin differs from that of Megatron's builder")
    what = f"records to .bin/.idx, {name}"
    return [
        Result(what=what, who="ours", is_ours=True, text_bytes=size, cpu_seconds=seconds),
        Result(
            what=what,
            who="json, tokenizers, Megatron's builder",
            is_ours=False,
            text_bytes=size,
            cpu_seconds=their_seconds,
            agreement=".bin is equal",
        ),
    ]
