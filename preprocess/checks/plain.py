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

_ABSENT: Final = object()


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
        if type(about) is not dict or not about.keys() <= _PROPERTY:
            return False
        word = about.get("type")
        types = _TYPES.get(word) if type(word) is str else None
        if types is None or type(about.get("description", "")) is not str:
            return False
        if name in arguments and type(arguments[name]) not in types:
            return False
        if "enum" in about and not _is_listed(about["enum"], arguments.get(name, _ABSENT)):
            return False
        if "items" in about and not _are_items(about["items"], arguments.get(name)):
            return False
    for name in required:
        if type(name) is not str or name not in arguments:
            return False
    return len(set(required)) == len(required)


def _is_listed(values: Any, value: Any) -> bool:
    if type(values) is not list or not values:
        return False
    return value is _ABSENT or (type(value) is str and value in values)


def _are_items(about: Any, value: Any) -> bool:
    """Whether items have a type and no more, and those of a list are of it."""
    if type(about) is not dict or about.keys() != {"type"} or type(about["type"]) is not str:
        return False
    types = _TYPES.get(about["type"])
    if types is None:
        return False
    return type(value) is not list or all(type(item) in types for item in value)
