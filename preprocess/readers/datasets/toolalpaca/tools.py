"""The operations of an OpenAPI 3 document as the tools that ToolAlpaca's agents call.

An agent gives all arguments of a call as one flat object, so parameters of the path and the query
and the members of the request's body become properties side by side.
"""

from __future__ import annotations

from typing import Any, Final

from preprocess.readers.understand.schemas import json_schema
from preprocess.records import Tool

_VERBS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_DEEPEST: Final = 8
"""References inside references are followed this far; deeper ones, and circles, stay references."""

_MOST_NODES: Final = 20_000
"""How much may be copied for the references of one document."""

_JSON_TYPES: Final = ("application/json", "application/x-www-form-urlencoded")


def tools_of(document: Any, projection: Any) -> tuple[Tool, ...]:
    """Return the tools of a document, in its order.

    Args:
        document: OpenAPI 3.
        projection: Maps names of functions to `[path, verb]`, for operations without an id.
    """
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict):
        return ()
    names = _names(projection)
    references = References(document)
    tools = []
    for path, item in paths.items():
        if not isinstance(item, dict):
            continue
        shared = item.get("parameters")
        for verb, operation in item.items():
            if verb.lower() not in _VERBS or not isinstance(operation, dict):
                continue
            name = names.get((path, verb)) or operation.get("operationId")
            tools.append(
                Tool(
                    name=name if isinstance(name, str) and name else _name(path, verb),
                    description=_description(operation),
                    parameters=_parameters(operation, shared, references),
                )
            )
    return tuple(tools)


def _names(projection: Any) -> dict[tuple[str, str], str]:
    if not isinstance(projection, dict):
        return {}
    return {
        (at[0], at[1]): name
        for name, at in projection.items()
        if isinstance(at, list) and len(at) == 2 and all(isinstance(part, str) for part in at)
    }


def _name(path: str, verb: str) -> str:
    """Return the name that ToolAlpaca gives to an operation without an id.

    >>> _name("/api/v2/entries/en/{word}", "get")
    'api_v2_entries_en_word_get'
    """
    parts = path.strip("/").replace("{", "").replace("}", "").replace("/", "_")
    return f"{parts}_{verb}"


def _description(operation: dict[str, Any]) -> str:
    said = [operation.get("summary"), operation.get("description")]
    texts = [text for text in said if isinstance(text, str) and text.strip()]
    return "\n".join(dict.fromkeys(texts))


def _parameters(operation: dict[str, Any], shared: Any, references: References) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    own = operation.get("parameters")
    for given in (*_listed(shared), *_listed(own)):
        parameter = references.resolved(given)
        name = parameter.get("name") if isinstance(parameter, dict) else None
        if not isinstance(name, str):
            continue
        properties[name] = _property(parameter)
        if parameter.get("required") is True and name not in required:
            required.append(name)
    _add_body(references.resolved(operation.get("requestBody")), properties, required)
    return json_schema({"type": "object", "properties": properties, "required": required})


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _property(parameter: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter with its description and example."""
    schema = parameter.get("schema")
    made = dict(schema) if isinstance(schema, dict) else {}
    for key in ("description", "example"):
        if key in parameter:
            made.setdefault(key, parameter[key])
    return made


def _add_body(body: Any, properties: dict[str, Any], required: list[str]) -> None:
    """Add the members of a body to the properties; one that is no object is the property `body`."""
    content = body.get("content") if isinstance(body, dict) else None
    if not isinstance(content, dict) or not content:
        return
    kind = next((kind for kind in _JSON_TYPES if kind in content), next(iter(content)))
    schema = content[kind].get("schema") if isinstance(content[kind], dict) else None
    if not isinstance(schema, dict):
        return
    members = schema.get("properties")
    if not isinstance(members, dict):
        properties.setdefault("body", schema)
        if body.get("required") is True:
            required.append("body")
        return
    for name, member in members.items():
        properties.setdefault(name, member)
    needed = _listed(schema.get("required"))
    required += [name for name in needed if name in members and name not in required]


class References:
    """The local references of one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._num_nodes = 0

    def resolved(self, value: Any, depth: int = 0) -> Any:
        """Return a value with the local references in it replaced by what they name."""
        if isinstance(value, list):
            return [self.resolved(each, depth) for each in value]
        if not isinstance(value, dict):
            return value
        self._num_nodes += 1
        target = value.get("$ref")
        if isinstance(target, str) and depth < _DEEPEST and self._num_nodes < _MOST_NODES:
            found = self._find(target)
            if found is not None:
                return self.resolved(found, depth + 1)
        return {key: self.resolved(each, depth) for key, each in value.items()}

    def _find(self, target: str) -> Any:
        value: Any = self._document
        prefix, *parts = target.split("/")
        if prefix != "#":
            return None
        for part in parts:
            name = part.replace("~1", "/").replace("~0", "~")
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else None
