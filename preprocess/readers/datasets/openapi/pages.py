"""Text of what an API answers, of its schemas, and of the document as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from preprocess.readers.datasets.openapi.references import References

type Json = Any

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_DEEPEST = 12
"""Blanks of indentation beyond which a schema is shown as JSON: six levels."""

_PLAIN = frozenset(("description", "type", "$ref"))
_PLAIN_KEYS = len(_PLAIN)
_SAID = frozenset(("description", "type"))
"""Keywords that are shown in words."""

_SAID_AS: dict[str, type] = {"$ref": str, "items": dict, "properties": dict, "required": list}
"""Those that are where their values are what OpenAPI has there."""

_DESCRIBED = frozenset(("description",))


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
        _add_response(lines, status, response)
        if response is not each:
            _add_others(lines, "", each, ("$ref",))
    return "\n".join(lines)


# What follows is called for every property of every schema: lists are passed on, since generators
# inside generators took twice the time.


def _add_response(lines: list[str], status: str, response: Json) -> None:
    if not isinstance(response, dict):
        lines.append(f"- {status}: {to_json_text(response)}")
        return
    lines.append(f"- {status}: {_text(response.get('description'))}")
    if response.keys() <= _DESCRIBED:
        return
    content = response.get("content")
    if not isinstance(content, dict):
        _add_body(lines, "", response, ("description",))
        return
    _add_body(lines, "", response, ("description", "content"))
    for kind, body in content.items():
        if isinstance(body, dict):
            _add_body(lines, kind, body, ())
        else:
            lines.append(f"  - {kind}: {to_json_text(body)}")


def _add_body(lines: list[str], kind: str, body: dict[str, Json], said: Sequence[str]) -> None:
    schema = body.get("schema")
    if isinstance(schema, dict):
        _add_property(lines, kind or "body", schema, "", "  ")
        said = (*said, "schema")
    _add_others(lines, f"{kind} " if kind else "", body, said)


def _add_others(lines: list[str], prefix: str, value: dict[str, Json], said: Sequence[str]) -> None:
    for key, each in value.items():
        if key not in said:
            lines.append(f"  - {prefix}{key}: {to_json_text(each)}")


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
        if key not in _SAID and type(value) is not _SAID_AS.get(key):
            lines.append(f"{indent}- {key}: {to_json_text(value)}")
    needed = schema.get("required")
    names = needed if isinstance(needed, list) else []
    properties = schema.get("properties")
    missing = names
    if isinstance(properties, dict):
        for name, each in properties.items():
            _add_property(lines, name, each, ", required" if name in names else "", indent)
        missing = [each for each in names if not isinstance(each, str) or each not in properties]
    if missing:
        lines.append(f"{indent}- required: {to_json_text(missing)}")
    items = schema.get("items")
    if isinstance(items, dict) and not (_is_array(schema) and _is_plain(items)):
        _add_property(lines, "each", items, "", indent)


def _type(schema: dict[str, Json]) -> str:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "array" and "$ref" not in schema:
        return kind
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return f"{reference}, {_type({'type': kind})}" if kind else reference
    items = schema.get("items")
    if kind == "array" and isinstance(items, dict):
        return f"array of {_type(items)}"
    if isinstance(kind, list):
        return " or ".join(each if isinstance(each, str) else to_json_text(each) for each in kind)
    return _text(kind) or "any"


def _is_array(schema: dict[str, Json]) -> bool:
    """Whether the name of its type says what its items are."""
    return schema.get("type") == "array" and not isinstance(schema.get("$ref"), str)


def _is_plain(schema: dict[str, Json]) -> bool:
    """Whether the name of its type says all of it."""
    return len(schema) == 1 and ("type" in schema or "$ref" in schema)


def document_page(document: dict[str, Json], url: str, operations: Sequence[str]) -> str:
    """Return what the document says of itself, and its operations, a line each."""
    info = document.get("info")
    lines = [title_of(document), *([url] if url else [])]
    if isinstance(info, dict) and _text(info.get("description")):
        lines += ["", _text(info["description"])]
    tags = document.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, dict) and _text(tag.get("description")):
            lines.append(f"\n{_text(tag.get('name'))}: {_text(tag['description'])}")
    if operations:
        lines += ["", "Operations:", *(f"- {line}" for line in operations)]
    if called := list(_webhooks(document)):
        lines += ["", "Webhooks:", *(f"- {line}" for line in called)]
    return "\n".join(lines)


def _webhooks(document: dict[str, Json]) -> Iterator[str]:
    """Yield what the API calls by itself, a line each; the whole of it stands in `meta`."""
    webhooks = document.get("webhooks")
    for name, item in webhooks.items() if isinstance(webhooks, dict) else ():
        for method, operation in item.items() if isinstance(item, dict) else ():
            if method in METHODS and isinstance(operation, dict):
                yield f"{method.upper()} {name}: {first_line(operation) or name}"


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else to_json_text(value)
