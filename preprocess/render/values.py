"""How values are written: JSON in one spacing, and Python literals.

JSON has one blank after each colon and comma, no escapes but those that JSON demands, its keys in
the order given, and numbers with the digits given.
"""

from __future__ import annotations

from decimal import Decimal
from keyword import iskeyword
from typing import Any, Final

import msgspec

from preprocess.exact_json import ENCODER

_encode: Final = ENCODER.encode
_format: Final = msgspec.json.format

DEEPEST_LITERAL: Final = 50
"""Brackets in brackets; Python's own parser gives up at 200."""


def json_text(value: Any) -> str:
    """Return `value` as JSON on one line."""
    return _format(_encode(value), indent=0).decode()


def json_block(value: Any) -> str:
    """Return `value` as JSON with two blanks of indentation for each level."""
    return _format(_encode(value), indent=2).decode()


def is_name(text: str) -> bool:
    """Whether `text` can be a name in Python as it is; others than ASCII would be normalised."""
    return text.isidentifier() and text.isascii() and not iskeyword(text) and text != "__debug__"


def is_plain(name: Any) -> bool:
    """Whether a name can stand on a line of its own, between backquotes too."""
    if not isinstance(name, str) or not name.isprintable() or "`" in name:
        return False
    return name.strip() == name != ""


def python_text(value: Any, depth: int = 0) -> str | None:
    """Return `value` as a Python literal on one line; None where it is too deep.

    A string is spelled as in JSON, which Python reads alike.
    """
    if isinstance(value, str):
        return _encode(value).decode()
    if value is None or isinstance(value, bool | Decimal):
        return str(value)
    if not isinstance(value, list | dict):
        return _encode(value).decode()
    if depth == DEEPEST_LITERAL:
        return None
    if isinstance(value, list):
        return _joined([python_text(each, depth + 1) for each in value], "[", "]")
    values = [_item(key, python_text(each, depth + 1)) for key, each in value.items()]
    return _joined(values, "{", "}")


def _item(key: str, value: str | None) -> str | None:
    return None if value is None else f"{_encode(key).decode()}: {value}"


def _joined(parts: list[str | None], left: str, right: str) -> str | None:
    known = [part for part in parts if part is not None]
    return f"{left}{', '.join(known)}{right}" if len(known) == len(parts) else None
