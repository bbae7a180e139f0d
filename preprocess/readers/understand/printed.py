"""Values as Python prints them, spelled as JSON: for the many of them that need no syntax tree.

A syntax tree of a literal takes a hundred times as long to make and to read as JSON does. Strings,
`True`, `False` and `None` are respelled here in one pass; whatever else JSON does not share with
Python stays as it is, and is then no JSON.
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<plain>(?:'[^'"\\]*+'|[^'"\\TFN]++)++)  # strings whose quotes alone differ, and no string
    | '(?P<single>[^'\\]*+(?:\\.[^'\\]*+)*+)'
    | "(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)"
    | \b(?P<name>True|False|None)\b
    | (?P<open>['"])
    """,
    re.VERBOSE | re.DOTALL,
)
_NAMES: Final = {"True": "true", "False": "false", "None": "null"}
_ESCAPE: Final = re.compile(
    r"""
      \\(?P<same>["\\nrtbf]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4})
    | \\(?P<apostrophe>')
    | \\x(?P<byte>[0-9a-fA-F]{2})
    | (?P<quote>")
    | (?P<other>\\)
    """,
    re.VERBOSE,
)


def as_json(text: str) -> str | None:
    r"""Return JSON of the same value if `text` is a printed one; None, or no JSON, if it is not.

    Two spellings may be more than one value for Python and JSON: escapes of surrogates, which JSON
    joins to pairs, and those that only Python has. For them the answer is None.

    >>> as_json("{'a': [True, None, 'it\\'s', \"say \\\"b\\\"\"]}")
    '{"a": [true, null, "it\'s", "say \\"b\\""]}'
    """
    try:
        return _TOKEN.sub(_respell, text)
    except _OnlyPythonError:
        return None


class _OnlyPythonError(Exception):
    """Something that JSON has not, or understands otherwise."""


def _respell(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "plain":
            return token[0].replace("'", '"')
        case "single" | "double":
            return f'"{_ESCAPE.sub(_escape, token[0][1:-1])}"'
        case "name":
            return _NAMES[token[0]]
    raise _OnlyPythonError  # a string that never ends


def _escape(at: re.Match[str]) -> str:
    match at.lastgroup:
        case "same":
            return at[0]
        case "apostrophe":
            return "'"
        case "byte":
            return f"\\u00{at['byte']}"
        case "quote":
            return '\\"'
    raise _OnlyPythonError
