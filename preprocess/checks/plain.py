"""The commonest schemas, understood without compiling them.

Most calls are to tools of a few scalar parameters, and most of those calls fit. A validator of such
a schema takes five times as long to make as to look at the schema once; and in a corpus where every
record brings its own tools, most are used once.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

_SCHEMA: Final = frozenset({"type", "properties", "required", "optional"})
_PROPERTY: Final = frozenset(
    {"type", "description", "default", "enum", "items", "example_value", "x-type"}
)
"""Keywords that are understood here, and words that are none in JSON Schema."""

_TYPES: Final[dict[str, frozenset[type]]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),  # a float such as 2.0 is one too; that is left to the validator
    "number": frozenset({int, float, Decimal}),
    "boolean": frozenset({bool}),
    "array": frozenset({list}),
    "object": frozenset({dict}),
    "null": frozenset({type(None)}),
}
"""Types of values that surely are of a type of JSON Schema."""


def surely_fit(arguments: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether the schema is valid and plain, and the arguments fit it; False says nothing."""
    properties, required = schema.get("properties"), schema.get("required", [])
    if not schema.keys() <= _SCHEMA or schema.get("type") != "object":
        return False
    if type(properties) is not dict or type(required) is not list:
        return False
    if not properties.keys() >= arguments.keys():
        return False
    for name, about in properties.items():
        if name in arguments:
            if not _fits(arguments[name], about):
                return False
        elif not _is_plain(about):
            return False
    return _are_given(required, arguments)


def _are_given(required: list[Any], arguments: dict[str, Any]) -> bool:
    for name in required:
        if type(name) is not str or name not in arguments:
            return False
    return len(set(required)) == len(required)


def _is_plain(about: Any) -> bool:
    """Whether the schema of one parameter is valid and plain."""
    if type(about) is not dict or not about.keys() <= _PROPERTY:
        return False
    if type(about.get("description", "")) is not str or type(about.get("enum", [])) is not list:
        return False
    word = about.get("type", "null")
    if type(word) is not str or word not in _TYPES:
        return False
    return "items" not in about or _item_types(about["items"]) is not None


def _fits(value: Any, about: Any) -> bool:
    if not _is_plain(about):
        return False
    if "type" in about and type(value) not in _TYPES[about["type"]]:
        return False
    if "enum" in about and (type(value) is not str or value not in about["enum"]):
        return False
    if "items" not in about or type(value) is not list:
        return True
    types = _item_types(about["items"]) or frozenset()
    return all(type(item) in types for item in value)


def _item_types(items: Any) -> frozenset[type] | None:
    """Return the types of items that have a type and no more."""
    if type(items) is not dict or items.keys() != {"type"} or type(items["type"]) is not str:
        return None
    return _TYPES.get(items["type"])
