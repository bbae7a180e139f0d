"""Whether the arguments of a call fit the parameters of its tool."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from preprocess.checks.schemas import InvalidSchema, validator_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jsonschema_rs import ValidationError

    from preprocess.records import Tool

type Misfit = tuple[str, str]
"""A fault and where it lies: keys and indices from the arguments inwards, joined by `/`."""

FAULTS: Final = {
    "type": "wrong_type",
    "enum": "not_in_enum",
    "const": "not_in_enum",
    "required": "missing_argument",
    "additionalProperties": "unknown_argument",
    "unevaluatedProperties": "unknown_argument",
    "falseSchema": "unknown_argument",
}
"""Faults by the keyword of JSON Schema that is broken; `invalid_value` for the others."""

_BRANCHES: Final = ("allOf", "anyOf", "oneOf")
_OPEN: Final = frozenset(
    {"additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames"}
    | {"$ref", "$dynamicRef", "if", "dependentSchemas", "dependencies"}
)
"""Keywords that say themselves, or may say elsewhere, which other properties there can be."""

_MOST_ERRORS: Final = 1_000
"""Where the library's errors end for one call: each holds a copy of the value it is about."""


def misfits(arguments: dict[str, Any], tool: Tool) -> list[Misfit]:
    """Return where the arguments do not fit, sorted by place; empty when they do."""
    schema = tool.parameters
    unknown = _unknown(arguments, schema)
    try:
        validator = validator_of(schema)
        if validator.is_valid(arguments):
            return sorted(unknown, key=_by_place)
        errors = list(islice(validator.iter_errors(arguments), _MOST_ERRORS))
    except InvalidSchema:
        return [("invalid_schema", tool.name)]
    found = {misfit for error in errors for misfit in _misfits(error)}
    return sorted(found.union(unknown), key=_by_place)


def _by_place(misfit: Misfit) -> tuple[str, str]:
    return misfit[1], misfit[0]


def _misfits(error: ValidationError) -> list[Misfit]:
    keyword = error.kind.name
    fault = FAULTS.get(keyword, "invalid_value")
    path = [str(part) for part in error.instance_path]
    if keyword == "required":
        return [(fault, "/".join([*path, error.kind.as_dict()["property"]]))]
    if keyword in ("additionalProperties", "unevaluatedProperties"):
        return [(fault, "/".join([*path, name])) for name in error.kind.as_dict()["unexpected"]]
    return [(fault, "/".join(path))]


def _unknown(arguments: dict[str, Any], schema: dict[str, Any]) -> list[Misfit]:
    """Return the arguments that the schema does not name.

    JSON Schema allows them unless `additionalProperties` is false; a call to a function does not,
    unless it is there.
    """
    properties = schema.get("properties")
    if isinstance(properties, dict) and properties.keys() >= arguments.keys():
        return []
    if not _OPEN.isdisjoint(schema):
        return []
    known = _named(schema)
    if known is None:
        return []
    return [("unknown_argument", name) for name in arguments if name not in known]


def _named(schema: Any) -> set[str] | None:
    """Return the properties that a schema and its branches name; None where there may be others."""
    if not isinstance(schema, dict):
        return set()
    if not _OPEN.isdisjoint(schema):
        return None
    properties = schema.get("properties")
    known = set(properties) if isinstance(properties, dict) else set()
    for branch in _branches(schema):
        inner = _named(branch)
        if inner is None:
            return None
        known |= inner
    return known


def _branches(schema: dict[str, Any]) -> Iterable[Any]:
    for keyword in _BRANCHES:
        branches = schema.get(keyword)
        if isinstance(branches, list):
            yield from branches
