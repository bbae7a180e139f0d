"""All pairs of records at or above a similarity, found exactly, and what a run made of them.

No pair is left out: two sets of which `least` of the larger one is common share one of their
rarest elements, so it is enough to index, of each set ordered by rarity, the first
`size - ceil(least * size) + 1`. Each candidate is then compared in full, in whole numbers.

Source: Bayardo, Ma and Srikant, "Scaling up all pairs similarity search" (2007); Xiao et al.,
"Efficient similarity joins for near duplicate detection" (2008), without the positional filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.shingles import Sets

type Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of records with what they have in common; the left one is the earlier."""

    left: Numbers
    right: Numbers
    common: Numbers
    union: Numbers

    def __len__(self) -> int:
        return len(self.left)

    @property
    def jaccard(self) -> NDArray[np.float64]:
        """The similarity of each pair."""
        return self.common / self.union

    def where(self, wanted: NDArray[np.bool_]) -> Pairs:
        """Return some of the pairs."""
        return Pairs(self.left[wanted], self.right[wanted], self.common[wanted], self.union[wanted])

    def at_least(self, least: Fraction) -> Pairs:
        """Return the pairs of at least this similarity, by whole numbers."""
        return self.where(self.common * least.denominator >= self.union * least.numerator)

    def within(self, records: int) -> Pairs:
        """Return the pairs among the first records."""
        return self.where(self.right < records)


def jaccard_of(sets: Sets, left: int, right: int) -> Fraction:
    """Return the similarity of two records, exactly; 0 where one has no shingles."""
    one, other = sets.of(left), sets.of(right)
    common = len(np.intersect1d(one, other, assume_unique=True))
    return Fraction(common, max(len(one) + len(other) - common, 1))


def similar_pairs(sets: Sets, least: Fraction) -> Pairs:
    """Return every pair of non-empty sets whose Jaccard similarity is at least `least`.

    Args:
        sets: The sets of the records.
        least: Above 0, at most 1.
    """
    order = np.argsort(sets.sizes, kind="stable")  # place -> record, the smallest first
    tokens, starts, counts = _by_rarity(sets, order)
    index = _Index(starts, sets.sizes[order], counts, tokens, least)
    found = [
        (np.full(len(places), place), places, common)
        for place, places, common in index.matches()
        if len(places)
    ]
    empty = [np.zeros(0, dtype=np.int64)] * 3
    later, earlier, common = (np.concatenate(each) for each in zip(empty, *found, strict=True))
    records = np.sort(order[np.stack([later, earlier])], axis=0)
    union = sets.sizes[records[0]] + sets.sizes[records[1]] - common
    pairs = Pairs(records[0], records[1], common, union)
    ranks = np.lexsort((pairs.right, pairs.left))
    return Pairs(pairs.left[ranks], pairs.right[ranks], common[ranks], union[ranks])


def _by_rarity(sets: Sets, order: Numbers) -> tuple[NDArray[np.int32], Numbers, Numbers]:
    """Return the sets in this order as numbers by rarity, ascending, their starts, and how often
    each number occurs."""
    _, inverse, counts = np.unique(sets.values, return_inverse=True, return_counts=True)
    rarest = np.argsort(counts, kind="stable")
    ranks = np.empty(len(rarest), dtype=np.int64)
    ranks[rarest] = np.arange(len(rarest))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    keys = (np.repeat(places, sets.sizes) << 32) | ranks[inverse]
    keys.sort()
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sets.sizes[order])])
    return (keys & 0xFFFFFFFF).astype(np.int32), starts, counts[rarest]


class _Index:
    """The rarest elements of all sets, by element, the smaller set first."""

    def __init__(
        self,
        starts: Numbers,
        sizes: Numbers,
        counts: Numbers,
        tokens: NDArray[np.int32],
        least: Fraction,
    ) -> None:
        self.tokens, self.starts, self.sizes, self.least = tokens, starts, sizes, least
        needed = -(-sizes * least.numerator // least.denominator)
        prefixes = np.where(sizes > 0, sizes - needed + 1, 0)
        at = ranges(starts[:-1], prefixes)
        holders = np.repeat(np.arange(len(sizes)), prefixes)
        shared = counts[tokens[at]] > 1  # what only one set has, finds none
        elements, self.holders = tokens[at][shared].astype(np.int64), holders[shared]
        keys = elements * len(sizes) + self.holders
        ranks = np.argsort(keys)
        keys, self.postings = keys[ranks], self.holders[ranks]
        smallest = np.searchsorted(sizes, needed)  # the first that is not too small to match
        self.ends = np.empty_like(ranks)
        self.ends[ranks] = np.arange(len(ranks))  # an entry's candidates stand before it
        self.begins = np.searchsorted(keys, elements * len(sizes) + smallest[self.holders])
        self.firsts = np.searchsorted(self.holders, np.arange(len(sizes) + 1))

    def matches(self) -> Iterator[tuple[int, Numbers, Numbers]]:
        """Yield for each set the smaller ones similar to it, and how much they have in common."""
        holds = np.full(int(self.tokens.max(initial=0)) + 1, -1, dtype=np.int32)
        for place, size in enumerate(self.sizes.tolist()):
            entries = slice(self.firsts[place], self.firsts[place + 1])
            begins, ends = self.begins[entries], self.ends[entries]
            candidates = np.unique(self.postings[ranges(begins, np.maximum(ends - begins, 0))])
            if not len(candidates):
                continue
            holds[self.tokens[self.starts[place] : self.starts[place + 1]]] = place
            sizes = self.sizes[candidates]
            hits = holds[self.tokens[ranges(self.starts[candidates], sizes)]] == place
            common = np.add.reduceat(hits, np.cumsum(sizes) - sizes, dtype=np.int64)
            union = size + sizes - common
            similar = common * self.least.denominator >= union * self.least.numerator
            yield place, candidates[similar], common[similar]


def ranges(starts: Numbers, counts: Numbers) -> Numbers:
    """Return `starts[i], ..., starts[i] + counts[i] - 1` for all i, one after another."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + counts, counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a run removed, held against all similar pairs."""

    removed: int
    alone: dict[str, int]
    """By similarity: removed records without a kept one of at least that similarity."""

    pairs: int
    """Pairs at or above the threshold."""

    found: int
    """Those of which not both were kept."""


def judge(pairs: Pairs, kept: NDArray[np.bool_], levels: Sequence[str]) -> Judgement:
    """Hold what was kept against pairs that were found by brute force.

    Args:
        pairs: All pairs of at least the lowest level.
        kept: Of each record, whether it survived.
        levels: Similarities as decimals; the first is the threshold.
    """
    alone = {}
    for level in levels:
        similar = pairs.at_least(Fraction(level))
        has_kept = kept.copy()
        has_kept[similar.left[kept[similar.right]]] = True
        has_kept[similar.right[kept[similar.left]]] = True
        alone[level] = int((~has_kept).sum())
    similar = pairs.at_least(Fraction(levels[0]))
    both = kept[similar.left] & kept[similar.right]
    return Judgement(
        removed=int((~kept).sum()),
        alone=alone,
        pairs=len(similar),
        found=int((~both).sum()),
    )


def expected_recall(jaccard: NDArray[np.float64], num_bands: int, rows_per_band: int) -> float:
    """Return the mean chance of pairs to share a band."""
    return float(np.mean(1.0 - (1.0 - jaccard**rows_per_band) ** num_bands))
