"""How many similar pairs the bands find: what theory says, and what these texts say.

Whether two records share a band is chance, the permutations being drawn at random: for a pair of
Jaccard similarity J it happens with 1 - (1 - J^rows)^bands. What a run found cannot prove that,
as pairs that it missed are not on its list. So it is measured anew: pairs from the run's own
texts, whose true similarity is computed, are signed with other permutations, and it is counted
how many share a band. Pairs below the threshold are rare in a cluster; there a text stands
against its own beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from preprocess import _rust_ext

if TYPE_CHECKING:
    from preprocess.report.pairs import Sample

NUM_SEEDS = 32
TEXT_CHARACTERS = 20_000
"""Of a longer text the beginning is looked at: it is as good a text."""
MEMBERS = 6
"""Records of one cluster of which all pairs are taken."""
NUM_CUT = 60
"""Texts that stand against their beginnings."""
SHARES_CUT = np.arange(1, 20) / 20
LEAST_SHINGLES = 20
"""Of fewer, a set has too few beginnings."""
BIN_WIDTH = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """Pairs of about the same similarity, many times."""

    jaccard: NDArray[np.float64]
    """True similarity, the mean of each bin."""
    share: NDArray[np.float64]
    """Of the pairs and permutations, those with a band in common."""
    error: NDArray[np.float64]
    """Standard error of `share`, from its spread over the permutations."""
    num_pairs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Recall:
    """What was measured, and the shape that theory needs."""

    num_bands: int
    rows_per_band: int
    threshold: float | None
    """None where nothing was confirmed."""
    records: Points
    """Pairs of records of one cluster."""
    beginnings: Points
    """Texts against their beginnings."""
    found: tuple[float, float] | None
    """Share of the records' pairs at or above the threshold that share a band: measured, theory."""

    def theory(self, jaccard: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the chance that a pair shares a band.

        Source: Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.2.
        """
        found: NDArray[np.float64] = 1 - (1 - jaccard**self.rows_per_band) ** self.num_bands
        return found


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of texts, by number, with their true similarity."""

    numbers: NDArray[np.int64]
    """(pairs, 2)"""
    jaccard: NDArray[np.float64]


def measure_recall(config: dict[str, Any], sample: Sample, texts: dict[str, str]) -> Recall | None:
    """Return how many pairs share a band, measured on a sample; None where there is nothing.

    Args:
        config: The options of the dedup stage.
        sample: Pairs that it found.
        texts: The texts of the pairs.
    """
    names = ("ngram_size", "num_bands", "rows_per_band", "seed")
    if not all(isinstance(config.get(name), int) for name in names):
        return None
    clusters: dict[str, list[str]] = {}
    for pair in sample.near_rows():
        if pair.kept in texts and pair.dropped in texts:
            clusters.setdefault(pair.kept, [pair.kept]).append(pair.dropped)
    if not clusters:
        return None
    names_used = list(dict.fromkeys(name for members in clusters.values() for name in members))
    place = {name: number for number, name in enumerate(names_used)}
    shown = [texts[name][:TEXT_CHARACTERS] for name in names_used]
    within = [
        pair
        for members in clusters.values()
        for pair in combinations([place[name] for name in members[:MEMBERS]], 2)
    ]
    shown, against = _with_beginnings(shown)
    sets = _rust_ext.shingle_hashes(shown, ngram_size=config["ngram_size"])
    records, beginnings = (_compared(sets, pairs) for pairs in (within, against))
    both = np.concatenate([records.numbers, beginnings.numbers])
    sharing = _sharing(config, shown, both)
    ours, theirs = np.split(sharing, [len(records.numbers)], axis=1)
    is_verified = bool(config.get("verify", True))
    threshold = float(config.get("threshold", 0.8)) if is_verified else None
    recall = Recall(
        num_bands=config["num_bands"],
        rows_per_band=config["rows_per_band"],
        threshold=threshold,
        records=_binned(records, ours),
        beginnings=_binned(beginnings, theirs),
        found=None,
    )
    return _with_found(recall, records, ours)


def _with_beginnings(texts: list[str]) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the texts with beginnings of some behind them, and which belong together."""
    all_texts = list(texts)
    pairs = []
    long = [number for number, text in enumerate(texts) if len(text.split()) > LEAST_SHINGLES]
    for number in islice(long, NUM_CUT):
        for share in SHARES_CUT:
            pairs.append((number, len(all_texts)))
            all_texts.append(texts[number][: int(share * len(texts[number]))])
    return all_texts, pairs


def _compared(sets: list[NDArray[np.uint64]], pairs: list[tuple[int, int]]) -> _Pairs:
    """Return the pairs that have anything in common but not all, with their true similarity."""
    jaccard = []
    for one, other in pairs:
        common = len(np.intersect1d(sets[one], sets[other], assume_unique=True))
        jaccard.append(common / max(1, len(sets[one]) + len(sets[other]) - common))
    found = np.array(jaccard)
    is_told = (found > 0) & (found < 1)
    numbers = np.array(pairs, np.int64).reshape(-1, 2)
    return _Pairs(numbers[is_told], found[is_told])


def _sharing(
    config: dict[str, Any], texts: list[str], pairs: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return for other seeds than the run's, a row each, which pairs share a band."""
    shape = (len(texts), config["num_bands"], config["rows_per_band"])
    rows = []
    for seed in range(1, NUM_SEEDS + 1):
        slots = _rust_ext.minhash_signatures(
            texts,
            ngram_size=config["ngram_size"],
            num_permutations=shape[1] * shape[2],
            seed=(config["seed"] + seed) % (1 << 64),
        ).reshape(shape)
        rows.append((slots[pairs[:, 0]] == slots[pairs[:, 1]]).all(axis=2).any(axis=1))
    return np.array(rows).reshape(NUM_SEEDS, len(pairs))


def _binned(pairs: _Pairs, sharing: NDArray[np.bool_]) -> Points:
    cells = np.floor(pairs.jaccard / BIN_WIDTH).astype(np.int64)
    members = [cells == cell for cell in np.unique(cells)]
    by_seed = np.array([sharing[:, each].mean(axis=1) for each in members]).reshape(-1, NUM_SEEDS)
    return Points(
        jaccard=np.array([pairs.jaccard[each].mean() for each in members]),
        share=by_seed.mean(axis=1),
        error=by_seed.std(axis=1, ddof=1) / np.sqrt(NUM_SEEDS),
        num_pairs=len(pairs.jaccard),
    )


def _with_found(recall: Recall, pairs: _Pairs, sharing: NDArray[np.bool_]) -> Recall:
    if recall.threshold is None:
        return recall
    is_similar = pairs.jaccard >= recall.threshold
    if not is_similar.any():
        return recall
    measured = float(sharing[:, is_similar].mean())
    return replace(recall, found=(measured, float(recall.theory(pairs.jaccard[is_similar]).mean())))
