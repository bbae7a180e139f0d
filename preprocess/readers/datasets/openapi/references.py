"""References inside a document, and its schemas as JSON Schema that can stand alone."""

from __future__ import annotations

from operator import is_not
from typing import Any
from urllib.parse import unquote

type Json = Any

_PREFIXES = ("#/definitions/", "#/components/schemas/")
_VALUES = frozenset(("enum", "example", "examples", "default"))
"""Keywords that hold values, not schemas."""

_NAMED = frozenset(("properties", "patternProperties", "dependentSchemas"))
"""Keywords that hold schemas by names, which are no keywords."""

_LOOKED_AT = frozenset(("$ref", "type", "required", "exclusiveMinimum", "exclusiveMaximum"))
"""Keywords with values that JSON Schema may have otherwise."""

MOST_DEFINITIONS = 64
"""A tool's schema brings at most so many of the document's; a reference beyond them takes any
value and says in `x-schema` which one it was."""


class References:
    """A document's named parts."""

    def __init__(self, document: dict[str, Json]) -> None:
        self._document = document
        found = document.get("definitions")
        components = document.get("components")
        if isinstance(components, dict) and isinstance(components.get("schemas"), dict):
            found = components["schemas"]
        self.schemas: dict[str, Json] = found if isinstance(found, dict) else {}
        self._direct: dict[str, tuple[str, ...]] = {}
        self._local: dict[str, Json] = {}
        self._targets: dict[str, Json] = {}

    def resolve(self, value: Json) -> Json:
        """Return what a reference names, the value itself where it is none or names nothing."""
        if not isinstance(value, dict) or "$ref" not in value:
            return value
        for _ in range(16):  # chains of references are short; circles end here
            if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
                return value
            reference = value["$ref"]
            if reference not in self._targets:
                self._targets[reference] = self._at(reference)
            target = self._targets[reference]
            if target is None:
                return value
            value = target
        return value

    def _at(self, reference: str) -> Json:
        if not reference.startswith("#/"):
            return None
        node: Json = self._document
        for step in reference[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
                continue
            if isinstance(node, dict) and name not in node:
                name = unquote(name)  # a reference is the fragment of an address
            if not isinstance(node, dict) or name not in node:
                return None
            node = node[name]
        return node

    def definition(self, name: str) -> Json:
        """Return a schema whose references name `$defs`."""
        if name not in self._local:
            named: dict[str, None] = {}
            self._local[name] = local(self.schemas[name], named)
            self._direct[name] = tuple(named)
        return self._local[name]

    def needed(self, named: dict[str, None]) -> list[str]:
        """Return the names of all schemas that some need, those nearest to them first."""
        found = {name: None for name in named if name in self.schemas}
        waiting = list(found)
        for name in waiting:
            self.definition(name)
            for other in self._direct[name]:
                if other not in found and other in self.schemas:
                    found[other] = None
                    waiting.append(other)
        return waiting

    def standing_alone(self, properties: dict[str, Json], required: list[str]) -> dict[str, Json]:
        """Return an object's schema with all the definitions that it needs."""
        named: dict[str, None] = {}
        made: dict[str, Json] = {
            "type": "object",
            "properties": {name: local(each, named) for name, each in properties.items()},
            "required": required,
        }
        if not named:
            return made
        kept = self.needed(named)[:MOST_DEFINITIONS]
        if kept:
            made["$defs"] = {name: self.definition(name) for name in kept}
        missing = set(named).union(*(self._direct[name] for name in kept)).difference(kept)
        return without(made, missing) if missing else made


def local(schema: Json, named: dict[str, None]) -> Json:
    """Return a schema whose references name `$defs`, and is JSON Schema; itself if it is that.

    Args:
        schema: As the document has it; it is not changed.
        named: Gains the names of the schemas that it refers to.
    """
    if isinstance(schema, list):
        changed = [local(each, named) if isinstance(each, dict | list) else each for each in schema]
        return changed if any(map(is_not, changed, schema)) else schema
    if not isinstance(schema, dict):
        return schema
    made = schema
    for key, value in schema.items():
        kind = type(value)
        if kind is dict or kind is list:
            if key in _VALUES:
                continue
            is_named = kind is dict and key in _NAMED
            inner = _each_local(value, named) if is_named else local(value, named)
            if inner is not value:
                made = dict(schema) if made is schema else made
                made[key] = inner
        elif key in _LOOKED_AT:
            other = _changed(key, value, named)
            if other is not None:
                made = dict(schema) if made is schema else made
                if key not in other:
                    del made[key]
                made |= other  # a keyword that stays keeps its place
    return made


def _each_local(schemas: dict[str, Json], named: dict[str, None]) -> dict[str, Json]:
    """Return schemas by names, each made local; a property may be called `default` or `$ref`."""
    made = schemas
    for name, schema in schemas.items():
        other = local(schema, named)
        if other is not schema:
            made = dict(schemas) if made is schemas else made
            made[name] = other
    return made


def _changed(key: str, value: Json, named: dict[str, None]) -> dict[str, Json] | None:
    """Return what stands in a keyword's place, None where it stays."""
    if key == "$ref":
        name = _name_of(value)
        if name is None:
            return None
        named[name] = None
        return {"$ref": f"#/$defs/{_escaped(name)}"}
    if key == "type":  # `file` is Swagger's alone
        return {"type": "string", "format": "binary"} if value == "file" else None
    # Truth values are those of an older JSON Schema.
    return {f"x-{key}": value} if isinstance(value, bool) else None


def without(schema: Json, names: set[str]) -> Json:
    """Return a schema in which references to these names take any value and say which it was."""
    if isinstance(schema, list):
        return [without(each, names) for each in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        name = reference.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        if name in names:
            others = {key: value for key, value in schema.items() if key != "$ref"}
            return {"x-schema": name, **others}
    return {key: without(value, names) for key, value in schema.items()}


def _name_of(reference: Json) -> str | None:
    if isinstance(reference, str):
        for prefix in _PREFIXES:
            if reference.startswith(prefix):
                return reference.removeprefix(prefix).replace("~1", "/").replace("~0", "~")
    return None


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
