"""Corpora that the benchmarks make: in other words, and in other scripts."""

from __future__ import annotations

import json
import re
import unicodedata
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING

import pytest
import zstandard

from benchmarks import brute_force, shingles
from benchmarks.duplicates import scripts
from benchmarks.duplicates.rig import ids_of, texts_of_lines
from benchmarks.duplicates.variants import Variants

if TYPE_CHECKING:
    from pathlib import Path

WORD = re.compile(r"\w+")


def texts(count: int) -> list[str]:
    """Texts of which each second one is the one before with a few other words."""
    random = Random(7)
    vocabulary = [f"{a}{b}" for a in "abcdefghij" for b in ("x", "yy", "zzz", "\u00e9", "Qq")]
    made: list[str] = []
    while len(made) < count:
        words = [random.choice(vocabulary) for _ in range(60)]
        made.append("Line one: " + " ".join(words) + ".\n\u4e2d\u6587!")
        words[random.randrange(60)] = "other"
        made.append("line ONE: " + " ".join(words) + ".\n\u4e2d\u6587!")
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "some.jsonl.zst"
    lines = [
        json.dumps({"id": f"r{number}", "text": text, "source": "hand"})
        for number, text in enumerate(texts(40))
    ]
    path.write_bytes(zstandard.compress("".join(f"{line}\n" for line in lines).encode()))
    return path


def test_each_variant_has_the_duplicates_of_the_corpus_and_shares_none(
    tmp_path: Path, source: Path
) -> None:
    target = tmp_path / "grown.jsonl.zst"
    records, size = Variants(source).write(target, 3)
    original, grown = texts_of_lines(source), texts_of_lines(target)
    assert (records, size) == (120, 3 * sum(len(text.encode()) for text in original))
    assert len({*ids_of(target)}) == 120
    assert grown[:40] == original
    assert [len(text.encode()) for text in grown[40:80]] == [len(t.encode()) for t in original]
    assert [WORD.sub("", text) for text in grown[80:]] == [WORD.sub("", text) for text in original]

    sets = shingles.sets_of(grown, shingles.own_classes())
    pairs = brute_force.similar_pairs(sets, Fraction("0.5"))
    assert ((pairs.left // 40) == (pairs.right // 40)).all()
    found = [
        {(left % 40, right % 40) for left, right in zip(pairs.left, pairs.right, strict=True)
         if left // 40 == copy}
        for copy in range(3)
    ]  # fmt: skip
    assert len(found[0]) >= 20
    assert found[0] == found[1] == found[2]


def test_a_variant_keeps_upper_case_where_it_was(source: Path) -> None:
    variants = Variants(source)
    before, after = variants.original, variants.mapped(1)
    letters = ((before | 32) >= ord("a")) & ((before | 32) <= ord("z")) & (after < 0x80)
    is_upper = (after >= ord("A")) & (after <= ord("Z"))
    assert (is_upper <= variants.is_upper).all()
    assert is_upper[letters].any()
    assert (after != before).mean() > 0.3


@pytest.mark.parametrize("script", scripts.SCRIPTS)
def test_a_script_replaces_every_word_by_one_of_its_own(script: str) -> None:
    original = texts(40)
    made = list(scripts.rewritten(original, script))
    assert made == list(scripts.rewritten(original, script))
    letters = {character for text in made for character in text if character.isalnum()}
    names = {"Russian": "CYRILLIC", "Thai": "THAI", "Chinese": "CJK UNIFIED"}
    assert all(unicodedata.name(each).startswith(names[script]) for each in letters)
    assert len({*made}) == len({text.lower() for text in original})
    spaces = sum(text.count(" ") for text in made)
    if script == "Russian":
        assert spaces == sum(text.count(" ") for text in original)
    else:
        assert spaces <= 2 * len(made)  # after punctuation only
