"""Dataset `agent_flan`: AgentInstruct and ToolBench, rewritten as chats for tuning agents.

A line of its seven files is `{"conversation": [{"role", "content", "loss"}], "id"}`. No turn is a
tool's: what the environment says is a turn of the user, tools are described in the system's text,
and actions stay the text that they are. Which keys there are, and whether `loss` is a truth value
or a number, differs between the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.observations import note_truncated
from preprocess.readers.reader import Reader
from preprocess.readers.turns import plain_turns

if TYPE_CHECKING:
    from collections.abc import Iterator


_KEYS = ("conversation", "conversations", "messages")


def convert(native: Native) -> Iterator[Draft]:
    """Yield the conversation that a native record is."""
    value = native.value
    key = next((key for key in _KEYS if key in value), None) if isinstance(value, dict) else None
    if key is None:
        raise Unreadable("unknown_shape")
    told = plain_turns(value[key])
    if not any(turn.content.strip() for turn in told.messages):
        raise Unreadable("empty_conversation")
    meta = {name: each for name, each in value.items() if name != key}
    if told.fields:
        meta["conversation_fields"] = told.fields
    note_truncated(
        meta,
        (
            turn.content
            for turn in told.messages
            if turn.role == "user" and turn.content.startswith(("Observation:", "Response:"))
        ),
    )
    yield Draft(kind="trajectory", messages=tuple(told.messages), meta=meta)


READER = Reader(
    name="agent_flan",
    kind="trajectory",
    license="Apache-2.0",
    url="https://huggingface.co/datasets/internlm/Agent-FLAN",
    released="2024-03",
    published="7 files of 761 to more than 5,000 conversations",
    layout="data/{agent_instruct,toolbench}_*.jsonl",
    unit="a conversation",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
