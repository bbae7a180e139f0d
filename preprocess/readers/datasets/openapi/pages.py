"""Text of what an API answers, of its schemas, and of the document as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.native import to_json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.readers.datasets.openapi.references import References

type Json = Any

_DEEPEST = 12
"""Blanks of indentation beyond which a schema is shown as JSON: six levels."""

_PLAIN = frozenset(("description", "type", "$ref"))
_PLAIN_KEYS = len(_PLAIN)
_SAID = _PLAIN | {"items", "properties", "required"}
_BODY_SAID = frozenset(("description", "schema", "content"))


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
        _add_response(lines, status, references.resolve(each))
    return "\n".join(lines)


# What follows is called for every property of every schema: lists are passed on, since generators
# inside generators took twice the time.


def _add_response(lines: list[str], status: str, response: Json) -> None:
    if not isinstance(response, dict):
        lines.append(f"- {status}: {to_json_text(response)}")
        return
    lines.append(f"- {status}: {_text(response.get('description'))}")
    if len(response) == 1:
        return
    _add_body(lines, "", response)
    content = response.get("content")
    if isinstance(content, dict):
        for kind, body in content.items():
            if isinstance(body, dict):
                _add_body(lines, kind, body)


def _add_body(lines: list[str], kind: str, body: dict[str, Json]) -> None:
    schema = body.get("schema")
    if isinstance(schema, dict):
        _add_property(lines, kind or "body", schema, "", "  ")
    for key, value in body.items():
        if key not in _BODY_SAID:
            lines.append(f"  - {f'{kind} ' if kind else ''}{key}: {to_json_text(value)}")


def schema_page(heading: str, name: str, schema: Json) -> str:
    """Return the documentation of a schema."""
    if not isinstance(schema, dict):
        return f"{heading}\nSchema {name}: {to_json_text(schema)}"
    lines = [heading, f"Schema {name} ({_type(schema)})"]
    if _text(schema.get("description")):
        lines += ["", _text(schema["description"])]
    inside: list[str] = []
    _add_inside(inside, schema, "")
    return "\n".join([*lines, "", *inside] if inside else lines)


def _add_property(lines: list[str], name: str, schema: Json, mark: str, indent: str) -> None:
    if not isinstance(schema, dict) or len(indent) > _DEEPEST:
        lines.append(f"{indent}- {name}: {to_json_text(schema)}")
        return
    description = schema.get("description")
    if description:
        lines.append(f"{indent}- {name} ({_type(schema)}{mark}): {_text(description)}")
    else:
        lines.append(f"{indent}- {name} ({_type(schema)}{mark})")
    if len(schema) > _PLAIN_KEYS or not schema.keys() <= _PLAIN:
        _add_inside(lines, schema, indent + "  ")


def _add_inside(lines: list[str], schema: dict[str, Json], indent: str) -> None:
    for key, value in schema.items():
        if key not in _SAID:
            lines.append(f"{indent}- {key}: {to_json_text(value)}")
    needed = schema.get("required")
    names = needed if isinstance(needed, list) else ()
    properties = schema.get("properties")
    missing: Sequence[Json] = names
    if isinstance(properties, dict):
        for name, each in properties.items():
            _add_property(lines, name, each, ", required" if name in names else "", indent)
        missing = [name for name in names if name not in properties]
    if missing:
        lines.append(f"{indent}- required: {to_json_text(missing)}")
    items = schema.get("items")
    if isinstance(items, dict) and not _is_plain(items):
        _add_property(lines, "each", items, "", indent)


def _type(schema: dict[str, Json]) -> str:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "array" and "$ref" not in schema:
        return kind
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return reference
    items = schema.get("items")
    if kind == "array" and isinstance(items, dict):
        return f"array of {_type(items)}"
    return " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind or "any")


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
