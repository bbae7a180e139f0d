"""Parameters of functions, in the words of each source, as JSON Schema.

The source's own word is kept as `x-type` where the mapping loses something. A type that nobody
knows becomes no type, which allows anything, and `x-type`. Every other key is kept unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from preprocess.readers.native import Unreadable
from preprocess.readers.understand.type_words import SAME, WORDS, parse_type, plain_type

_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions")
"""Keywords whose values are schemas by name."""

_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
"""Keywords whose values are lists of schemas."""

_SINGLES: Final = ("items", "additionalProperties", "not")
"""Keywords whose values are schemas, or something else that is kept."""

_NESTING: Final = frozenset({*_MAPS, *_LISTS, *_SINGLES, "enum"})
"""Keywords for which there may be more to map."""

_PLAIN_KEYS: Final = frozenset(("type", "description", "default"))
_PLAIN_WORDS: Final = {
    word + mark: (name, bool(mark)) for word, name in SAME.items() for mark in ("", ", optional")
}
"""Type and whether it may be left out, by the words for it."""


def rapidapi_parameters(
    required: Sequence[Mapping[str, Any]], optional: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the schema of RapidAPI's two lists of `{name, type, description, default, ...}`.

    A name that is declared twice keeps its first declaration, and the others as `x-also`.

    Raises:
        Unreadable: `invalid_parameters`; something else than lists of objects with names.
    """
    properties: dict[str, Any] = {}
    for parameter in (*(required or ()), *(optional or ())):
        if not isinstance(parameter, Mapping) or not isinstance(parameter.get("name"), str):
            raise Unreadable("invalid_parameters")
        schema = _described({key: parameter[key] for key in parameter if key != "name"})
        first = properties.setdefault(parameter["name"], schema)
        if first is not schema and first != schema:
            first.setdefault("x-also", []).append(schema)
    return _object(properties, list(dict.fromkeys(each["name"] for each in required or ())))


def python_parameters(
    flat: Mapping[str, Any], required: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return the schema of a flat map from a parameter's name to `{type, description, default}`.

    Types are words of Python (`str`, `List[int]`, `Union[int, str]`) or of JSON Schema. Without
    `required`, a parameter is optional when its type says so (`int, optional`, `str, default 5`)
    or, where any of them carries a truth value `required`, when it is not marked so.

    Args:
        flat: The map; a value that is a string alone is a description.
        required: Names of the required parameters, where the source lists them elsewhere.

    Raises:
        Unreadable: `invalid_parameters`; something else than such a map.
    """
    if type(flat) is dict and required is None and (plain := _plain_parameters(flat)) is not None:
        return plain
    if not isinstance(flat, Mapping):
        raise Unreadable("invalid_parameters")
    properties: dict[str, Any] = {}
    needed: list[str] = []
    has_marks = any(_mark(value) is not None for value in flat.values())
    for name, value in flat.items():
        if isinstance(value, str):
            value = {"description": value}
        if not isinstance(value, Mapping):
            raise Unreadable("invalid_parameters")
        mark = _mark(value)
        schema = {key: value[key] for key in value if key != "required" or mark is None}
        properties[name] = _described(schema)
        if mark if has_marks else not parse_type(value.get("type")).is_optional:
            needed.append(name)
    return _object(properties, needed if required is None else list(required))


def _plain_parameters(flat: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `python_parameters` does where every parameter is of the commonest form."""
    properties: dict[str, Any] = {}
    needed: list[str] = []
    for name, about in flat.items():
        if type(about) is not dict or not _PLAIN_KEYS.issuperset(about):
            return None
        word = about.get("type")
        if type(word) is not str or word not in _PLAIN_WORDS:
            return None
        known, is_optional = _PLAIN_WORDS[word]
        properties[name] = {**about, "type": known}
        if not is_optional:
            needed.append(name)
    return _object(properties, needed)


def json_schema(schema: Any, required: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the schema of a function's parameters with the types of JSON Schema alone.

    Types of other languages are mapped at every depth (`dict`, `float`, `tuple`, `any`, `HashMap`,
    `ArrayList`, `String`, `long`, `char`, empty). `required: true` in a property moves to the list
    of its object. Values that an array's `enum` lists are those of its items, where they are no
    arrays themselves. A flat map of parameters gets its object. Nothing given allows no argument.

    Args:
        schema: As the source has it; it is not changed.
        required: Names of the required parameters, where the source lists them beside the schema.

    Raises:
        Unreadable: `invalid_parameters`; something else than an object, or nothing.
    """
    if not schema:
        schema = {}
    if not isinstance(schema, Mapping):
        raise Unreadable("invalid_parameters")
    if _is_flat(schema):
        names = [name for name in schema if not isinstance(schema[name], list)]
        rest = {name: schema[name] for name in schema if isinstance(schema[name], list)}
        schema = {"type": "object", "properties": {name: schema[name] for name in names}, **rest}
    mapped = _mapped(schema)
    if "type" not in mapped:
        mapped = {"type": "object", **mapped}
    if mapped["type"] == "object":
        mapped.setdefault("properties", {})
    if required is not None:
        mapped["required"] = list(required)
    return mapped


def _is_flat(schema: Mapping[str, Any]) -> bool:
    """Whether it maps names to schemas, beside at most the lists `required` and `optional`."""
    if isinstance(schema.get("type"), str | list) or "$ref" in schema:
        return False
    inner = schema.get("properties")
    if isinstance(inner, dict) and all(isinstance(value, dict) for value in inner.values()):
        return False
    if any(isinstance(schema.get(keyword), list) for keyword in _LISTS):
        return False
    parameters = [value for name, value in schema.items() if isinstance(value, dict)]
    others = [name for name, value in schema.items() if not isinstance(value, dict)]
    return bool(parameters) and all(
        name in ("required", "optional") and isinstance(schema[name], list) for name in others
    )


def _mapped(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with its types mapped, and those of all schemas in it."""
    mapped: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type":
            if isinstance(value, str) and value in WORDS:
                mapped[key] = value
            else:
                mapped.update(plain_type(value))
        elif isinstance(value, dict) and key in _MAPS:
            mapped[key] = {name: _inner(each) for name, each in value.items()}
        elif isinstance(value, list) and (key in _LISTS or key == "items"):
            mapped[key] = [_inner(each) for each in value]
        elif isinstance(value, dict) and key in _SINGLES:
            mapped[key] = _mapped(value)
        else:
            mapped[key] = value
    if "enum" in mapped:
        _move_enum(mapped)
    if "properties" in mapped:
        _move_required(mapped)
    return mapped


def _inner(schema: Any) -> Any:
    return _mapped(schema) if isinstance(schema, dict) else schema


def _move_enum(schema: dict[str, Any]) -> None:
    values = schema.get("enum")
    if schema.get("type") != "array" or not isinstance(values, list) or not values:
        return
    items = schema.get("items", {})
    if not isinstance(items, dict) or "enum" in items:
        return
    if not any(isinstance(value, list) for value in values):
        schema["items"] = {**items, "enum": schema.pop("enum")}


def _move_required(schema: dict[str, Any]) -> None:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return
    marked = [name for name, value in properties.items() if _mark(value) is not None]
    if not marked:
        return
    listed = schema.get("required")
    names = listed if isinstance(listed, list) else []
    needed = [name for name in marked if properties[name]["required"] and name not in names]
    for name in marked:
        properties[name] = {
            key: properties[name][key] for key in properties[name] if key != "required"
        }
    schema["required"] = [*names, *needed]


def _mark(value: Any) -> bool | None:
    """Return the truth value `required` of a property, which JSON Schema has no place for."""
    mark = value.get("required") if isinstance(value, Mapping) else None
    return mark if isinstance(mark, bool) else None


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a property of a flat list with its type, a word, as the keywords that say the same."""
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type":
            made.update(parse_type(value).schema)
        else:
            made.setdefault(key, value)
            if key == "default":
                made[key] = value  # where the type's own words name another one
    return made if _NESTING.isdisjoint(made) else _mapped(made)


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}
