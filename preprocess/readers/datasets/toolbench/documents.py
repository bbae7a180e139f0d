"""ToolBench's documents of tools, and the shapes of responses that it derived from real calls.

A document is a file: `{"tool_name", "tool_description", "home_url", "host", "api_list": [...]}`.
The shapes are a file per tool as well: `{"api_list": [{"name", "schema"}]}`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text
from preprocess.readers.datasets.toolbench.apis import beyond_tools, tools_of
from preprocess.readers.draft import Draft, Dropped
from preprocess.readers.native import Native, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator


def convert_document(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the documentation of a tool's APIs."""
    value: dict[str, Any] = native.value
    name = value.get("tool_name", value.get("name"))
    if not isinstance(name, str | None):
        raise Unreadable("invalid_tool_name")
    tools = tools_of(value["api_list"], name)
    if not tools:
        yield Dropped("no_apis")
        return
    meta = {**value, "api_list": beyond_tools(value["api_list"])}
    yield Draft(kind="tool_documentation", tools=tools, meta=meta, part="documentation")


def convert_responses(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the shapes of the responses of a tool's APIs; the tool is what the file is named after.

    Half of the published files list no API: they are dropped (`no_apis`).
    """
    value: dict[str, Any] = native.value
    apis = value["api_list"]
    if not isinstance(apis, list) or not all(_is_shape(api) for api in apis):
        raise Unreadable("invalid_api_list")
    if not apis:
        yield Dropped("no_apis")
        return
    tool = PurePosixPath(native.origin.path).name.split(".")[0]
    lines = [f"{api['name']}: {_json(api['schema'])}" for api in apis]
    text = "\n".join([f"Responses of the APIs of {tool}", *lines])
    meta = {key: each for key, each in value.items() if key != "api_list"}
    rest = [{key: api[key] for key in api if key not in ("name", "schema")} for api in apis]
    if any(rest):
        meta["api_list"] = rest
    yield Draft(kind="tool_documentation", text=text, meta=meta, part="documentation")


def _is_shape(api: Any) -> bool:
    return isinstance(api, dict) and isinstance(api.get("name"), str) and "schema" in api


def _json(schema: Any) -> str:
    return schema if isinstance(schema, str) else to_json_text(schema)
