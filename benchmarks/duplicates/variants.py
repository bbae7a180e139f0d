"""A corpus again and again in other words, so that it grows as natural text does.

In each variant a seeded bijection maps every word to another one of as many bytes: what was a
duplicate within the corpus is one within the variant, and nothing is shared with other variants.
Upper and lower case stay where they were; ASCII words are mapped to ASCII words. Texts that are
nothing but a word again and again may meet; they are as rare as they are short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import zstandard

from benchmarks import shingles
from benchmarks.source import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

LEVEL = 3
UTF8_LIMITS = np.array([0x80, 0x800, 0x10000], dtype=np.uint32)
"""Code points from which a character takes one byte more."""

LONG = 8
"""Bytes of a word that fit in a number; of longer ones a hash of as many bits is taken."""


class Variants:
    """The records of a corpus and where their words stand."""

    def __init__(self, source: Path) -> None:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        self.records = list(map(decode, lines_of(source)))
        encoded = [record.pop("text").encode() for record in self.records]
        ends = np.cumsum([len(text) for text in encoded]).tolist()
        self.bounds = list(zip([0, *ends], ends, strict=False))
        self.original = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        self.groups = list(_groups(self.original, *_words(encoded)))
        self.is_upper = (self.original >= ord("A")) & (self.original <= ord("Z"))

    def write(self, target: Path, count: int, seed: int = 0) -> tuple[int, int]:
        """Write the corpus and its variants up to `count` copies in all, as `.jsonl.zst`.

        Returns:
            Records and bytes of text.
        """
        with zstandard.open(target, "wb", zstandard.ZstdCompressor(level=LEVEL)) as out:
            for number in range(count):
                text = self.mapped(seed + number).tobytes() if number else self.original.tobytes()
                out.write(self._lines(text, number))
        return count * len(self.records), count * len(self.original)

    def mapped(self, seed: int) -> NDArray[np.uint8]:
        """Return all texts with every word mapped to another one."""
        random = np.random.default_rng(seed)
        text = self.original.copy()
        for starts, words, kinds in self.groups:
            target = random.permutation(len(words))
            span = starts[:, None] + np.arange(words.shape[1])
            text[span] = words[target[kinds]]
        is_lower = (text >= ord("a")) & (text <= ord("z"))
        text[self.is_upper & is_lower] -= 32
        return text

    def _lines(self, text: bytes, number: int) -> bytes:
        encoder = msgspec.json.Encoder()
        lines = bytearray()
        for record, (begin, end) in zip(self.records, self.bounds, strict=True):
            mapped = {**record, "id": f"{number}/{record['id']}", "text": text[begin:end].decode()}
            encoder.encode_into(mapped, lines, -1)
            lines += b"\n"
        return bytes(lines)


def _words(texts: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where in all bytes each word begins, and how many bytes it has."""
    classes = shingles.own_classes()
    begins, sizes, before = [], [], 0
    for text in texts:
        codes = np.frombuffer(text.decode().encode("utf-32-le"), dtype=np.uint32)
        at = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(_utf8_lengths(codes))])
        firsts, ends = (at[each] for each in shingles.spans_of(classes[codes]))
        begins.append(firsts + before)
        sizes.append(ends - firsts)
        before += len(text)
    return np.concatenate(begins), np.concatenate(sizes)


def _utf8_lengths(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    return 1 + np.searchsorted(UTF8_LIMITS, codes, side="right")


def _groups(
    text: NDArray[np.uint8], begins: NDArray[np.int64], sizes: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield, for each number of bytes, ASCII apart: where words stand, which there are, and which
    of them stands where."""
    high = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(text >= 0x80)])
    is_ascii = high[begins + sizes] == high[begins]
    for size in np.unique(sizes).tolist():
        for plain in (True, False):
            starts = begins[(sizes == size) & (is_ascii == plain)]
            if not len(starts):
                continue
            found = text[starts[:, None] + np.arange(size)]
            if plain:
                found |= np.where((found >= ord("A")) & (found <= ord("Z")), 32, 0).astype(np.uint8)
            _, first, kinds = np.unique(_keys(found), return_index=True, return_inverse=True)
            yield starts, found[first], kinds


def _keys(words: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a number for each word: its bytes, or a hash of them."""
    size = words.shape[1]
    if size <= LONG:
        padded = np.zeros((len(words), LONG), dtype=np.uint8)
        padded[:, :size] = words
        return padded.view(np.uint64).ravel()
    keys = np.zeros(len(words), dtype=np.uint64)
    for place in range(size):
        keys = shingles.mix(keys + words[:, place])
    return keys
