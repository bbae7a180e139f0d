"""Function documents, as sources write them for a model that calls functions, as tools.

A document is `{name, description, parameters}`, or that inside `{type: function, function: ...}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from preprocess.readers.native import Unreadable
from preprocess.readers.understand.schemas import json_schema
from preprocess.records import Tool

type Parameters = Callable[[Any], dict[str, Any]]
"""Turns a source's parameters to JSON Schema."""

type Rest = dict[str, Any]
"""What a document says beyond a tool's three fields, with the tool's name first."""

_WRAPPED = frozenset(("type", "function"))


def tools_of(
    documents: Any, parameters: Parameters | None = None
) -> tuple[tuple[Tool, ...], list[Rest]]:
    """Return the tools that a list of documents (or a single one) describes.

    A list `required` that stands beside the parameters instead of in them becomes theirs.

    Args:
        documents: As the source has them.
        parameters: How the source spells parameters; None: nearly as JSON Schema.

    Returns:
        The tools, and the rest of each document that says more; for `meta`.

    Raises:
        Unreadable: `invalid_function_document` or `invalid_parameters`.
    """
    if isinstance(documents, dict):
        documents = [documents]
    if not isinstance(documents, list):
        raise Unreadable("invalid_function_document")
    tools, rests = [], []
    for document in documents:
        tool, rest = tool_of(document, parameters)
        tools.append(tool)
        if rest:
            rests.append(rest)
    return tuple(tools), rests


def tool_of(document: Any, parameters: Parameters | None = None) -> tuple[Tool, Rest]:
    """Return the tool of one document, and what else that says; see `tools_of`."""
    if parameters and type(document) is dict and len(document) == len(_FIELDS):
        name, description = document.get("name"), document.get("description")
        if type(name) is str and type(description) is str and "parameters" in document:
            schema = parameters(document["parameters"])
            return Tool(name=name, description=description, parameters=schema), {}
    outer: Rest = {}
    if isinstance(document, dict) and isinstance(document.get("function"), dict):
        outer = {key: value for key, value in document.items() if key not in _WRAPPED}
        if document.get("type", "function") != "function":
            outer["type"] = document["type"]
        document = document["function"]
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise Unreadable("invalid_function_document")
    name = document["name"]
    description = document.get("description")
    given = document.get("parameters")
    required = _required_beside(document, outer)
    schema = parameters(given) if parameters and required is None else json_schema(given, required)
    rest = outer | {key: document[key] for key in document if key not in _FIELDS}
    if "required" in rest and rest["required"] == schema.get("required"):
        del rest["required"]
    if not isinstance(description, str):
        if description is not None:
            rest["description"] = description
        description = ""
    return Tool(name=name, description=description, parameters=schema), _named(name, rest)


_FIELDS = frozenset(("name", "description", "parameters"))


def _required_beside(document: dict[str, Any], outer: Rest) -> Sequence[str] | None:
    """Return the names that a document lists beside its parameters, where they list none."""
    given = document.get("parameters")
    if isinstance(given, dict) and isinstance(given.get("required"), list):
        return None
    listed = document.get("required", outer.get("required"))
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        return None
    known = given.get("properties", given) if isinstance(given, dict) else {}
    return listed if isinstance(known, dict) and all(name in known for name in listed) else None


def _named(name: str, rest: Rest) -> Rest:
    return {"name": name, **rest} if rest else {}
