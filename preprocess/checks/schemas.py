"""Compiled validators of the parameters of tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs

from preprocess.exact_json import ENCODER

if TYPE_CHECKING:
    from jsonschema_rs import Validator

MOST_KEPT: Final = 4096
"""Validators that are kept; then the memory starts anew."""

LONGEST_KEPT_BYTES: Final = 1 << 14
"""Schemas of more are compiled each time they are used: at most 64 MiB of them are kept."""

_OLDER: Final = (jsonschema_rs.Draft7Validator, jsonschema_rs.Draft4Validator)
"""Drafts that are tried where a schema names none: older ones spell a tuple's items, and exclusive
bounds, otherwise."""

_kept: dict[bytes, Validator | None] = {}


class InvalidSchema(ValueError):  # noqa: N818 - it names a state of the schema
    """It is no JSON Schema of any draft, or points to something that is not inside it."""


def validator_of(schema: dict[str, Any]) -> Validator:
    """Return the validator of a schema, from memory where it was compiled before.

    Nothing is ever fetched: a `$ref` to another document makes the schema invalid.

    Raises:
        InvalidSchema: It is not a schema.
    """
    key = ENCODER.encode(schema)
    validator = _kept.get(key, _NOT_KEPT)
    if isinstance(validator, _NotKept):
        validator = _compiled(schema)
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        if len(key) <= LONGEST_KEPT_BYTES:
            _kept[key] = validator
    if validator is None:
        raise InvalidSchema
    return validator


class _NotKept:
    """Nothing is known of a schema."""


_NOT_KEPT: Final = _NotKept()


def _compiled(schema: dict[str, Any]) -> Validator | None:
    try:
        return jsonschema_rs.validator_for(schema, retriever=_refuse)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
        pass
    if "$schema" in schema:
        return None
    for draft in _OLDER:
        try:
            return draft(schema, retriever=_refuse)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
            continue
    return None


def _refuse(address: str) -> Any:
    raise ValueError(f"{address} is not fetched")
