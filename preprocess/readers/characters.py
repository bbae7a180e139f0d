"""How many characters of a text are of a kind, without a copy of each character."""

from collections.abc import Callable
from functools import lru_cache


def count_characters(text: str, is_counted: Callable[[str], bool]) -> int:
    """Return for how many characters `is_counted` holds; a pure function such as `str.isalpha`.

    ASCII text, nearly all code, is counted at the speed of memory.
    """
    if not text.isascii():
        return sum(map(is_counted, text))
    return len(text) - len(text.encode("ascii").translate(None, _ascii_members(is_counted)))


@lru_cache
def _ascii_members(is_counted: Callable[[str], bool]) -> bytes:
    return bytes(code for code in range(128) if is_counted(chr(code)))
