"""Dataset `agenttraj_l`: AgentGym's trajectories, and what lies beside them in its repository.

A trajectory is `{"conversations": [{"from", "loss", "value"}], "item_id"}`. Actions are text,
except where the task asks for JSON with `thought`, `function_name`, `arguments`: those become
calls, which the environment's next turn answers. ETO's files have the same turns, without `loss`.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from preprocess.exact_json import exact_number
from preprocess.readers.datasets.agenttraj_l_files import (
    convert_goal,
    convert_prompts,
    convert_tool_prompts,
    is_prompts,
    is_session,
    read_session,
)
from preprocess.readers.draft import Draft, Dropped, note
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, read_json
from preprocess.readers.observations import note_truncated
from preprocess.readers.openai_turns import tools_of
from preprocess.readers.reader import Options, Reader
from preprocess.readers.turns import observations, plain_turns
from preprocess.readers.understand.json_text import loads
from preprocess.records import Message, Outcome, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DOCUMENT = re.compile(r'\{\s*"type"\s*:\s*"function"')
_FENCE = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)
_EVALUATED = frozenset({"conversations", "item_id"})
_CALL_FIELDS = frozenset({"thought", "function_name", "arguments"})


def read_file(path: Path, relative: str, _options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each record; a log of WebShop's human sessions is one record."""
    if is_session(path):
        return read_session(READER, path, relative, limit_bytes)
    return read_json(READER, path, relative, limit_bytes, convert)


def convert(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the drafts of a trajectory, a goal, or a file of prompts."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("no_object")
    if value.keys() <= _EVALUATED and value and value.get("conversations") is None:
        yield Dropped("task_without_conversation")  # AgentEval lists the tasks to be solved
    elif "conversations" in value:
        yield from _trajectory(native)
    elif "tool_set_message" in value:
        yield from convert_tool_prompts(native)
    elif isinstance(value.get("goal"), str):
        yield convert_goal(value)
    elif is_prompts(value):
        yield from convert_prompts(value)
    else:
        raise Unreadable("unknown_layout")


def _trajectory(native: Native) -> Iterator[Draft]:
    value = native.value
    conversation = plain_turns(value["conversations"])
    messages = conversation.messages
    meta = {name: value[name] for name in value if name != "conversations"}
    if conversation.fields:
        note(meta, "turn_fields", conversation.fields)
    note_truncated(meta, observations(messages))
    tools = _documented(messages[0].content)
    # ETO's trajectories, which have `id`, come with another card than AgentGym's.
    license_ = "unknown" if "item_id" not in value else None
    if tools:
        yield Draft(kind="tool_documentation", tools=tools, part="documentation", license=license_)
    yield Draft(
        kind="trajectory",
        tools=tools,
        messages=tuple(_with_calls(messages, native)),
        meta=meta,
        license=license_,
    )


def _documented(instruction: str) -> tuple[Tool, ...]:
    """Return the functions whose documents stand in a task's first turn, one after another."""
    return _parsed_documents(instruction) if '"function"' in instruction else ()


@lru_cache(maxsize=64)  # a file gives every trajectory the same ones
def _parsed_documents(instruction: str) -> tuple[Tool, ...]:
    decoder = json.JSONDecoder(
        parse_float=exact_number, parse_constant=_refuse, object_pairs_hook=_distinct
    )
    documents, end = [], 0
    for start in _DOCUMENT.finditer(instruction):
        if start.start() < end:
            continue
        try:
            document, end = decoder.raw_decode(instruction, start.start())
        except (ValueError, RecursionError) as error:
            raise Unreadable("invalid_tool_document") from error
        documents.append(document)
    return tools_of(documents)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object with one key twice")
    return made


def _with_calls(messages: list[Message], native: Native) -> Iterator[Message]:
    """Yield messages with their actions as calls, where they are; other text stays as it is.

    Failed runs have turns of leaked chat markup among the actions.
    """
    answers, calls = None, 0
    for message in messages:
        if message.role == "assistant":
            call = _call(message.content, calls, native)
            answers = call[1].id if call else None
            if call:
                calls += 1
                message = Message(
                    role="assistant", content=call[0], tool_calls=(call[1],), loss=message.loss
                )
        elif answers and message.role == "user":
            message = Message(
                role="tool", content=message.content, tool_call_id=answers, loss=message.loss
            )
            answers = None
        yield message


def _call(text: str, number: int, native: Native) -> tuple[str, ToolCall] | None:
    """Return thought and call of a turn that is an action in JSON and nothing else."""
    text = text.strip()
    if text.startswith("```") and (fenced := _FENCE.fullmatch(text)):
        text = fenced[1]
    if not (text.startswith("{") and text.endswith("}") and "function_name" in text):
        return None
    try:
        action = loads(text, native)
    except Unreadable:
        return None
    if not isinstance(action, dict) or not action.keys() <= _CALL_FIELDS:
        return None
    name, arguments = action.get("function_name"), action.get("arguments")
    thought = action.get("thought", "")
    if not (isinstance(name, str) and isinstance(arguments, dict) and isinstance(thought, str)):
        return None
    return thought, ToolCall(id=f"call_{number}", name=name, arguments=arguments)


READER = Reader(
    name="agenttraj_l",
    kind="trajectory",
    license="MIT",
    terms="AgentGym's licence; ETO's trajectories state none here and are `unknown`",
    url="https://huggingface.co/datasets/AgentGym/AgentTraj-L",
    released="2024-06",
    published="14,485 trajectories",
    layout="<environment>_train.json, *.jsonl with function calls, Toolusage goals and prompts",
    unit="an element of an array, a line, a file of prompts, or a session log",
    accepts=Named(".json", ".jsonl"),
    read_file=read_file,
    streams=True,
)
