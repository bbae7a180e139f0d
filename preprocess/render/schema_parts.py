"""A tool's parameters, each with what templates have a place for, and the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

_OBJECT: Final = frozenset({"type", "properties", "required"})
_SHOWN: Final = frozenset({"type", "description"})


@dataclass(slots=True)
class Parameter:
    """One parameter; what `type`, `description` and `rest` hold together is its whole schema."""

    name: str
    is_required: bool
    type: str | None = None
    """One word of JSON Schema; None where there is none, or several."""

    description: str | None = None
    rest: dict[str, Any] = field(default_factory=dict)
    """All other keywords of its schema, and these where they are no strings."""


@dataclass(slots=True)
class Parts:
    """The parameters of a tool; with `rest` they are the whole schema."""

    parameters: list[Parameter]
    rest: dict[str, Any]


def parts_of(schema: dict[str, Any]) -> Parts:
    """Take a schema apart."""
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, dict):
        return Parts([], schema)
    names = required if isinstance(required, list) else ()
    parameters = [_parameter(name, value, name in names) for name, value in properties.items()]
    rest = {key: schema[key] for key in schema if key not in _OBJECT}
    if schema.get("type", "object") != "object":
        rest["type"] = schema["type"]
    if required is not None and not (
        names is required and all(isinstance(name, str) and name in properties for name in names)
    ):
        rest["required"] = required
    return Parts(parameters, rest)


def _parameter(name: str, schema: Any, is_required: bool) -> Parameter:
    if not isinstance(schema, dict):
        return Parameter(name, is_required, rest={"schema": schema})
    word, description = schema.get("type"), schema.get("description")
    if isinstance(word, str) and isinstance(description, str):
        rest = {key: schema[key] for key in schema if key not in _SHOWN} if len(schema) > 2 else {}
        return Parameter(name, is_required, word, description, rest)
    word = description = None
    rest = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            word = value
        elif key == "description" and isinstance(value, str):
            description = value
        else:
            rest[key] = value
    return Parameter(name, is_required, word, description, rest)
