"""Dataset `metatool`: which tools a request needs, and what the tools are.

Requests come as rows of `Query,Tool`, as `{"query", "tool"}`, or with the prompt that lists the
tools (`action_prompt`); tools as a map from name to description, or as plugin cards. A choice names
tools without arguments, so it is an answer and no call.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.csv_rows import read_csv
from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, read_json
from preprocess.readers.reader import Options, Reader
from preprocess.readers.turns import request
from preprocess.readers.understand.json_text import loads
from preprocess.records import Message, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.records import Outcome

_LISTED = re.compile(r"^\d+\. tool name: (.+?), tool description: (.*)$", re.MULTILINE)
_ANYTHING: dict[str, Any] = {"type": "object"}
"""Parameters of a tool whose source does not say which it takes."""


def read_file(path: Path, relative: str, _options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each row or element, or of a map of tools."""
    read = read_csv if ".csv" in path.suffixes else read_json
    return read(READER, path, relative, limit_bytes, convert)


def convert(native: Native) -> Iterator[Draft]:
    """Yield the draft of a request, or of the tools."""
    value = native.value
    if not isinstance(value, dict) or not value:
        raise Unreadable("unknown_layout")
    query = next((name for name in ("query", "Query") if isinstance(value.get(name), str)), None)
    if query:
        yield from _request(native, query)
    elif isinstance(value.get("name_for_model"), str):
        yield _plugin(value)
    elif all(isinstance(each, str) for each in value.values()):
        for number, (name, description) in enumerate(value.items()):
            tool = Tool(name=name, description=description, parameters=_ANYTHING)
            yield Draft(kind="tool_documentation", tools=(tool,), part=str(number))
    else:
        raise Unreadable("unknown_layout")


def _request(native: Native, query: str) -> Iterator[Draft]:
    value = native.value
    prompt = value.get("action_prompt")
    asked = "action_prompt" if isinstance(prompt, str) else query
    chosen = next((value[name] for name in ("tool", "Tool") if name in value), None)
    tools = tuple(
        Tool(name=name, description=description, parameters=_ANYTHING)
        for name, description in (_LISTED.findall(prompt) if isinstance(prompt, str) else ())
    )
    messages = [request(value[asked])]
    if names := _names(chosen, native):
        messages.append(Message(role="assistant", content="\n".join(names)))
    meta = {name: value[name] for name in value if name != asked}
    if tools:
        yield Draft(kind="tool_documentation", tools=tools, part="documentation")
    yield Draft(kind="function_call", tools=tools, messages=tuple(messages), meta=meta)


def _names(chosen: Any, native: Native) -> list[str]:
    """Return the names of the chosen tools: a list, one as a string, or one name."""
    if isinstance(chosen, str):
        chosen = loads(chosen, native) if chosen.lstrip().startswith("[") else [chosen]
    if chosen is None:
        return []
    if not isinstance(chosen, list) or not all(isinstance(name, str) for name in chosen):
        raise Unreadable("choice_is_no_name")
    return [name for name in chosen if name]


def _plugin(value: dict[str, Any]) -> Draft:
    description = value.get("description_for_model", "")
    if not isinstance(description, str):
        raise Unreadable("description_is_no_text")
    tool = Tool(name=value["name_for_model"], description=description, parameters=_ANYTHING)
    used = ("name_for_model", "description_for_model")
    meta = {name: value[name] for name in value if name not in used}
    return Draft(kind="tool_documentation", tools=(tool,), meta=meta)


READER = Reader(
    name="metatool",
    kind="function_call",
    license="MIT",
    url="https://github.com/HowieHwong/MetaTool",
    released="2023-10",
    published="21,127 requests",
    layout="dataset/**/*.csv and *.json",
    unit="a row, an element of an array, or a map of tools",
    accepts=Named(".csv", ".json", ".jsonl"),
    read_file=read_file,
    streams=True,
)
