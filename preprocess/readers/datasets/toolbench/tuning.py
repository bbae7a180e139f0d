"""The conversations that ToolLLaMA is fine-tuned on.

`{"id": "Step N: <request>", "conversations": [{"from": "system" | "user" | "assistant" |
"function", "value"}]}`. The tools are a printed Python list at the end of the system's turn, and a
turn of the assistant is `Thought: ...`, `Action: <name>`, `Action Input: {...}`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from preprocess.readers.datasets.toolbench.functions import functions_of
from preprocess.readers.draft import Draft
from preprocess.readers.episode import Episode
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.turns import plain_turns
from preprocess.readers.understand.json_text import loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.records import Tool

_APIS = "you have access to the following APIs:"
_ACTION = re.compile(r"(?:\A|\n)Action:[ \t]*([^\r\n]+?)[ \t]*\r?\nAction Input:[ \t]*")


def convert_tuning(native: Native) -> Iterator[Draft]:
    """Yield one conversation.

    Where the tools and the calls are understood, the turns that spelled them stand in `meta`, under
    `conversations`, as they were.
    """
    value: dict[str, Any] = native.value
    told = plain_turns(value["conversations"])
    episode = Episode(native)
    tools: tuple[Tool, ...] = ()
    originals: list[dict[str, Any]] = []
    for number, turn in enumerate(told.messages):
        is_other = False
        if turn.role == "system" and not tools and _APIS in turn.content:
            text, tools = _system(turn.content, native)
            is_other = bool(tools)
            episode.say("system", text if tools else turn.content, turn.loss)
        elif turn.role == "assistant":
            is_other = _act(episode, turn.content, turn.loss)
        elif turn.role == "tool":
            episode.observe(turn.content, loss=turn.loss)
        else:
            episode.say(turn.role, turn.content, turn.loss)
        if is_other:
            originals.append(value["conversations"][number])
    meta = {key: each for key, each in value.items() if key != "conversations"}
    if originals:
        meta["conversations"] = originals
    if told.fields:
        meta["conversation_fields"] = told.fields
    yield Draft(
        kind="trajectory",
        tools=tools,
        messages=tuple(episode.messages),
        meta=episode.note(meta),
    )


def _act(episode: Episode, text: str, loss: bool | None) -> bool:
    """Tell a turn of the assistant; returns whether it is a call, and no longer its own words."""
    found = list(_ACTION.finditer(text))
    if len(found) != 1:
        episode.say("assistant", text, loss)
        return False
    match = found[0]
    thought = text[: match.start()].strip()
    if thought == "Thought:":
        thought = ""
    thought = thought.removeprefix("Thought: ")
    if not episode.call(thought, match[1], text[match.end() :], loss):
        episode.messages.pop()
        episode.say("assistant", text, loss)
        return False
    return True


def _system(content: str, native: Native) -> tuple[str, tuple[Tool, ...]]:
    """Return the system's turn without its tools, and these; no tools where they are unreadable."""
    start = content.index(_APIS) + len(_APIS)
    listed = content[start:].strip()
    try:
        tools, repairs = _tools(listed)
    except Unreadable:
        return content, ()
    for repair in repairs:
        native.repaired(repair)
    return content[:start], tools


@lru_cache(maxsize=256)
def _tools(listed: str) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """Return the tools of a printed list, and the repairs; the steps of an answer repeat it."""
    scratch = Native(None, b"", None)  # type: ignore[arg-type]
    functions = loads(listed, scratch)
    tools, _ = functions_of(functions)
    if not tools:
        raise Unreadable("invalid_functions")
    return tools, tuple(scratch.repairs)
