"""What was written, read back: the ids of indexed datasets, without the code that wrote them.

Layout of an index: 9 bytes magic, version as uint64, one byte element type, numbers of sequences
and documents as uint64, then the length of each sequence as int32. Source: Megatron-Core 0.19.2,
`megatron/core/datasets/indexed_dataset.py`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = struct.Struct("<9sQBQQ")
MAGIC = b"MMIDIDX\x00\x00"
DTYPES: dict[int, np.dtype[Any]] = {4: np.dtype("<i4"), 8: np.dtype("<u2")}
COMPARED_BYTES = 1 << 24


def read_dataset(prefix: Path) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return all ids of a dataset, and where each sequence begins, the end included.

    Raises:
        ValueError: It is no index of version 1, or its `.bin` has another size than it says.
    """
    index = prefix.with_suffix(".idx").read_bytes()
    magic, version, code, sequences, _ = HEADER.unpack_from(index)
    if magic != MAGIC or version != 1 or code not in DTYPES:
        raise ValueError(f"{prefix}.idx: expected version 1 of Megatron's index, got {magic!r}")
    lengths = np.frombuffer(index, dtype="<i4", count=sequences, offset=HEADER.size)
    ids = np.fromfile(prefix.with_suffix(".bin"), dtype=DTYPES[code])
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
    if len(ids) != offsets[-1]:
        raise ValueError(f"{prefix}.bin: expected {offsets[-1]} ids, found {len(ids)}")
    return ids.astype(np.uint32), offsets


def shards_of(directory: Path) -> list[Path]:
    """Return the prefixes of the shards of a directory, in order."""
    return [path.with_suffix("") for path in sorted(directory.glob("part-*.bin"))]


def is_concatenation(whole: Path, parts: list[Path]) -> bool:
    """Return whether a file is exactly what the others are one after another, and not empty."""
    blocks = _blocks(parts)
    with whole.open("rb") as file:
        same = all(file.read(len(block)) == block for block in blocks)
        return same and file.tell() > 0 and not file.read(1)


def _blocks(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(COMPARED_BYTES):
                yield block
