"""Endpoints of API Pack as tools: rows of its database, and operations of its OpenAPI documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.cards import code, prose, section
from preprocess.readers.draft import Draft
from preprocess.readers.native import Unreadable
from preprocess.readers.understand.schemas import python_parameters
from preprocess.records import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from preprocess.readers.native import Native

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
    "c": "c",
    "libcurl": "c",
    "javascript xhr": "javascript",
    "javascript": "javascript",
}
"""Names of the languages as the rows spell them, in lower case, as fences spell them."""

_SAID = frozenset(("api_call", "functionality", "description", "api_description"))
"""Fields that stand whole in the text or the tool."""


def endpoint(row: dict[str, Any], part: str = "") -> Draft:
    """Return the documentation of an endpoint with a call of it in one language."""
    return documentation(row, [_call(_string(row, "lang"), row.get("api_call"))], part)


def documentation(row: dict[str, Any], sections: Sequence[str], part: str = "") -> Draft:
    """Return what a row says about an endpoint: a tool, with `sections` behind it."""
    functionality, description = _string(row, "functionality"), _string(row, "description")
    path = _string(row, "path")
    place = f"{_string(row, 'method').upper()} {path}".strip()
    name = _string(row, "endpoint") or place or functionality
    if not name.strip():
        raise Unreadable("unknown_layout")
    about = dict.fromkeys(each for each in (functionality, description) if each.strip())
    api = _string(row, "api_name") or _string(row, "API name")
    heading = [api, _string(row, "api_description"), place]
    arguments = row.get("api_arguments")
    schema = _given(arguments)
    shown = "" if "properties" in schema else section("Arguments:", prose(arguments))
    said = [key for key in _SAID if isinstance(row.get(key), str)]
    return Draft(
        kind="tool_documentation",
        part=part,
        tools=(Tool(name=name, description="\n\n".join(about), parameters=schema),),
        preface="\n".join(line for line in heading if line.strip()),
        appendix="\n\n".join(each for each in (shown, *sections) if each),
        meta={key: row[key] for key in row if key not in said},
    )


def _string(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _call(language: str, source: Any) -> str:
    """Return a call in a language, such as `Python` or `Python + Requests`."""
    word = language.split(" + ")[0].lower()
    heading = f"Call ({language}):" if language else "Call:"
    return section(heading, code(source, _FENCES.get(word, "")))


def _given(arguments: Any) -> dict[str, Any]:
    """Return the schema of a row's arguments; one without properties where it says nothing."""
    try:
        return {"type": "object"} if arguments is None else python_parameters(arguments)
    except Unreadable:  # another shape, which stays as it is in `meta` and in the text
        return {"type": "object"}


def operations(native: Native) -> Iterator[Draft]:
    """Yield what an OpenAPI document documents; calls that were generated stand in the text."""
    from preprocess.readers.datasets.openapi.document import drafts_of

    license_ = None if _has_calls(native.value["paths"]) else "CC0-1.0"  # that of APIs.guru
    for draft in drafts_of(native):
        draft.license = license_
        calls = draft.meta.get("api_calls")
        if isinstance(calls, list) and all(map(_is_call, calls)):
            sections = [_call(*_spelled(call)) for call in calls]
            draft.appendix = "\n\n".join(filter(None, (draft.appendix, *sections)))
            draft.meta = {key: draft.meta[key] for key in draft.meta if key != "api_calls"}
            rest = [_beyond_spelling(call) for call in calls]
            if any(rest):
                draft.meta["api_calls"] = rest
        yield draft


def _has_calls(paths: dict[str, Any]) -> bool:
    """Return whether API Pack's pipeline has added calls to a document."""
    items = [item for item in paths.values() if isinstance(item, dict)]
    values = [value for item in items for value in item.values() if isinstance(value, dict)]
    return any("api_calls" in value for value in values)


def _is_call(call: Any) -> bool:
    return isinstance(call, dict) and all(_spelled(call)) and call.keys() <= _CALL_KEYS


def _spelled(call: dict[str, Any]) -> tuple[str, str]:
    language, source = _spelling(call)
    return _string(call, language), _string(call, source)


def _beyond_spelling(call: dict[str, Any]) -> dict[str, Any]:
    used = _spelling(call)
    return {key: call[key] for key in call if key not in used}


def _spelling(call: dict[str, Any]) -> tuple[str, str]:
    """Return the keys of the language and of the source."""
    language = "title" if _string(call, "title") else "lang"
    return language, "content" if _string(call, "content") else "code"


_CALL_KEYS = frozenset(("id", "title", "lang", "content", "code"))
