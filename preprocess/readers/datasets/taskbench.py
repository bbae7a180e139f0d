"""Dataset `taskbench`: requests that need several tools, and the tools' documents and graphs.

Requests are `{"id", "user_request"}` a line. Where the solution is there (`data.json`), its steps
and calls are JSON in strings; a call whose arguments are named values is a call, one whose
arguments are bare texts stays JSON text. `tool_desc` and `graph_desc` are one object each: `nodes`,
and `links` between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text
from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.readers.turns import request
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import python_parameters
from preprocess.records import Message, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

_REQUEST = ("user_request", "instruction")
_STEPS = ("task_steps", "tool_steps")
_CALLS = ("task_nodes", "tool_nodes")


def convert(native: Native) -> Iterator[Draft]:
    """Yield the draft of a request, or one for each tool."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("no_object")
    asked = next((name for name in _REQUEST if isinstance(value.get(name), str)), None)
    if asked:
        yield _request(native, asked)
    elif isinstance(value.get("nodes"), list):
        yield from _tools(value)
    else:
        raise Unreadable("unknown_layout")


def _request(native: Native, asked: str) -> Draft:
    value = native.value
    meta = {name: value[name] for name in value if name != asked}
    messages = [request(value[asked])]
    steps = _list(value, _STEPS, native)
    calls = _list(value, _CALLS, native)
    if steps or calls:
        said = [step for step in steps if isinstance(step, str)]
        made = [_call(each, number) for number, each in enumerate(calls)]
        known = [each for each in made if each is not None]
        if len(known) < len(calls):
            known = []
            said.append(to_json_text(calls))
        messages.append(Message(role="assistant", content="\n".join(said), tool_calls=tuple(known)))
    return Draft(kind="function_call", messages=tuple(messages), meta=meta)


def _list(value: dict[str, Any], names: tuple[str, ...], native: Native) -> list[Any]:
    given = next((value[name] for name in names if name in value), None)
    if isinstance(given, str):
        given = loads(given, native)
    if given is not None and not isinstance(given, list):
        raise Unreadable("solution_is_no_list")
    return given or []


def _call(node: Any, number: int) -> ToolCall | None:
    """Return the call of `{"task", "arguments": [{"name", "value"}]}`."""
    name = node.get("task") if isinstance(node, dict) else None
    given = node.get("arguments") if isinstance(node, dict) else None
    if (
        not isinstance(name, str)
        or not isinstance(given, list)
        or len(node) > len(("task", "arguments"))
    ):
        return None
    arguments: dict[str, Any] = {}
    for each in given:
        if not isinstance(each, dict) or each.keys() != {"name", "value"}:
            return None
        if not isinstance(each["name"], str) or each["name"] in arguments:
            return None
        arguments[each["name"]] = each["value"]
    return ToolCall(id=f"call_{number}", name=name, arguments=arguments)


def _tools(value: dict[str, Any]) -> Iterator[Draft]:
    """Yield one document for each node, with the links that begin at it."""
    links = value.get("links", [])
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise Unreadable("unknown_layout")
    if not value["nodes"]:
        raise Unreadable("no_tool")
    by_source: dict[str, list[Any]] = {}
    for link in links:
        if not isinstance(link.get("source"), str):
            raise Unreadable("link_from_unknown_tool")
        by_source.setdefault(link["source"], []).append(link)
    rest = {name: value[name] for name in value if name not in ("nodes", "links")}
    for number, node in enumerate(value["nodes"]):
        tool = _tool(node)
        meta = {name: node[name] for name in node if name not in ("id", "desc", "parameters")}
        if found := by_source.pop(tool.name, None):
            meta["links"] = found
        yield Draft(
            kind="tool_documentation", tools=(tool,), meta={**rest, **meta}, part=str(number)
        )
    if by_source:
        raise Unreadable("link_from_unknown_tool")


def _tool(node: Any) -> Tool:
    """Return the tool of a node; which of its parameters are required is not said."""
    if not isinstance(node, dict) or not isinstance(node.get("id"), str):
        raise Unreadable("tool_without_name")
    description = node.get("desc", "")
    if not isinstance(description, str):
        raise Unreadable("description_is_no_text")
    parameters: dict[str, Any] = {"type": "object"}
    if "parameters" in node:
        flat: dict[str, Any] = {}
        for each in node["parameters"] if isinstance(node["parameters"], list) else [None]:
            if not isinstance(each, dict) or not isinstance(each.get("name"), str):
                raise Unreadable("invalid_parameters")
            words = {"description" if key == "desc" else key: each[key] for key in each}
            flat[words.pop("name")] = words
        parameters = python_parameters(flat, required=())
    return Tool(name=node["id"], description=description, parameters=parameters)


READER = Reader(
    name="taskbench",
    kind="function_call",
    license="MIT",
    url="https://github.com/microsoft/JARVIS/tree/main/taskbench",
    released="2023-11",
    published="28,271 requests",
    layout="data_<domain>/{user_requests,data,tool_desc,graph_desc}.json",
    unit="a line, or a file of tools",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
