"""What an operation takes, as one JSON Schema: parameters of any place, and the body."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from preprocess.readers.datasets.openapi.references import References

type Json = Any

_BODY = "body"
_OWN = frozenset(("name", "in", "required", "schema", "description", "content"))


@dataclass(slots=True)
class Request:
    """The arguments of an operation."""

    schema: dict[str, Json] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    """Argument -> path, query, header, cookie, formData or body."""

    schemas: set[str] = field(default_factory=set)
    """Names of the document's schemas that it takes."""

    rest: dict[str, Json] = field(default_factory=dict)
    """What has no place in the schema: bodies of other types, parameters that say more."""


def request_of(operation: dict[str, Json], shared: Json, references: References) -> Request:
    """Return what an operation takes; its own parameters win over those its path shares."""
    request = Request()
    properties: dict[str, Json] = {}
    required: list[str] = []
    kept: list[Json] = []
    for parameter in _parameters(shared, operation.get("parameters"), references, kept):
        place = str(parameter.get("in", "query"))
        name = parameter["name"]
        if name in properties:  # the same name in another place
            name = f"{name} ({place})"
        properties[name] = _property(parameter)
        if not _is_whole(parameter, properties[name]):
            kept.append(parameter)
        request.locations[name] = place
        if parameter.get("required") is True:
            required.append(name)
    given = operation.get("requestBody")
    body = references.resolve(given)
    if isinstance(body, dict):
        _add_body(request, body, properties, required)
    elif body is not None:
        request.rest["requestBody"] = body
    if isinstance(given, dict) and body is not given and len(given) > 1:
        request.rest["requestBodyReference"] = given
    if kept:
        request.rest["parameters"] = kept
    request.schema = references.standing_alone(properties, required)
    request.schemas = set(request.schema.get("$defs", ()))
    return request


def _parameters(
    shared: Json, own: Json, references: References, kept: list[Json]
) -> Iterable[dict[str, Json]]:
    """Return the parameters that count; `kept` gains the others, and references that say more."""
    found: dict[tuple[Json, str], dict[str, Json]] = {}
    for given in (shared, own):
        for each in given if isinstance(given, list) else ():
            parameter = references.resolve(each)
            if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
                kept.append(each)
                continue
            if parameter is not each and len(each) > 1:
                kept.append(each)
            key = str(parameter.get("in")), parameter["name"]
            if key in found:
                kept.append(found[key])
            found[key] = parameter
    return found.values()


def _property(parameter: dict[str, Json]) -> dict[str, Json]:
    """Return the schema of a parameter: OpenAPI 2 writes it beside the name, 3 below `schema`."""
    schema = parameter.get("schema")
    if schema is None and "content" in parameter:
        content = parameter["content"]
        kinds = content.values() if isinstance(content, dict) else ()
        schema = next((each.get("schema") for each in kinds if isinstance(each, dict)), None)
    made: dict[str, Json] = dict(schema) if isinstance(schema, dict) else {}
    if "description" in parameter:
        made["description"] = parameter["description"]
    made |= {key: value for key, value in parameter.items() if key not in _OWN}
    return made


def _is_whole(parameter: dict[str, Json], made: dict[str, Json]) -> bool:
    """Whether the property that was made of a parameter says all that the parameter says."""
    schema = parameter.get("schema", {})
    return (
        "content" not in parameter
        and isinstance(parameter.get("required", False), bool)
        and isinstance(schema, dict)
        and all(made[key] is value or made[key] == value for key, value in schema.items())
    )


def _add_body(
    request: Request, body: dict[str, Json], properties: dict[str, Json], required: list[str]
) -> None:
    content = body.get("content")
    found = content.items() if isinstance(content, dict) else ()
    kinds = {kind: each for kind, each in found if isinstance(each, dict)}
    chosen = next((kind for kind in kinds if "json" in kind), next(iter(kinds), None))
    if chosen is None:
        request.rest["requestBody"] = body
        return
    name = _BODY if _BODY not in properties else "request body"
    schema = kinds[chosen].get("schema")
    properties[name] = dict(schema) if isinstance(schema, dict) else {}
    unsaid = {key: value for key, value in kinds[chosen].items() if key != "schema"}
    if "description" in body:
        said = properties[name].get("description", body["description"])
        if said != body["description"]:
            unsaid["schema"] = {"description": said}
        properties[name]["description"] = body["description"]
    if schema is not None and not isinstance(schema, dict):
        unsaid["schema"] = schema
    request.locations[name] = f"body, {chosen}"
    if body.get("required") is True:
        required.append(name)
    others = {kind: each for kind, each in found if kind != chosen}
    heard = ["content", "description"]
    if isinstance(body.get("required"), bool):
        heard.append("required")
    extensions = {key: value for key, value in body.items() if key not in heard}
    kept = {**extensions, **({chosen: unsaid} if unsaid else {}), **others}
    if kept:
        request.rest["requestBody"] = kept
