"""All of the web documents, with default options: no removal is wrong, by brute force."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks import shingles
from benchmarks.duplicates import truth
from benchmarks.duplicates.rig import Rig
from benchmarks.source import lines_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.shared
def test_every_removal_has_a_similar_survivor_and_pairs_share_bands(
    tmp_path: Path, shared: Path
) -> None:
    rig = Rig(work=tmp_path, peer_python=sys.executable, runs=1)
    corpus = rig.store("web", lines_of(shared / "data/web_docs.jsonl.zst"))
    output = tmp_path / "unique"
    rig.ours([corpus.path], output)
    known = truth.find(corpus, shingles.own_classes())

    held = truth.hold_clusters(known, corpus, output)
    assert held.dropped > 6_000
    assert (held.below, held.not_kept) == (0, 0)
    judged = known.judge(corpus, output)
    assert judged.removed == held.dropped
    assert judged.alone == {"0.8": 0, "0.7": 0}

    recall = truth.recall(known)
    assert recall.pairs > 10_000
    assert recall.over_seeds >= 0.995 * recall.expected
    assert recall.measured >= 0.995 * recall.expected
    # A pair that shares a band is decided by its true similarity: one of the two has gone, or had
    # its own survivor.
    assert judged.found / judged.pairs >= 0.97
