"""Text of what an API answers, of its schemas, and of the document as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.native import to_json_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from preprocess.readers.datasets.openapi.references import References

type Json = Any

_DEEPEST = 6
"""Below it a schema is shown as JSON."""

_SIMPLE = frozenset(("description", "type", "$ref"))
_SAID = frozenset(("description", "type", "$ref", "items", "properties", "required", "title"))


def title_of(document: dict[str, Json]) -> str:
    """Return the API's name and version."""
    info = document.get("info")
    if not isinstance(info, dict):
        return "API"
    return " ".join(str(info[key]) for key in ("title", "version") if info.get(key)) or "API"


def description_of(operation: dict[str, Json]) -> str:
    """Return the summary and the description of an operation, the summary once."""
    summary, description = (_text(operation.get(key)) for key in ("summary", "description"))
    if not summary or description.startswith(summary):
        return description or summary
    return f"{summary}\n\n{description}" if description else summary


def first_line(operation: dict[str, Json]) -> str:
    """Return the first line of what describes an operation."""
    return description_of(operation).split("\n", 1)[0]


def responses(operation: dict[str, Json], references: References) -> str:
    """Return the list of an operation's responses, empty if it states none."""
    found = operation.get("responses")
    if not isinstance(found, dict) or not found:
        return ""
    lines = ["Responses:"]
    for status, each in found.items():
        response = references.resolve(each)
        lines += _response(str(status), response)
    return "\n".join(lines)


def _response(status: str, response: Json) -> Iterator[str]:
    if not isinstance(response, dict):
        yield f"- {status}: {to_json_text(response)}"
        return
    yield f"- {status}: {_text(response.get('description'))}"
    if len(response) == 1:
        return
    bodies = {"": response}
    content = response.get("content")
    if isinstance(content, dict):
        bodies |= {kind: body for kind, body in content.items() if isinstance(body, dict)}
    for kind, body in bodies.items():
        schema = body.get("schema")
        if isinstance(schema, dict):
            yield from _property(kind or "body", schema, required=False, depth=1)
        for key, value in body.items():
            if key not in ("description", "schema", "content"):
                yield f"  - {f'{kind} ' if kind else ''}{key}: {to_json_text(value)}"


def schema_page(heading: str, name: str, schema: Json) -> str:
    """Return the documentation of a schema."""
    if not isinstance(schema, dict):
        return f"{heading}\nSchema {name}: {to_json_text(schema)}"
    lines = [heading, f"Schema {name} ({_type(schema)})"]
    if _text(schema.get("description")):
        lines += ["", _text(schema["description"])]
    lines += ["", *_inside(schema, 0)]
    return "\n".join(lines).rstrip()


def _property(name: str, schema: Json, *, required: bool, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if not isinstance(schema, dict) or depth > _DEEPEST:
        yield f"{indent}- {name}: {to_json_text(schema)}"
        return
    mark = ", required" if required else ""
    described = _text(schema.get("description"))
    yield f"{indent}- {name} ({_type(schema)}{mark}){': ' if described else ''}{described}"
    yield from _inside(schema, depth + 1)


def _inside(schema: dict[str, Json], depth: int) -> Iterator[str]:
    if schema.keys() <= _SIMPLE:
        return
    indent = "  " * depth
    if schema.get("title") is not None:
        yield f"{indent}- title: {to_json_text(schema['title'])}"
    yield from (
        f"{indent}- {key}: {to_json_text(value)}"
        for key, value in schema.items()
        if key not in _SAID
    )
    needed = schema.get("required")
    names = needed if isinstance(needed, list) else []
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for name, each in properties.items():
            yield from _property(name, each, required=name in names, depth=depth)
        missing = [name for name in names if name not in properties]
    else:
        missing = names
    if missing:
        yield f"{indent}- required: {to_json_text(missing)}"
    items = schema.get("items")
    if isinstance(items, dict) and not _is_plain(items):
        yield from _property("each", items, required=False, depth=depth)


def _type(schema: dict[str, Json]) -> str:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return reference
    kind = schema.get("type")
    name = " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind or "any")
    items = schema.get("items")
    if kind == "array" and isinstance(items, dict):
        return f"array of {_type(items)}"
    return name


def _is_plain(schema: dict[str, Json]) -> bool:
    """Whether the name of its type says all of it."""
    return len(schema) == 1 and ("type" in schema or "$ref" in schema)


def document_page(document: dict[str, Json], url: str, operations: Sequence[str]) -> str:
    """Return what the document says of itself, and its operations, a line each."""
    info = document.get("info")
    lines = [title_of(document), *([url] if url else [])]
    if isinstance(info, dict) and _text(info.get("description")):
        lines += ["", _text(info["description"])]
    for tag in document.get("tags") or ():
        if isinstance(tag, dict) and _text(tag.get("description")):
            lines.append(f"\n{tag.get('name', '')}: {_text(tag['description'])}")
    if operations:
        lines += ["", "Operations:", *(f"- {line}" for line in operations)]
    return "\n".join(lines)


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else to_json_text(value)
