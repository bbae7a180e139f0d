"""Two texts side by side: which words differ, and what of them is worth showing."""

from __future__ import annotations

import difflib
import re

type Piece = tuple[str, bool]
"""Some words, and whether they differ from the other text's."""

COMPARED_CHARACTERS = 4_000
"""Words are compared so far behind the first difference: further on, texts that are shifted
against one another would differ everywhere, and comparing takes quadratic time."""
CONTEXT_CHARACTERS = 60
"""Shown on both sides of a difference."""
CUT = " \N{HORIZONTAL ELLIPSIS} "


def excerpts(one: str, other: str, room: int) -> tuple[list[Piece], list[Piece]]:
    """Return about `room` characters of each text: the words that differ, and what is around.

    Of what is equal the middle is left out, with an ellipsis in its place.
    """
    equal = _common_prefix(one, other)
    start = max(0, equal - COMPARED_CHARACTERS // 2)
    start += len(re.split(r"\s", one[start:equal], maxsplit=1)[0]) if start else 0
    end = equal + COMPARED_CHARACTERS
    pieces = compare_words(one[start:end], other[start:end])
    shown = []
    for text, found in zip((one, other), pieces, strict=True):
        parts = [(CUT, False)] if start else []
        parts += _shortened(found)
        parts += [(CUT, False)] if end < len(text) else []
        shown.append(_first(parts, room))
    return shown[0], shown[1]


def compare_words(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Return both texts in pieces, each with whether the other lacks its words in that place.

    White space is kept, but does not count: other line breaks are no difference.
    """
    words = [re.findall(r"^\s+|\S+\s*", text) for text in (one, other)]
    first_keys, second_keys = ([word.strip() for word in found] for found in words)
    matcher = difflib.SequenceMatcher(None, first_keys, second_keys, autojunk=False)
    pieces: tuple[list[Piece], list[Piece]] = ([], [])
    for operation, *bounds in matcher.get_opcodes():
        for side, (first, last) in enumerate((bounds[:2], bounds[2:])):
            if first < last:
                pieces[side].append(("".join(words[side][first:last]), operation != "equal"))
    return pieces


def _common_prefix(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _shortened(pieces: list[Piece]) -> list[Piece]:
    """Leave out the middle of what is equal; the beginning of the first piece says what it is."""
    if not any(is_different for _, is_different in pieces):
        return pieces  # there is nothing else to show
    shown: list[Piece] = []
    last = len(pieces) - 1
    for number, (text, is_different) in enumerate(pieces):
        if is_different or len(text) <= 3 * CONTEXT_CHARACTERS:
            shown.append((text, is_different))
            continue
        head = _without_last_word(text[:CONTEXT_CHARACTERS])
        tail = _without_first_word(text[-CONTEXT_CHARACTERS:])
        shown.append((head + CUT + (tail if number < last else ""), False))
    return shown


def _without_last_word(text: str) -> str:
    """Return a text without the word in which it was cut off; one word, or none, stays."""
    words = text.rsplit(maxsplit=1)
    return words[0] if len(words) > 1 else text


def _without_first_word(text: str) -> str:
    words = text.split(maxsplit=1)
    return words[-1] if len(words) > 1 else text


def _first(pieces: list[Piece], room: int) -> list[Piece]:
    shown: list[Piece] = []
    for text, is_different in pieces:
        if len(text) > room:
            whole = _without_last_word(text[: room + 1]) if room else ""
            return [*shown, (whole[:room], is_different), (CUT, False)]
        shown.append((text, is_different))
        room -= len(text)
    return shown
