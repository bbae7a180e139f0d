"""Endpoints of API Pack as tools: rows of its database, and operations of its OpenAPI documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.api_pack_schemas import Components, operation_parameters
from preprocess.readers.cards import code, page, prose
from preprocess.readers.draft import Draft
from preprocess.readers.native import Unreadable
from preprocess.readers.understand.schemas import python_parameters
from preprocess.records import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_FENCES = {
    "curl": "bash",
    "shell": "bash",
    "java": "java",
    "node": "javascript",
    "python": "python",
    "go": "go",
    "ruby": "ruby",
    "php": "php",
    "swift": "swift",
    "libcurl": "c",
    "javascript xhr": "javascript",
    "javascript": "javascript",
}
"""Names of the languages as the rows spell them, in lower case, as fences spell them."""

_SAID = frozenset(("api_call", "functionality", "description", "api_description"))
"""Fields that stand whole in the text."""


def endpoint(row: dict[str, Any], part: str = "") -> Draft:
    """Return the documentation of an endpoint with a call of it in one language."""
    language = _string(row, "lang")
    call = code(row.get("api_call"), _FENCES.get(language.lower(), ""))
    return documentation(row, [(f"Call ({language})" if language else "Call", call)], part)


def documentation(
    row: dict[str, Any], sections: Sequence[tuple[str, str]], part: str = ""
) -> Draft:
    """Return what a row says about an endpoint, then `sections`."""
    functionality, description = _string(row, "functionality"), _string(row, "description")
    method, path = _string(row, "method").upper(), _string(row, "path")
    place = f"{method} {path}".strip()
    api = _string(row, "api_name") or _string(row, "API name")
    name = _string(row, "endpoint") or place or functionality
    arguments = row.get("api_arguments")
    about = [] if description == functionality else [description]
    if place:
        about.append(f"`{place}`")
    lines = "\n\n".join(each for each in about if each)
    text = page(
        api or name,
        _string(row, "api_description"),
        [(functionality or name, lines or f"`{name}`"), ("Arguments", prose(arguments)), *sections],
    )
    if not name or not text:
        raise Unreadable("unknown_layout")
    tool = Tool(name=name, description=functionality or description, parameters=_given(arguments))
    said = [key for key in _SAID if isinstance(row.get(key), str) and row[key] in text]
    meta = {key: row[key] for key in row if key not in said}
    return Draft(kind="tool_documentation", part=part, text=text, tools=(tool,), meta=meta)


def _string(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _given(arguments: Any) -> dict[str, Any]:
    if not arguments:
        return {"type": "object", "properties": {}}
    try:
        return python_parameters(arguments)
    except Unreadable:  # another shape, which stays as it is in `meta`
        return {"type": "object", "properties": {}}


def operations(document: dict[str, Any]) -> Iterator[Draft]:
    """Yield the documentation of each operation of an OpenAPI document, then of the whole."""
    components = Components(document)
    info = document.get("info")
    about: dict[str, Any] = info if isinstance(info, dict) else {}
    listed: list[str] = []
    shared: dict[str, Any] = {}
    license_ = None if _has_calls(document["paths"]) else "CC0-1.0"  # that of APIs.guru
    for path, item in document["paths"].items():
        if not isinstance(item, dict):
            raise Unreadable("unknown_layout")
        if left := {key: item[key] for key in item if key not in METHODS}:
            shared[path] = left
        for method in (key for key in item if key in METHODS):
            operation = item[method]
            if not isinstance(operation, dict):
                raise Unreadable("unknown_layout")
            listed.append(f"- `{method.upper()} {path}`: {_summary(operation)}".rstrip(": "))
            where = (path, method, item.get("parameters"))
            draft = _operation(operation, where, _string(about, "title"), components)
            draft.part = str(len(listed) - 1)
            draft.license = license_
            yield draft
    rest = {key: document[key] for key in document if key != "paths"}
    if shared:
        rest["paths"] = shared
    text = page(
        _string(about, "title"),
        _string(about, "description"),
        [("Operations", "\n".join(listed))],
    )
    if not text:
        raise Unreadable("empty_text")
    whole = Draft(kind="tool_documentation", part="documentation", text=text, meta=rest)
    whole.license = license_
    yield whole


def _has_calls(paths: dict[str, Any]) -> bool:
    """Return whether API Pack's pipeline has added calls to a document."""
    items = [item for item in paths.values() if isinstance(item, dict)]
    values = [value for item in items for value in item.values() if isinstance(value, dict)]
    return any("api_calls" in value for value in values)


def _summary(operation: dict[str, Any]) -> str:
    return _string(operation, "summary") or _string(operation, "description").split("\n")[0]


def _operation(
    operation: dict[str, Any], where: tuple[str, str, Any], title: str, components: Components
) -> Draft:
    """Return one operation as a tool; `where`: its path, method, and the path's parameters."""
    path, method, shared = where
    place = f"{method.upper()} {path}"
    summary, description = _string(operation, "summary"), _string(operation, "description")
    schema = operation_parameters(operation, shared, components)
    name = _string(operation, "operationId") or place
    calls, kept = _calls(operation.get("api_calls"))
    described = "\n".join(
        f"- {each}: {about.get('description', '')}".rstrip(": ")
        for each, about in schema["properties"].items()
    )
    text = page(
        title or name,
        "",
        [
            (summary or name, "\n\n".join(filter(None, (description, f"`{place}`")))),
            ("Arguments", described),
            *calls,
        ],
    )
    meta = {"path": path, "method": method, **operation}
    for key in ("summary", "description", *(() if kept else ("api_calls",))):
        meta.pop(key, None)
    both = dict.fromkeys(each for each in (summary, description) if each)
    tool = Tool(name=name, description="\n\n".join(both), parameters=schema)
    return Draft(kind="tool_documentation", text=text, tools=(tool,), meta=meta)


def _calls(calls: Any) -> tuple[list[tuple[str, str]], bool]:
    """Return sections for the calls of an operation, and whether they say more than those."""
    if not isinstance(calls, list):
        return [], calls is not None
    sections = []
    for call in calls:
        if not isinstance(call, dict):
            return [], True
        language = _string(call, "title") or _string(call, "lang")
        source = call.get("content", call.get("code"))
        if not isinstance(source, str):
            return [], True
        word = language.split(" + ")[0].lower()
        sections.append((f"Call ({language})", code(source, _FENCES.get(word, ""))))
    return sections, False
