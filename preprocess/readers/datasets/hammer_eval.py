"""Dataset `hammer_eval`: the test sets of Hammer, API-Bank, Seal-Tools and ToolAlpaca in one shape.

A request or a dialogue, its tools with flat parameters, and the calls that answer it; Seal-Tools
names them `tool` and `parameters`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.answered_turns import Turns
from preprocess.readers.draft import Draft, note_all
from preprocess.readers.function_calls import Calls, kind_of
from preprocess.readers.function_documents import tools_of
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import python_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator


_FIELDS = frozenset(("query", "answers", "tools"))
_TURN = frozenset(("role", "content"))
_FENCED = re.compile(r"(?s)\s*```(?:json)?\s*(\[.*\])\s*```\s*")


def convert(native: Native) -> Iterator[Draft]:
    """Yield the request, or the dialogue up to it, with its calls."""
    value = native.value
    if not isinstance(value, dict) or not value.keys() >= _FIELDS:
        raise Unreadable("unknown_layout")
    turns = Turns(Calls(native))
    _dialogue(value["query"], turns, native)
    tools, rest = tools_of(_inner(value["tools"], native), _parameters)
    meta = {key: value[key] for key in value if key not in _FIELDS}
    if answers := turns.calls.of_objects(_inner(value["answers"], native)):
        turns.called(answers)
    else:
        meta["answers"] = value["answers"]
    if rest:
        meta["tools"] = rest
    messages = turns.finished()
    note_all(meta, turns.notes())
    yield Draft(kind=kind_of(tools, messages), tools=tools, messages=messages, meta=meta)


def _inner(value: Any, native: Native) -> Any:
    return loads(value, native) if isinstance(value, str) else value


def _parameters(flat: Any) -> dict[str, Any]:
    """Return the schema of flat parameters; required are those that are marked so, no others."""
    known = flat.items() if isinstance(flat, dict) else ()
    marked = [
        name for name, about in known if isinstance(about, dict) and about.get("required") is True
    ]
    return python_parameters(flat, marked)


def _dialogue(query: Any, turns: Turns, native: Native) -> None:
    if isinstance(query, str):
        query = [{"role": "user", "content": query}]
    if not isinstance(query, list) or not query:
        raise Unreadable("no_question")
    for turn in query:
        if not isinstance(turn, dict) or not isinstance(turn.get("content"), str):
            raise Unreadable("invalid_turn")
        turns.keep(turn, _TURN)
        role, text = str(turn.get("role")), turn["content"]
        if role == "tool":
            turns.answered(text)
        elif role in ("agent", "assistant"):
            match = _FENCED.fullmatch(text)
            if match:
                turns.called(turns.calls.of_objects(loads(match[1], native)))
            else:
                turns.said("assistant", text)
        else:
            turns.said(role, text)


READER = Reader(
    name="hammer_eval",
    kind="function_call",
    license="Apache-2.0",
    terms="API-Bank is MIT, ToolAlpaca Apache-2.0, Seal-Tools as its publishers state",
    url="https://github.com/MadeAgents/Hammer",
    released="2024-10",
    published="4 test sets",
    layout="data/test/original/*.json: arrays or JSON Lines",
    unit="a request with its tools and calls",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
