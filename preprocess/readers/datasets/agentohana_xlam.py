"""Dataset `agentohana_xlam`: AgentOhana and xLAM's unified trajectories.

Three layouts: unified (`conversation` with OpenAI's turns), the older one (`steps` of thought,
calls and next observation), and the training prompt, where sections between `[BEGIN OF ...]`
and `[END OF ...]` hold the task, the tools and the query. Lists may be strings that hold JSON or
a Python literal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text
from preprocess.readers.answered_turns import Turns
from preprocess.readers.draft import Draft
from preprocess.readers.function_calls import Calls, identifier_of
from preprocess.readers.function_documents import tools_of
from preprocess.readers.git_lfs import pointer_outcome
from preprocess.readers.lines import read_whole
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, outcome, read_json
from preprocess.readers.reader import Options, Reader, over_memory
from preprocess.readers.xlam_prompts import (
    add_step,
    conversation_draft,
    either_parameters,
    inner,
    prompt_draft,
)
from preprocess.records import Origin, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.records import Outcome

_LITERAL = re.compile(rb"\s*\[\s*\{\s*'")
_HEAD_BYTES = 256
_TURN_KEYS = frozenset(("role", "content", "tool_calls", "tool_call_id"))


def convert(native: Native) -> Iterator[Draft]:
    """Yield the trajectory, or the judgement of one."""
    value = inner(native.value, native)
    if isinstance(value, list):
        yield _bare(value, native)
        return
    if not isinstance(value, dict):
        raise Unreadable("unknown_layout")
    if "conversation" in value:
        yield _unified(value, native)
    elif "steps" in value and "user_query" in value:
        yield _steps(value, native)
    elif isinstance(value.get("instruction"), str) and "[BEGIN OF " in value["instruction"]:
        yield prompt_draft(value, native)
    elif value.keys() >= {"score", "explanation"} and isinstance(value["explanation"], str):
        if not value["explanation"].strip():
            raise Unreadable("empty_text")
        rest = {key: value[key] for key in value if key != "explanation"}
        yield Draft(kind="text", text=value["explanation"], meta=rest)
    else:
        raise Unreadable("unknown_layout")


def _bare(value: list[Any], native: Native) -> Draft:
    """Return a conversation, or the documentation of tools, that stands outside of a record."""
    if all(isinstance(each, dict) and "role" in each for each in value):
        return _unified({"conversation": value}, native)
    tools, rest = tools_of(value, either_parameters)
    if not tools:
        raise Unreadable("unknown_layout")
    return Draft(kind="tool_documentation", tools=tools, meta={"tools": rest} if rest else {})


def _unified(value: dict[str, Any], native: Native) -> Draft:
    turns = Turns(Calls(native))
    tools, rest = tools_of(inner(value.get("tools"), native) or [], either_parameters)
    task = value.get("task_instruction")
    if isinstance(task, str) and task.strip():
        turns.said("system", task)
    for turn in _list(inner(value["conversation"], native)):
        _turn(turn, turns, native)
    used = {"conversation", "tools"} | ({"task_instruction"} if isinstance(task, str) else set())
    meta = {key: value[key] for key in value if key not in used}
    return conversation_draft(tools, rest, turns, meta)


def _turn(turn: Any, turns: Turns, native: Native) -> None:
    """Take one turn in OpenAI's layout."""
    if not isinstance(turn, dict):
        raise Unreadable("invalid_turn")
    turns.keep(turn, _TURN_KEYS)
    content = turn.get("content")
    text = "" if content is None else content
    if turn.get("role") == "tool" and isinstance(text, dict | list):
        text = to_json_text(text)  # a tool's answer that nobody has made a string of
    if not isinstance(text, str):
        raise Unreadable("invalid_turn")
    if turn.get("role") == "tool":
        given = turn.get("tool_call_id")
        identifier = identifier_of(given)
        if given and identifier is None:
            raise Unreadable("invalid_turn")
        turns.answered(text, identifier)
        return
    calls = inner(turn.get("tool_calls"), native) or []
    if turn.get("role") == "assistant":
        turns.called(turns.calls.of_objects(calls), text)
    elif calls:
        raise Unreadable("invalid_turn")
    else:
        turns.said(str(turn.get("role")), text)


def _steps(value: dict[str, Any], native: Native) -> Draft:
    """Return the trajectory of the older layout."""
    turns = Turns(Calls(native))
    tools, rest = tools_of(inner(value.get("tools"), native) or [], either_parameters)
    if not isinstance(value["user_query"], str):
        raise Unreadable("no_question")
    turns.said("user", value["user_query"])
    steps = _list(inner(value["steps"], native))
    left = [add_step(step, turns, native) for step in steps]
    meta = {key: value[key] for key in value if key not in ("user_query", "tools", "steps")}
    if any(left):
        meta["steps"] = left
    return conversation_draft(tools, rest, turns, meta)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable("unknown_layout")
    return value


def read_file(path: Path, relative: str, options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each native record, or the rejection of a pointer to the data.

    A file that is a Python literal, as the examples of the repository are, is one record.
    """
    del options
    pointer = pointer_outcome(path, relative)
    if pointer is not None:
        yield pointer
    elif not _is_literal(path):
        yield from read_json(READER, path, relative, limit_bytes, convert)
    elif (data := read_whole(path, limit_bytes)) is None:
        yield over_memory(path, relative)
    else:
        origin = Origin(path=portable_path(relative), record=0)
        yield outcome(READER, data, origin, convert, parse=_text)


def _is_literal(path: Path) -> bool:
    """Return whether a file begins as a Python list of dictionaries, which JSON never does."""
    with path.open("rb") as file:
        return _LITERAL.match(file.read(_HEAD_BYTES)) is not None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable("invalid_utf8") from error


READER = Reader(
    name="agentohana_xlam",
    kind="trajectory",
    license="CC-BY-NC-4.0",
    terms="for research only, not for commercial use",
    url="https://github.com/SalesforceAIResearch/xLAM",
    released="2024-02 and later",
    published="98,000 trajectories",
    layout="*.json: an array of unified trajectories, or training prompts",
    unit="a trajectory",
    accepts=Named(".json", ".jsonl"),
    read_file=read_file,
    streams=True,
)
