"""Words and sets of shingles by the stated rules, in numpy: what the extension is held against.

A word is the longest run of letters, digits and `_`, lower-cased; a shingle is the hash of
`ngram_size` consecutive words, of all words where there are fewer. Nothing here comes from the
extension, its hashes least of all.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

type Hashes = NDArray[np.uint64]

NGRAM_SIZE = 5
BLOCK_CHARACTERS = 1 << 20
"""Of text that is worked on at once."""

CODE_POINTS = 0x110000
SURROGATES = range(0xD800, 0xE000)
APART, INSIDE, ALONE = 0, 1, 2
"""A character that ends a word, one that is part of it, one that is a word of its own."""

UNSPACED = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan")
"""Scripts written without spaces: there each character is a word."""

UNSPACED_SIGNS = r"\u3006\u3031-\u3035\u303c\u30fc\uff70\uff9e\uff9f"
"""Signs of theirs alone that Unicode counts to no script: of closing, repetition and length."""


@dataclass(frozen=True, slots=True)
class Sets:
    """The sets of shingles of many records, each ascending, one after another."""

    values: Hashes
    starts: NDArray[np.int64]
    """Where each set begins, the end included."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many shingles each record has."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, record: int) -> Hashes:
        """Return the set of a record."""
        return self.values[self.starts[record] : self.starts[record + 1]]


@cache
def plain_classes() -> NDArray[np.uint8]:
    r"""Return the class of each code point where a word is `\w+`, as most peers have it."""
    return np.array(
        [INSIDE if chr(code).isalnum() or code == ord("_") else APART for code in _code_points()],
        dtype=np.uint8,
    )


@cache
def own_classes() -> NDArray[np.uint8]:
    """Return the class of each code point by the rule of `preprocess dedup`.

    Letters are those of Unicode's `Alphabetic`, digits its `Number`, and the scripts of `UNSPACED`
    have words of one character.
    """
    import regex

    classes = np.zeros(CODE_POINTS, dtype=np.uint8)
    scripts = UNSPACED_SIGNS + "".join(rf"\p{{Script={name}}}" for name in UNSPACED)
    everything = "".join(map(chr, _code_points()))
    for pattern, kind in ((r"[\p{Alphabetic}\p{N}_]+", INSIDE), (f"[{scripts}]+", ALONE)):
        for run in regex.finditer(pattern, everything):
            part = classes[run.start() : run.end()]
            part[(part == INSIDE) | (kind == INSIDE)] = kind
    return classes


@cache
def _lower() -> NDArray[np.uint32]:
    """Return the lower case of each code point; its own where that is more than one."""
    lowered = (chr(code).lower() for code in _code_points())
    return np.array(
        [ord(text) if len(text) == 1 else code for code, text in enumerate(lowered)],
        dtype=np.uint32,
    )


def _code_points() -> Iterator[int]:
    """Yield all code points, a space for each that text cannot have."""
    return (ord(" ") if code in SURROGATES else code for code in range(CODE_POINTS))


def sets_of(texts: Iterable[str], classes: NDArray[np.uint8], ngram_size: int = NGRAM_SIZE) -> Sets:
    """Return the set of shingles of each text; of one without words it is empty."""
    parts: list[Hashes] = []
    for block in _blocks(texts):
        words, firsts = words_of(block, classes)
        parts += [
            np.unique(shingles_of(words[first:last], ngram_size))
            for first, last in itertools.pairwise(firsts)
        ]
    sizes = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
    values = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)
    return Sets(values, np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)]))


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block, size = [], 0
    for text in texts:
        block.append(text)
        size += len(text)
        if size >= BLOCK_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


def words_of(texts: list[str], classes: NDArray[np.uint8]) -> tuple[Hashes, list[int]]:
    """Return the hashes of all words, and which is the first of each text, the end included."""
    codes = np.frombuffer("\n".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    begins, ends = spans_of(classes[codes])
    lengths = ends - begins
    firsts = np.cumsum(lengths) - lengths
    places = (np.arange(lengths.sum()) - np.repeat(firsts, lengths)).astype(np.uint64)
    letters = _lower()[codes[classes[codes] != APART]].astype(np.uint64)
    hashes = mix(letters + (places << np.uint64(32)))
    words = np.add.reduceat(hashes, firsts) if len(firsts) else hashes
    after = np.cumsum([len(text) + 1 for text in texts])
    return words, [0, *np.searchsorted(begins, after).tolist()]


def spans_of(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where words begin and end, given the classes of a row of characters."""
    inside = np.concatenate([[False], kinds == INSIDE, [False]])
    begins = (kinds == ALONE) | (inside[1:-1] & ~inside[:-2])
    lasts = (kinds == ALONE) | (inside[1:-1] & ~inside[2:])
    return np.flatnonzero(begins), np.flatnonzero(lasts) + 1


def shingles_of(words: Hashes, ngram_size: int) -> Hashes:
    """Return the shingles of one text, in order, with repetitions."""
    size = min(ngram_size, len(words))
    count = len(words) - size + 1 if size else 0
    total = np.full(count, size, dtype=np.uint64)
    for place, own in enumerate(mix(np.arange(size, dtype=np.uint64))):
        total += mix(words[place : place + count] ^ own)
    return mix(total)


STEP = np.uint64(0x9E3779B97F4A7C15)


def mix(values: NDArray[Any]) -> Hashes:
    """Return well-mixed values: the finaliser of SplitMix64, after one step.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
    """
    mixed: Hashes = values + STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
