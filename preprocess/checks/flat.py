"""Arguments that certainly fit, told without compiling a schema.

Most tools declare a flat list of arguments, each of one type, and most calls keep to it. To see
that takes a microsecond; to compile the schema takes twenty, and corpora hold more schemas than
can be kept. Whatever is not so plain is left to the library that knows all of JSON Schema.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_OBJECT: Final = frozenset(("type", "properties", "required", "description", "title"))
_PLAIN: Final = frozenset(("type", "description", "default"))
_KNOWN: Final = _PLAIN | {"enum", "items", "title", "x-type"}
_TYPES: Final[Mapping[Any, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_SMALLEST: Final = -(1 << 63)
_LARGEST: Final = (1 << 64) - 1
"""Integers between these are integers to every implementation."""


def surely_fit(arguments: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Return whether a schema is certainly valid, and arguments certainly fit it.

    False says nothing: the schema may not be plain. True says besides that the schema names each
    of the arguments.
    """
    properties = schema.get("properties")
    if type(properties) is not dict or not schema.keys() <= _OBJECT:
        return False
    if schema.get("type", "object") != "object" or not _has_texts(schema):
        return False
    num_given = 0
    for name, about in properties.items():
        if type(about) is not dict or not (about.keys() <= _PLAIN or _is_known(about)):
            return False
        if type(about.get("description", "")) is not str:
            return False
        word = about.get("type", "string")
        if type(word) is not str or word not in _TYPES:
            return False
        if name in arguments:
            num_given += 1
            if not _fits(arguments[name], about):
                return False
    return num_given == len(arguments) and _are_given(schema.get("required", []), arguments)


def _has_texts(schema: dict[str, Any]) -> bool:
    return type(schema.get("description", "")) is str and type(schema.get("title", "")) is str


def _is_known(about: dict[str, Any]) -> bool:
    """Return whether the schema of a property is plain, and its keywords have proper values."""
    if not about.keys() <= _KNOWN or not _has_texts(about):
        return False
    if "enum" in about and type(about["enum"]) is not list:
        return False
    items = about.get("items", {})
    return (type(items) is dict and not items) or _is_type_alone(items)


def _is_type_alone(items: Any) -> bool:
    if type(items) is not dict or items.keys() != {"type"}:
        return False
    word = items["type"]
    return type(word) is str and word in _TYPES


def _fits(value: Any, about: dict[str, Any]) -> bool:
    """Return whether a value certainly fits the schema of its property, which is plain."""
    if "type" in about and not _is_of(value, about["type"]):
        return False
    if "enum" in about and not (type(value) is str and value in about["enum"]):
        return False
    if "items" in about and type(value) is list and about["items"]:
        word = about["items"]["type"]
        return all(_is_of(each, word) for each in value)
    return True


def _is_of(value: Any, word: str) -> bool:
    kind = type(value)
    if kind not in _TYPES[word]:
        return False
    if kind is int:
        return bool(_SMALLEST <= value <= _LARGEST)
    return kind is not float or isfinite(value)


def _are_given(required: Any, arguments: dict[str, Any]) -> bool:
    """Return whether a list of names is a proper one, and all of them are among the arguments."""
    if type(required) is not list:
        return False
    for name in required:
        if type(name) is not str or name not in arguments:
            return False
    return len(required) < 2 or len(set(required)) == len(required)
