"""Texts that try what tokenizers distinguish, by the million and by a seed.

A text is a row of atoms. The atoms of a batch are drawn first, from fixed lists and from all of
Unicode; numpy then draws which of them make up each text, so that a text costs a microsecond.
"""

from __future__ import annotations

import functools
import random
import unicodedata

import numpy as np

NUM_ATOMS = 4_096
"""Drawn for each batch."""

MEAN_PARTS = 7

SPACED = (
    "'s 't 're 've 'm 'll 'd 'S 'T 'RE 'Ve 'LL 'D ' '' '\u017f '\u212a don't it's I'LL 'sx 'llama "
    "\u2019s a b the word Hello ABC ABc iPhone HTTPServer x_y \u00e9 \u00fc \u0130 \u212a \u017f "
    "\u01c5 \u02b0 e s re ve the he in ing er 1 12 123 1234 12345 0.5 \u0663 \u00b2 \u216b "
    "\u4e00\u4e8c \u6211\u4eec \u0e01\u0e33 e\u0301 \u0301 \u0323 \u0344 \u0958 \u2126 \uac00 "
    "\u1100\u1161\u11a8 \U0001f600 \U0001f468\u200d\U0001f469 \U0001f1e9\U0001f1ea \u2764\ufe0f "
    '. .. ! ( (( - -- ===== _ / // :// ### < <| |> => { } [ ] " \\ '
    "<|endoftext|> <|begin_of_text|> <|end_of_text|> <|eot_id|> <|fim_prefix|> <|im_start|> "
    "<|im_end|> <|endofprompt|> <tool_call> </tool_call> <s> </s> [INST] <unk> <0x0A> "
    "\u2581 \u2581\u2581 \x00 \x7f \ufeff \u200b"
)
FIXED = SPACED.split(" ")
WHITE = [chr(point) for point in range(0x3001) if chr(point).isspace()]
RUNS = (3, 8, 15, 17, 33, 65)
SPACED_UNITS = "a ab the \n \t 7 - = \u4e00 \u0e01 \U0001f600 \u0301"
UNITS = [" ", *SPACED_UNITS.split(" ")]
KINDS = (FIXED, [" "], [*WHITE, "  ", "\r\n", " \n", "\n\n", "\n "], "run", "category", "ascii")
SHARES = (30, 22, 14, 4, 18, 12)
"""Percent of the atoms of each kind."""


@functools.cache
def _by_category() -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for character in map(chr, range(0x110000)):
        members.setdefault(unicodedata.category(character), []).append(character)
    del members["Cs"]  # surrogates are no text
    return members


def atoms(chance: random.Random) -> list[str]:
    """Return the atoms of one batch."""
    kinds = chance.choices(KINDS, SHARES, k=NUM_ATOMS)
    return [_atom(kind, chance) for kind in kinds]


def _atom(kind: str | list[str], chance: random.Random) -> str:
    match kind:
        case "run":
            return chance.choice(UNITS) * chance.choice(RUNS)
        case "category":  # every category alike: letters would drown the others
            members = _by_category()
            return chance.choice(members[chance.choice(list(members))])
        case "ascii":
            return "".join(chr(chance.randint(32, 126)) for _ in range(chance.randint(1, 6)))
        case _:
            return chance.choice(kind)


def texts(seed: int, count: int) -> list[str]:
    """Return `count` texts, the same for the same seed."""
    chosen = np.array(atoms(random.Random(seed)), dtype=object)
    draw = np.random.default_rng(seed)
    parts = 1 + draw.poisson(MEAN_PARTS - 1, count)
    ends = np.cumsum(parts)
    row = chosen[draw.integers(0, NUM_ATOMS, ends[-1])].tolist()
    bounds = [0, *ends.tolist()]
    return ["".join(row[bounds[i] : bounds[i + 1]]) for i in range(count)]
