"""The brute force that `dedup` is held against, itself held against plain Python."""

from __future__ import annotations

import json
import re
import sys
from fractions import Fraction
from itertools import combinations
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import brute_force, process_tree, shingles
from benchmarks.brute_force import Pairs

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def plain_words(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"\w+", text)]


def plain_shingles(words: list[str], ngram_size: int = 5) -> set[tuple[str, ...]]:
    size = min(ngram_size, len(words))
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)} if words else set()


def made_texts(seed: int, count: int) -> list[str]:
    """Texts in families: some alike, some far from each other, some short, some empty."""
    random = Random(seed)
    vocabulary = [f"w{number}" for number in range(60)]
    base = [random.choice(vocabulary) for _ in range(80)]
    texts = ["", "!?", "one", "one two", "One, TWO"]
    while len(texts) < count:
        edited = list(base)
        for _ in range(random.randrange(0, 12)):
            edited[random.randrange(len(edited))] = random.choice(vocabulary)
        texts.append(" ".join(edited[: random.choice([5, 40, 80])]))
    return texts


@pytest.mark.parametrize("seed", [1, 2])
def test_sets_are_those_of_plain_python(seed: int) -> None:
    texts = [
        *made_texts(seed, 60),
        "na\u00efve \u0130stanbul \u0130\u0130 stra\u00dfe",
        "\u03a3\u03a3 a_b 3\u00b2",
    ]
    sets = shingles.sets_of(texts, shingles.plain_classes())
    plain = [plain_shingles(plain_words(text)) for text in texts]
    assert sets.sizes.tolist() == [len(each) for each in plain]
    for left, right in combinations(range(len(texts)), 2):
        common = len(plain[left] & plain[right])
        union = max(len(plain[left] | plain[right]), 1)
        assert brute_force.jaccard_of(sets, left, right) == Fraction(common, union)


def test_scripts_without_spaces_have_words_of_one_character() -> None:
    def count(text: str, classes: NDArray[np.uint8]) -> int:
        return len(shingles.words_of([text], classes)[0])

    for text, plain, own in [
        ("\u4e2d\u6587\u5b57abc d", 2, 5),  # Chinese, then Latin
        ("\u0e01\u0e02\u0e48\u0e03", 2, 3),  # Thai: a tone mark is no letter
        ("\ud55c\uad6d\uc5b4", 1, 1),  # Korean has spaces
        ("\u3042\u30a2\u30fc", 1, 3),  # Hiragana, Katakana
        ("a\u0301b", 2, 2),
        ("\U00020000\U00020001", 1, 2),
    ]:
        assert count(text, shingles.plain_classes()) == plain, text
        assert count(text, shingles.own_classes()) == own, text


def test_texts_of_a_block_do_not_run_into_each_other() -> None:
    one_by_one = [
        shingles.sets_of([text], shingles.plain_classes()).values for text in ("a b", "c")
    ]
    together = shingles.sets_of(["a b", "c"], shingles.plain_classes())
    assert [together.of(0).tolist(), together.of(1).tolist()] == [e.tolist() for e in one_by_one]


@pytest.mark.parametrize("level", ["0.3", "0.7", "0.8", "1"])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_every_similar_pair_is_found_and_no_other(level: str, seed: int) -> None:
    texts = made_texts(seed, 150)
    least = Fraction(level)
    sets = shingles.sets_of(texts, shingles.plain_classes())
    pairs = brute_force.similar_pairs(sets, least)
    found = dict(
        zip(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True), pairs.jaccard, strict=True)
    )
    plain = [plain_shingles(plain_words(text)) for text in texts]
    expected = {
        (left, right): len(plain[left] & plain[right]) / len(plain[left] | plain[right])
        for left, right in combinations(range(len(texts)), 2)
        if plain[left]
        and plain[right]
        and Fraction(len(plain[left] & plain[right]), len(plain[left] | plain[right])) >= least
    }
    assert len(expected) > 5
    assert found == expected


def test_a_similarity_on_the_border_counts() -> None:
    base = [f"w{number}" for number in range(8)]  # 4 shingles, 4 of 5 with one more word
    sets = shingles.sets_of([" ".join(base), " ".join([*base, "more"])], shingles.plain_classes())
    assert len(brute_force.similar_pairs(sets, Fraction("0.8"))) == 1
    assert len(brute_force.similar_pairs(sets, Fraction("0.8000001"))) == 0


def test_a_removal_needs_a_kept_neighbour() -> None:
    # 0-1 at 0.9, 1-2 at 0.75; 3 has nobody.
    numbers = [np.array(each) for each in ([0, 1], [1, 2], [90, 75], [100, 100])]
    pairs = Pairs(*numbers)
    kept = np.array([True, False, False, False])
    judged = brute_force.judge(pairs, kept, ("0.8", "0.7"))
    assert (judged.removed, judged.alone) == (3, {"0.8": 2, "0.7": 2})
    assert (judged.pairs, judged.found) == (1, 1)
    judged = brute_force.judge(pairs, np.array([True, True, False, True]), ("0.8", "0.7"))
    assert (judged.removed, judged.alone, judged.found) == (1, {"0.8": 1, "0.7": 0}, 0)


def test_expected_recall_is_the_formula() -> None:
    assert brute_force.expected_recall(np.array([0.8]), 14, 8) == pytest.approx(0.9236, abs=1e-4)


BUSY = """
import time
block = bytearray({size})
end = time.process_time() + {seconds}
while time.process_time() < end:
    pass
"""


def test_usage_counts_what_a_command_starts(tmp_path: Path) -> None:
    ballast = bytearray(300_000_000)  # of this process, and no part of what is measured
    inner = BUSY.format(size=60_000_000, seconds=0.3)
    outer = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    usage = process_tree.run([sys.executable, "-c", outer], directory=tmp_path)
    assert usage.status == 0
    assert 0.3 <= usage.cpu_seconds < 3
    assert usage.wall_seconds >= 0.3
    assert 60_000_000 < usage.peak_bytes < 150_000_000
    del ballast


def test_usage_tells_how_a_command_ended() -> None:
    script = (
        "import json, sys\nprint(json.load(sys.stdin))\nprint('no', file=sys.stderr)\nsys.exit(3)"
    )
    usage = process_tree.run([sys.executable, "-c", script], stdin=json.dumps([1]))
    assert (usage.status, usage.stdout, usage.stderr) == (3, "[1]\n", "no\n")
    with pytest.raises(RuntimeError, match="No such file"):
        process_tree.run(["/nowhere/at/all"])
