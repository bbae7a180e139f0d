"""Dataset `lumos`: plans and groundings of complex tasks, one module each, iterative or at once.

A line is `{"dataset", "id", "messages": [{"role", "content"}]}`. The plan module names subgoals and
is told their results; the ground module turns subgoals into actions (`R1 = Calculator(...)`), which
stay text, since the actions are described in a sentence alone. A raw annotation has both in one
text: `{"task", "natural_language_plan", "subgoal_plan"}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.readers.turns import plain_turns
from preprocess.records import Message

if TYPE_CHECKING:
    from collections.abc import Iterator


def convert(native: Native) -> Iterator[Draft]:
    """Yield the conversation, or the annotation, that a native record is."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_shape")
    if "messages" in value:
        yield _conversation(value)
    elif isinstance(value.get("task"), str) and isinstance(value.get("subgoal_plan"), str):
        yield _annotation(value)
    else:
        raise Unreadable("unknown_shape")


def _conversation(value: dict[str, Any]) -> Draft:
    told = plain_turns(value["messages"])
    if not any(turn.content.strip() for turn in told.messages):
        raise Unreadable("empty_conversation")
    meta = {key: each for key, each in value.items() if key != "messages"}
    if told.fields:
        meta["message_fields"] = told.fields
    return Draft(kind="trajectory", messages=tuple(told.messages), meta=meta)


def _annotation(value: dict[str, Any]) -> Draft:
    """Return the subgoals of a task with their actions and results, as one turn."""
    task, plan = value["task"], value["subgoal_plan"]
    if not task.strip() or not plan.strip():
        raise Unreadable("empty_annotation")
    messages = (Message(role="user", content=task), Message(role="assistant", content=plan))
    meta = {key: each for key, each in value.items() if key not in ("task", "subgoal_plan")}
    return Draft(kind="trajectory", messages=messages, meta=meta)


READER = Reader(
    name="lumos",
    kind="trajectory",
    license="MIT",
    url="https://github.com/allenai/lumos",
    released="2023-11",
    published="about 40,000 annotations",
    layout="lumos_<domain>_{plan,ground}_{iterative,onetime}.jsonl, train/*/converted/*.json",
    unit="a line, or an element of an array",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
