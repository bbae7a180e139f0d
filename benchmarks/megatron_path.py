"""What Megatron-LM's preprocess_data.py does, with one worker; special tokens are text.

    python -m benchmarks.megatron_path NAME TOKENIZER SOURCE.jsonl PREFIX

Its `Encoder` is the reference library of the tokenizer in a process of a pool, its writer is
Megatron-Core's own builder.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.models import Model
from benchmarks.references import Reference, load_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL_VOCABULARY = 65_500
CHUNK = 32
"""Lines that the pool hands over at once; source: preprocess_data.py."""

_library: Reference


def _start(model: Model) -> None:
    global _library
    _library = load_reference(model)


def _encode(line: str) -> list[int]:
    return _library.encode([json.loads(line)["text"]], parse_special=False)[0]


def _documents(model: Model, source: str) -> Iterator[list[int]]:
    context = multiprocessing.get_context("spawn")
    with Path(source).open(encoding="utf-8") as lines, context.Pool(1, _start, (model,)) as pool:
        yield from pool.imap(_encode, lines, CHUNK)
        pool.close()
        pool.join()


def main(name: str, tokenizer: str, source: str, prefix: str) -> None:
    warnings.simplefilter("ignore")  # of optional packages that Megatron-Core misses
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    from preprocess import _rust_ext

    model = Model(name=name, path=tokenizer)
    vocab_size = _rust_ext.Tokenizer.load(tokenizer).vocab_size
    dtype = np.uint16 if vocab_size < SMALL_VOCABULARY else np.int32
    builder = IndexedDatasetBuilder(prefix + ".bin", dtype=dtype)
    for ids in _documents(model, source):
        builder.add_document(ids, [len(ids)])
    builder.finalize(prefix + ".idx")


if __name__ == "__main__":
    main(*sys.argv[1:5])
