"""Document lengths, from the `.idx` files alone.

| offset | bytes | is |
|---|---|---|
| 0 | 9 | `MMIDIDX`, two zero bytes |
| 9 | 8 | version, 1 |
| 17 | 1 | code of the element type |
| 18 | 8 | number of sequences |
| 26 | 8 | number of document indices |
| 34 | 4 each | length of every sequence in tokens, int32 |

A sequence is a document in what `tokenize` writes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preprocess.errors import describe_os_error
from preprocess.report.blends import group_order
from preprocess.sidecar import with_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.report.blends import Dataset

MAGIC = b"MMIDIDX\0\0"
HEADER_BYTES = 34
LARGEST_SAMPLE = 20_000_000
"""Documents looked at; above, every k-th is: 80 MB of lengths, and percentiles to four digits."""
BLOCK_LENGTHS = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """Tokens per document of one group."""

    group: str
    documents: int
    """All of them; `tokens` holds every `stride`-th."""
    stride: int
    tokens: NDArray[np.int32]
    """Ascending, never empty."""

    def percentile(self, share: float) -> int:
        """Return the smallest length that at least this share of the documents does not exceed."""
        rank = int(np.ceil(share * len(self.tokens))) - 1
        return int(self.tokens[max(rank, 0)])


def read_lengths(datasets: list[Dataset], notes: list[str]) -> list[Lengths]:
    """Return the lengths by group; an `.idx` that cannot be read becomes a note."""
    documents = sum(dataset.documents for dataset in datasets)
    stride = max(1, -(-documents // LARGEST_SAMPLE))
    blocks: dict[str, list[NDArray[np.int32]]] = {}
    counts: dict[str, int] = {}
    for dataset in datasets:
        try:
            count, lengths = _read_index(with_suffix(dataset.prefix, ".idx"), stride)
        except (OSError, ValueError) as error:
            notes.append(describe_os_error(error) if isinstance(error, OSError) else str(error))
            continue
        blocks.setdefault(dataset.group, []).append(lengths)
        counts[dataset.group] = counts.get(dataset.group, 0) + count
    merged = {group: np.sort(np.concatenate(found)) for group, found in blocks.items()}
    return [
        Lengths(group=group, documents=counts[group], stride=stride, tokens=merged[group])
        for group in sorted(merged, key=group_order)
        if len(merged[group])
    ]


def _read_index(path: Path, stride: int) -> tuple[int, NDArray[np.int32]]:
    """Return the number of documents and every `stride`-th length.

    Raises:
        ValueError: It is no index, or ends before its last length.
    """
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
            raise ValueError(f"{path}: expected an index of Megatron's format, found another file")
        (count,) = struct.unpack_from("<Q", header, 18)
        room = (path.stat().st_size - HEADER_BYTES) // 4
        if count > room:
            raise ValueError(f"{path}: expected {count:,} lengths, the file has room for {room:,}")
        kept = list(_strided(path, count, stride))
    empty = np.empty(0, np.int32)
    return count, np.concatenate(kept) if kept else empty


def _strided(path: Path, count: int, stride: int) -> Iterator[NDArray[np.int32]]:
    # Blocks whose length is a multiple of the stride: each begins with a document that is kept.
    block = max(1, BLOCK_LENGTHS // stride) * stride
    for first in range(0, count, block):
        yield np.fromfile(
            path, "<i4", count=min(block, count - first), offset=HEADER_BYTES + 4 * first
        )[::stride]
