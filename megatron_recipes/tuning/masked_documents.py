"""Documents of indexed datasets with their masks: which of their tokens' losses count.

The mask of a document is the document of the same number in `<prefix>_mask` (uint8, 1 where the
loss counts). Masks go by position, never by the value of a token.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
from megatron.core.datasets.indexed_dataset import IndexedDataset
from numpy.typing import NDArray

Integers = NDArray[numpy.int64]
Mask = NDArray[numpy.uint8]
MASK_SUFFIX = "_mask"
BLOCK_TOKENS = 1 << 20
"""Of a mask, summed at once."""


class MaskedDocuments:
    """The documents of several prefixes with their masks, numbered through."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        """Open the datasets; ValueError where a mask does not have the same documents."""
        self.prefixes = tuple(prefixes)
        self._tokens = [IndexedDataset(prefix) for prefix in prefixes]
        self._masks = [
            _open_mask(prefix, tokens.sequence_lengths)
            for prefix, tokens in zip(prefixes, self._tokens, strict=True)
        ]
        self._first = numpy.cumsum([0, *map(len, self._tokens)])
        self._starts = [_starts(part.sequence_lengths) for part in self._tokens]
        self.lengths: Integers = numpy.concatenate(
            [numpy.empty(0, numpy.int64), *(part.sequence_lengths for part in self._tokens)]
        ).astype(numpy.int64)
        """`[number of documents]`: tokens of each."""

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.lengths)

    def parts(self) -> Iterator[tuple[str, range]]:
        """Yield the prefixes, each with the numbers of its documents."""
        for prefix, (first, behind) in zip(
            self.prefixes, itertools.pairwise(self._first.tolist()), strict=True
        ):
            yield prefix, range(first, behind)

    def place(self, document: int) -> tuple[int, int]:
        """Return the prefix of a document and its number there."""
        part = int(numpy.searchsorted(self._first, document, side="right")) - 1
        return part, document - int(self._first[part])

    def tokens(self, document: int, start: int = 0, length: int | None = None) -> Any:
        """Return a run of a document's tokens, `[length]`."""
        part, number = self.place(document)
        return self._tokens[part].get(number, offset=start, length=length)

    def mask(self, document: int, start: int = 0, length: int | None = None) -> Mask:
        """Return the mask of such a run, `[length]`."""
        part, number = self.place(document)
        begin, end = (int(self._starts[part][number + last]) for last in (0, 1))
        begin += start
        return self._masks[part][begin : end if length is None else begin + length]

    @functools.cached_property
    def trained_tokens(self) -> Integers:
        """How many tokens of each document count, `[number of documents]`.

        The masks are read once from end to end: half a second for a million conversations.
        """
        parts = zip(self._masks, self._starts, strict=True)
        return numpy.concatenate(
            [numpy.empty(0, numpy.int64), *(_sums(mask, starts) for mask, starts in parts)]
        )

    def counting_starts(self) -> Integers:
        """Return 1 for each document whose first token counts, else 0, `[number of documents]`."""
        found = [numpy.empty(0, numpy.int64)]
        for mask, starts in zip(self._masks, self._starts, strict=True):
            firsts = numpy.zeros(len(starts) - 1, numpy.int64)
            has_tokens = numpy.diff(starts) > 0
            firsts[has_tokens] = mask[starts[:-1][has_tokens]]
            found.append(firsts)
        return numpy.concatenate(found)


def _open_mask(prefix: str, lengths: Any) -> Mask:
    """Return the mask of a dataset's documents, one behind the other."""
    name, index = f"{prefix}{MASK_SUFFIX}", IndexedDataset(prefix + MASK_SUFFIX)
    if not numpy.array_equal(lengths, index.sequence_lengths):
        raise ValueError(
            f"{name}.idx: expected a mask of the same documents as {prefix}.idx "
            f"({len(lengths):,}), found {len(index):,} or others; tokenize it again"
        )
    expected, found = int(lengths.sum(dtype=numpy.int64)), Path(f"{name}.bin").stat().st_size
    if found != expected:
        raise ValueError(
            f"{name}.bin: expected {expected:,} bytes, one for each token, found {found:,}; "
            "tokenize it again"
        )
    if not found:  # which cannot be mapped
        return numpy.empty(0, numpy.uint8)
    # The map alone: what subclasses an array costs a microsecond at every slice.
    return numpy.asarray(numpy.memmap(f"{name}.bin", numpy.uint8, mode="r"))


def _starts(lengths: Any) -> Integers:
    """Return where each document begins, and where the last ends."""
    return numpy.concatenate([[0], numpy.cumsum(lengths, dtype=numpy.int64)])


def _sums(mask: Mask, starts: Integers) -> Integers:
    sums = numpy.zeros(len(starts) - 1, numpy.int64)
    has_tokens = numpy.flatnonzero(numpy.diff(starts))  # of nothing, `reduceat` has what follows
    begins = starts[has_tokens]
    # In blocks, since the sum of a whole mask would hold four bytes for each of its tokens.
    borders = numpy.searchsorted(begins, numpy.arange(0, len(mask), BLOCK_TOKENS))
    for first, last in itertools.pairwise([*borders.tolist(), len(begins)]):
        if first < last:
            block = slice(begins[first], starts[has_tokens[last - 1] + 1])
            offsets = begins[first:last] - begins[first]
            found = numpy.add.reduceat(mask[block], offsets, dtype=numpy.int32)
            sums[has_tokens[first:last]] = found
    return sums
