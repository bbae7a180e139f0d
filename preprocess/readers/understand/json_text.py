"""JSON that stands in a string of a native record, and what sources wrote in its place.

Tried in this order, and the first that holds is taken: JSON; JSON with raw control characters
inside its strings; a Python literal (the `str` of a value); one with raw newlines in its strings.
"""

from __future__ import annotations

import re
from decimal import InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec

from preprocess._rust_ext import json_fault
from preprocess.exact_json import exact_number
from preprocess.readers.native import Unreadable
from preprocess.readers.understand.literals import NotLiteral, Reading, parse
from preprocess.readers.understand.printed import as_json

if TYPE_CHECKING:
    import ast

    from preprocess.readers.native import Native

_NOT_JSON: Final = (msgspec.DecodeError, RecursionError, InvalidOperation)
"""What decoding raises; the last where an exponent is out of range."""

_JSON_STRING: Final = re.compile(r'(?s)"(?:[^"\\]|\\.)*+"')
_ANY_STRING: Final = re.compile(r"""(?s)'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\"""")
_CONTROL: Final = re.compile(r"[\x00-\x1f]")
_DECODER: Final = msgspec.json.Decoder(float_hook=exact_number)
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def loads(text: str, native: Native) -> Any:
    r"""Return the value that `text` spells.

    Noted as repairs of the native record: `raw_newline_in_json` (a control character inside a
    string), `python_literal_for_json`, and `other_key_for_string` (a Python key that is a number, a
    truth value or None, and becomes its JSON spelling).

    Raises:
        Unreadable: `invalid_json_in_string`, `too_deep_in_string`, or `duplicate_key_in_string`
            where an object has one key twice, since one of the two values would be lost.
    """
    try:
        return _decode(text)
    except _NOT_JSON:
        pass
    if _CONTROL.search(text):
        try:
            value = _decode(_JSON_STRING.sub(_escape_control, text))
        except _NOT_JSON:
            pass
        else:
            native.repaired("raw_newline_in_json")
            return value
    return _python(text, native)


def _decode(text: str) -> Any:
    value = _DECODER.decode(text)
    # Of a key that stands twice every decoder keeps the last value, and says nothing.
    if isinstance(value, dict | list) and (fault := json_fault(text.encode())):
        raise Unreadable(f"{fault}_in_string")
    return value


def _escape_control(match: re.Match[str]) -> str:
    return _CONTROL.sub(_escape, match[0])


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


def _escape_newlines(match: re.Match[str]) -> str:
    # A backslash before the newline joins the lines in Python; that is left alone.
    return re.sub(r"(\\.)|([\n\r])", lambda at: at[1] or _ESCAPES[at[2]], match[0], flags=re.DOTALL)


def _python(text: str, native: Native) -> Any:
    source = text.strip()
    respelled = as_json(source)
    if respelled is not None:
        try:
            value = _decode(respelled)
        except (*_NOT_JSON, Unreadable):
            pass  # the syntax tree decides, and says why
        else:
            native.repaired("python_literal_for_json")
            return value
    repairs = ["python_literal_for_json"]
    if "#" in _ANY_STRING.sub("", source):
        raise Unreadable("invalid_json_in_string")  # a comment would be lost
    try:
        try:
            tree = parse(source, "eval")
        except NotLiteral:
            if "\n" not in source and "\r" not in source:
                raise
            source = _ANY_STRING.sub(_escape_newlines, source)
            tree = parse(source, "eval")
            repairs.append("raw_newline_in_json")
        value = _literal(tree, source, repairs)
    except (NotLiteral, RecursionError) as error:
        raise Unreadable("invalid_json_in_string") from error
    for repair in repairs:
        native.repaired(repair)
    return value


def _literal(tree: ast.AST, source: str, repairs: list[str]) -> Any:
    reading = Reading(source, joins_strings=False)
    value = reading.value(tree.body)  # type: ignore[attr-defined]
    if reading.has_other_keys:
        repairs.append("other_key_for_string")
    return value
