"""Parameters of an operation of OpenAPI 2 or 3 as one schema, references and all.

Schemas that are referred to stand under `$defs`, each once, so that recursive ones stay finite.
"""

from __future__ import annotations

from typing import Any

_LOCATIONS = ("name", "in", "required", "description", "schema", "content")


class Components:
    """What a document's references point at."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def at(self, reference: Any) -> Any:
        """Return the value that a reference inside the document names; None for any other."""
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        value: Any = self._document
        for step in reference[2:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def resolved(self, value: Any) -> Any:
        """Return a parameter or a body itself where `value` is a reference to it."""
        for _ in range(8):  # a chain this long is a loop
            if not isinstance(value, dict) or "$ref" not in value:
                return value
            value = self.at(value["$ref"])
        return None


def operation_parameters(
    operation: dict[str, Any], shared: Any, components: Components
) -> dict[str, Any]:
    """Return the schema of an operation's arguments, a body under its name or as `body`.

    Args:
        operation: As the document has it.
        shared: Parameters of the path, which all its operations take.
        components: The document's.
    """
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    required: list[str] = []
    for given in [*_listed(shared), *_listed(operation.get("parameters"))]:
        parameter = components.resolved(given)
        if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
            continue
        name = parameter["name"]
        properties[name] = _inlined(_schema(parameter), components, definitions)
        if parameter.get("required") is True and name not in required:
            required.append(name)
    body = components.resolved(operation.get("requestBody"))
    if isinstance(body, dict):
        properties["body"] = _inlined(_schema(body), components, definitions)
        if body.get("required") is True:
            required.append("body")
    schema = {"type": "object", "properties": properties, "required": required}
    return {**schema, "$defs": definitions} if definitions else schema


def _listed(parameters: Any) -> list[Any]:
    return parameters if isinstance(parameters, list) else []


def _schema(parameter: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter: its own (version 3, bodies), or its fields (version 2)."""
    schema = parameter.get("schema")
    content = parameter.get("content")
    if not isinstance(schema, dict) and isinstance(content, dict) and content:
        chosen = content.get("application/json", next(iter(content.values())))
        schema = chosen.get("schema") if isinstance(chosen, dict) else None
    if not isinstance(schema, dict):
        schema = {key: parameter[key] for key in parameter if key not in _LOCATIONS}
    description = parameter.get("description")
    return {"description": description, **schema} if isinstance(description, str) else schema


def _inlined(value: Any, components: Components, definitions: dict[str, Any]) -> Any:
    """Return a schema whose references point at `definitions`, which grow as needed."""
    if isinstance(value, list):
        return [_inlined(each, components, definitions) for each in value]
    if not isinstance(value, dict):
        return value
    made = {key: _inlined(value[key], components, definitions) for key in value}
    target = components.at(value.get("$ref"))
    if isinstance(target, dict):
        name = value["$ref"].rpartition("/")[2]
        if name not in definitions:
            definitions[name] = {}  # before its own references, which may come back here
            definitions[name] = _inlined(target, components, definitions)
        made["$ref"] = f"#/$defs/{name}"
    return made
