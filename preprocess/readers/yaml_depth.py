"""How deep a YAML text is, before it is loaded: its loader would end the process."""

from __future__ import annotations

import re
from typing import Final

import yaml

MOST_BRACKETS: Final = 4_096
"""Text with no more of them is surely not so deep that the loader's stack ends."""

_OPENING: Final = re.compile(r"[\[{]")
_INDENTATION: Final = re.compile(r"(?m)^[ \t?:-]+")


def deeper_than(most: int, text: str) -> bool:
    """Return whether lists and maps stand in each other more than `most` deep.

    Nothing stands deeper than its brackets and twice its indentation. Where these are so few that
    any loader bears them, the answer is no; else the parser's events say it, which do not nest.

    Raises:
        yaml.YAMLError: It is no YAML, and has many brackets or is far indented.
    """
    indentation = max((len(each[0]) for each in _INDENTATION.finditer(text)), default=0)
    brackets = sum(1 for _ in _OPENING.finditer(text))
    if brackets + 2 * indentation <= MOST_BRACKETS:
        return False
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > most:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False
