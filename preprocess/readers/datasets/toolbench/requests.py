"""ToolBench's instruction files: a request, and the APIs that may help with it.

`{"api_list": [...], "query", "relevant APIs": [[tool, api], ...], "query_id"}`; files to try a
model with name APIs without documenting them, or name none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.datasets.toolbench.apis import beyond_tools, tools_of
from preprocess.readers.draft import Draft
from preprocess.readers.native import Native, Unreadable
from preprocess.records import Message

if TYPE_CHECKING:
    from collections.abc import Iterator


def convert_request(native: Native) -> Iterator[Draft]:
    """Yield the documentation of the APIs, if there is any, and the request with its tools.

    Which APIs are relevant stands in `meta`: the source gives no call with arguments.
    """
    value = native.value
    query = value["query"]
    if not isinstance(query, str):
        raise Unreadable("query_is_no_text")
    if not query.strip():
        raise Unreadable("empty_query")
    apis = value.get("api_list")
    meta = {key: each for key, each in value.items() if key not in ("query", "api_list")}
    request = (Message(role="user", content=query),)
    if not apis or not _is_documented(apis):
        if apis is not None:
            meta["api_list"] = apis
        yield Draft(kind="function_call", messages=request, meta=meta)
        return
    tools = tools_of(apis)
    rest = {"api_list": beyond_tools(apis)}
    yield Draft(kind="tool_documentation", tools=tools, meta=rest, part="documentation")
    yield Draft(kind="function_call", tools=tools, messages=request, meta=meta, part="0")


def _is_documented(apis: Any) -> bool:
    return isinstance(apis, list) and any(
        isinstance(api, dict) and ("required_parameters" in api or "api_description" in api)
        for api in apis
    )
