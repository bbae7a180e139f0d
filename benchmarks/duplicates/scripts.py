"""Web text in other scripts: every word becomes one of Russian, Thai or Chinese letters.

There is no corpus of these scripts that all machines have, so they are made: a seeded bijection
maps each word, lower-cased, to a made-up one. Russian and Thai words have as many characters as
the word that they stand for; Chinese ones have one character for the most frequent words and two
for the rest. Thai and Chinese are written without spaces between words, as they are; punctuation,
line ends and everything else stay, so that the texts repeat themselves as the web does.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORD = re.compile(r"\w+")
WORD_AND_SPACE = re.compile(r"(\w+)(?: (?=\w))?")
"""With the space to the next word, which Thai and Chinese do not write."""

CYRILLIC = [chr(code) for code in range(0x0430, 0x0450)]
THAI_CONSONANTS = [chr(code) for code in range(0x0E01, 0x0E2F) if code not in (0x0E03, 0x0E05)]
THAI_VOWELS = [chr(code) for code in (*range(0x0E30, 0x0E3A), *range(0x0E40, 0x0E45))]
THAI_TONES = [chr(code) for code in range(0x0E47, 0x0E4D)]
HAN = [chr(code) for code in range(0x4E00, 0x9FA6)]
HAN_IN_USE = 3_500
"""Characters, drawn from the block: as many as the everyday language has."""

HAN_WORDS_OF_ONE = 1_200
"""Words of a single character; the others have two."""

SCRIPTS = ("Russian", "Thai", "Chinese")


def rewritten(texts: list[str], script: str, seed: int = 0) -> Iterator[str]:
    """Yield the texts with every word in another script."""
    counts = Counter(word for text in texts for word in WORD.findall(text.lower()))
    make = _makers(random.Random(seed))[script]
    words = _bijection([word for word, _ in counts.most_common()], make)
    pattern, group = (WORD, 0) if script == "Russian" else (WORD_AND_SPACE, 1)
    for text in texts:
        yield pattern.sub(lambda found: words[found.group(group)], text.lower())


def _bijection(words: list[str], make: Callable[[int, int], str]) -> dict[str, str]:
    """Return a word of its own for each word; one that is taken grows by a letter."""
    taken: set[str] = set()
    mapping = {}
    for rank, word in enumerate(words):
        length = len(word)
        made, tries = make(rank, length), 0
        while made in taken:
            tries += 1
            made = make(rank, length + tries // 8)
        taken.add(made)
        mapping[word] = made
    return mapping


def _makers(chance: random.Random) -> dict[str, Callable[[int, int], str]]:
    """Return, by script, what makes a word of a rank and a length."""
    in_use = chance.sample(HAN, HAN_IN_USE)

    def russian(rank: int, length: int) -> str:
        del rank
        return "".join(chance.choices(CYRILLIC, k=length))

    def thai(rank: int, length: int) -> str:
        del rank
        kinds = chance.choices((THAI_CONSONANTS, THAI_VOWELS, THAI_TONES), (6, 3, 1), k=length)
        return "".join(map(chance.choice, kinds))

    def chinese(rank: int, length: int) -> str:
        del length
        return "".join(chance.choices(in_use, k=1 if rank < HAN_WORDS_OF_ONE else 2))

    return {"Russian": russian, "Thai": thai, "Chinese": chinese}
