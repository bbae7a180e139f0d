"""Reserved words of Python as names of parameters: `def convert(from: str, to: str)`.

Sources that described APIs of other languages have them; Python cannot parse such a definition, and
nothing else can be meant by it. The name is marked before parsing, and the mark taken off after.
"""

import keyword
import re

_QUOTED = r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+\""""
_WORD = re.compile(rf"{_QUOTED}|(?<=[(,\s])({'|'.join(keyword.kwlist)})(?=\s*(?:=(?!=)|:))")
_MARK = "_reserved_word_"


def marked(source: str) -> str | None:
    """Return source whose parameters Python can parse; None where no reserved word stands there."""
    if _MARK in source:
        return None
    made = _WORD.sub(lambda match: match[1] + _MARK if match[1] else match[0], source)
    return None if made == source else made


def unmarked(name: str) -> str:
    """Return a parameter's name as the source has it."""
    return name.removesuffix(_MARK)
