"""One job in a process of its own: `python -m benchmarks.worker` takes it as JSON and answers so.

A fresh process has one library in it and nothing warm: neither caches nor freed memory of another
one reach the figures. The answer is the last line on stdout.
"""

from __future__ import annotations

import gc
import hashlib
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["RAYON_NUM_THREADS"] = "1"  # read by the libraries when they first start threads
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np

from benchmarks import corpora, end_to_end, peers
from benchmarks.measure import cpu_seconds, measure
from benchmarks.models import Model
from benchmarks.references import Reference, load_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

DIGEST_BYTES = 8
BATCH = 512


def digests_of(ids: NDArray[np.uint32], offsets: NDArray[np.int64]) -> bytes:
    """Return 8 bytes for the ids of each document: what is compared, and kept, for gigabytes."""
    raw = memoryview(np.ascontiguousarray(ids, dtype="<u4")).cast("B")
    bounds = (np.asarray(offsets, dtype=np.int64) * 4).tolist()
    return b"".join(
        hashlib.blake2b(raw[start:end], digest_size=DIGEST_BYTES).digest()
        for start, end in itertools.pairwise(bounds)
    )


def count_different(mine: bytes, theirs: bytes) -> int:
    """Return how many documents have different ids.

    Raises:
        ValueError: The digests are of different numbers of documents.
    """
    if len(mine) != len(theirs):
        counts = [len(each) // DIGEST_BYTES for each in (theirs, mine)]
        raise ValueError(f"expected the ids of {counts[0]} documents, got those of {counts[1]}")
    shape = (-1, DIGEST_BYTES)
    rows = [np.frombuffer(each, dtype=np.uint8).reshape(shape) for each in (mine, theirs)]
    return int((rows[0] != rows[1]).any(axis=1).sum())


def reference(job: dict[str, Any]) -> dict[str, Any]:
    """Encode a corpus with the reference; keep digests of its ids in both modes."""
    library = load_reference(Model(**job["model"]))
    parsed, literal, num_ids, literal_ids = [], [], 0, 0
    for texts in _batches(corpora.load(job["corpus"])):
        both = _in_both_modes(library, texts)
        digests = [digests_of(*peers.flatten_rows(rows)) for rows in both]
        parsed.append(digests[0])
        literal.append(digests[1])
        num_ids += sum(map(len, both[0]))
        literal_ids += sum(map(len, both[1]))
    Path(job["parsed"]).write_bytes(b"".join(parsed))
    Path(job["literal"]).write_bytes(b"".join(literal))
    return {"ids": num_ids, "literal_ids": literal_ids}


def _in_both_modes(library: Reference, texts: list[str]) -> tuple[list[list[int]], list[list[int]]]:
    """Encode with special tokens parsed, and again as text those that spell one."""
    parsed = library.encode(texts, parse_special=True)
    literal = list(parsed)
    spelling = [
        number
        for number, text in enumerate(texts)
        if any(token in text for token in library.special_tokens)
    ]
    rows = library.encode([texts[number] for number in spelling], parse_special=False)
    for number, row in zip(spelling, rows, strict=True):
        literal[number] = row
    return parsed, literal


def _batches(texts: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), BATCH):
        yield texts[start : start + BATCH]


def compare(job: dict[str, Any]) -> dict[str, Any]:
    """Count the documents of which a peer's ids are not those of the reference."""
    encoder = peers.LOADERS[job["peer"]](Model(**job["model"]))
    texts = corpora.load(job["corpus"])
    found, num_ids = [], 0
    for batch in _batches(texts):
        ids, offsets = encoder.flatten(encoder.encode(encoder.prepare(batch)))
        found.append(digests_of(ids, offsets))
        num_ids += len(ids)
    expected = Path(job["digests"]).read_bytes()
    expected = expected[: len(texts) * DIGEST_BYTES]  # a slice is the beginning of a corpus
    different = count_different(b"".join(found), expected)
    return {"different": different, "documents": len(texts), "ids": num_ids}


def memory(job: dict[str, Any]) -> dict[str, Any]:
    """Time encoding in memory: the first pass of a fresh encoder, and the least of the others.

    With `digests` the ids are compared first.
    """
    compared = compare(job) if "digests" in job else {}
    encoder = peers.LOADERS[job["peer"]](Model(**job["model"]))
    prepared = encoder.prepare(corpora.load(job["corpus"]))
    gc.collect()
    seconds = [measure(1, lambda: encoder.encode(prepared))[0] for _ in range(job["passes"])]
    return {**compared, "cold": seconds[0], "warm": min(seconds[1:], default=None)}


def peer_end_to_end(job: dict[str, Any]) -> dict[str, Any]:
    """Time a peer's encoder between orjson, zstandard and one write a batch, loading left out."""
    encoder = peers.LOADERS[job["peer"]](Model(**job["model"]))
    before = cpu_seconds()
    num_ids = end_to_end.peer_path(
        encoder, Path(job["source"]), Path(job["output"]), np.dtype(job["dtype"])
    )
    return {"seconds": cpu_seconds() - before, "ids": num_ids}


def load(job: dict[str, Any]) -> dict[str, Any]:
    """Time loading a tokenizer with ours, wall-clock, the import left out."""
    from preprocess import _rust_ext

    before = time.perf_counter()
    tokenizer = _rust_ext.Tokenizer.load(job["model"]["path"])
    seconds = time.perf_counter() - before
    return {"seconds": seconds, "vocab_size": tokenizer.vocab_size}


def versions(job: dict[str, Any]) -> dict[str, Any]:
    """Return the versions of packages, None for those that are not here."""
    return {name: peers.version(name) for name in job["packages"]}


JOBS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    each.__name__: each for each in (reference, compare, memory, peer_end_to_end, load, versions)
}


def main() -> None:
    job = json.load(sys.stdin)
    try:
        answer = JOBS[job["job"]](job)
    except (ImportError, ValueError, RuntimeError, AttributeError) as error:
        answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
