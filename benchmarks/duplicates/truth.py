"""What brute force knows of a corpus, and what it says of a run's survivors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import brute_force, shingles
from benchmarks.brute_force import Pairs
from benchmarks.duplicates.peers import NUM_BANDS, NUM_PERMUTATIONS, ROWS_PER_BAND
from benchmarks.duplicates.rig import ids_of, texts_of_lines
from benchmarks.shingles import Sets
from benchmarks.source import lines_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.brute_force import Judgement
    from benchmarks.duplicates.rig import Corpus

LEVELS = ("0.8", "0.7")
"""Similarities at which a removed record may have a kept one; the first is the threshold."""

SEEDS = 16
"""Of the permutations: pairs share records, so the recall of one seed says little."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The similar pairs of a corpus, by one rule of what a word is."""

    ids: list[str]
    texts: list[str]
    sets: Sets
    pairs: Pairs
    """All of at least the lowest of `LEVELS`."""

    def judge(self, corpus: Corpus, output: Path) -> Judgement:
        """Hold the survivors of a run on this corpus, or on its beginning, against the pairs."""
        return brute_force.judge(
            self.pairs.within(corpus.records), self.kept(corpus, output), LEVELS
        )

    def kept(self, corpus: Corpus, output: Path) -> NDArray[np.bool_]:
        """Return of each record whether it is among the survivors in a directory.

        Raises:
            ValueError: A survivor is no record of the corpus, or is there twice.
        """
        survivors = survivor_ids(output)
        wanted = set(survivors)
        kept = np.array([each in wanted for each in self.ids[: corpus.records]])
        if len(survivors) != int(kept.sum()):
            raise ValueError(
                f"{output}: expected each survivor once and to be a record of {corpus.name}, "
                f"found {len(survivors)} of which {int(kept.sum())} are"
            )
        return kept


def find(corpus: Corpus, classes: NDArray[np.uint8]) -> Truth:
    """Find all pairs at or above the lowest level, words being what the classes say."""
    texts = texts_of_lines(corpus.path)
    sets = shingles.sets_of(texts, classes)
    pairs = brute_force.similar_pairs(sets, Fraction(LEVELS[-1]))
    return Truth(ids=ids_of(corpus.path), texts=texts, sets=sets, pairs=pairs)


def survivor_ids(output: Path) -> list[str]:
    """Return the ids of the records in a directory, compressed or not, in shards or Arrow files."""
    found = []
    for path in sorted(output.rglob("*")):
        if path.name.endswith(".jsonl.zst") and path.name.startswith("part-"):
            found += [json.loads(line)["id"] for line in lines_of(path)]
        elif path.suffix == ".jsonl":
            with path.open("rb") as lines:
                found += [json.loads(line)["id"] for line in lines]
        elif path.suffix == ".arrow":
            found += _arrow_ids(path)
    return found


def _arrow_ids(path: Path) -> list[str]:
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        ids: list[str] = pa.ipc.open_stream(file).read_all().column("id").to_pylist()
    return ids


@dataclass(frozen=True, kw_only=True, slots=True)
class Clusters:
    """What `clusters.parquet` says, held against brute force."""

    dropped: int
    below: int
    """Dropped records whose named survivor has a true similarity below the threshold."""

    not_kept: int
    """Dropped records that name a survivor which is not there, or none."""


def hold_clusters(truth: Truth, corpus: Corpus, output: Path) -> Clusters:
    """Compute the similarity of each dropped record to the survivor that it names."""
    import pyarrow.parquet as pq

    numbers = {each: number for number, each in enumerate(truth.ids)}
    kept = truth.kept(corpus, output)
    columns = pq.read_table(output / "clusters.parquet").to_pydict()
    named = {
        numbers[record]: numbers[survivor]
        for record, survivor, kind in zip(
            columns["record"], columns["survivor"], columns["kind"], strict=True
        )
        if kind != "survivor"
    }
    threshold = Fraction(LEVELS[0])
    below = sum(_similarity(truth, *pair) < threshold for pair in named.items())
    unnamed = set(np.flatnonzero(~kept).tolist()) ^ named.keys()
    lost = sum(not kept[survivor] for survivor in named.values())
    return Clusters(dropped=len(named), below=below, not_kept=lost + len(unnamed))


def _similarity(truth: Truth, record: int, survivor: int) -> Fraction:
    if truth.texts[record] == truth.texts[survivor]:
        return Fraction(1)
    return brute_force.jaccard_of(truth.sets, record, survivor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recall:
    """Pairs at or above the threshold, below 1, that share a band."""

    pairs: int
    expected: float
    """By theory: 1 - (1 - J^8)^14 of each pair."""

    measured: float
    """With the seed of the command."""

    over_seeds: float
    """Mean over `SEEDS` of them."""


def recall(truth: Truth) -> Recall:
    """Compare which pairs share a band with how many should."""
    from preprocess import _rust_ext
    from preprocess.dedup import DedupConfig

    pairs = truth.pairs.at_least(Fraction(LEVELS[0]))
    pairs = pairs.where(pairs.common < pairs.union)
    records, flat = np.unique(np.stack([pairs.left, pairs.right]), return_inverse=True)
    left, right = flat.reshape(2, -1)
    texts = [truth.texts[record] for record in records]
    shares = []
    for seed in range(SEEDS):
        slots = _rust_ext.minhash_signatures(
            texts, ngram_size=shingles.NGRAM_SIZE, num_permutations=NUM_PERMUTATIONS, seed=seed
        ).reshape(len(texts), NUM_BANDS, ROWS_PER_BAND)
        same = (slots[left] == slots[right]).all(axis=2).any(axis=1)
        shares.append(float(same.mean()))
    return Recall(
        pairs=len(pairs),
        expected=brute_force.expected_recall(pairs.jaccard, NUM_BANDS, ROWS_PER_BAND),
        measured=shares[DedupConfig().seed],
        over_seeds=float(np.mean(shares)),
    )
