"""A tool's parameters, each with what templates have a place for, and the rest."""

from __future__ import annotations

from typing import Any, Final

type Parameter = tuple[str, bool, str | None, str, dict[str, Any]]
"""Name, whether it is required, its type where that is one word of JSON Schema, its description,
and all other keywords of its schema: together they are the whole of it. A plain tuple, since there
is one for every parameter of a corpus."""

_OBJECT: Final = frozenset({"type", "properties", "required"})


def parts_of(schema: dict[str, Any]) -> tuple[list[Parameter], dict[str, Any]]:
    """Take a schema apart; the second value is what belongs to no parameter."""
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, dict):
        return [], schema
    names = required if isinstance(required, list) else ()
    parameters = [_parameter(name, value, name in names) for name, value in properties.items()]
    if schema.keys() <= _OBJECT:
        rest = {}
    else:
        rest = {key: value for key, value in schema.items() if key not in _OBJECT}
    if schema.get("type", "object") != "object":
        rest["type"] = schema["type"]
    is_list = names is required or required is None
    are_known = [type(name) is str and name in properties for name in names]
    if not (is_list and all(are_known)):
        rest["required"] = required
    return parameters, rest


def _parameter(name: str, schema: Any, is_required: bool) -> Parameter:
    if not isinstance(schema, dict):
        return name, is_required, None, "", {"schema": schema}
    word, description, rest = None, "", {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            word = value
        elif key == "description" and isinstance(value, str):
            description = value
        else:
            rest[key] = value
    return name, is_required, word, description, rest
