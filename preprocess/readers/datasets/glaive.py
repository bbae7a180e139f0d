"""Dataset `glaive`: glaive-function-calling, and the layouts that others gave it.

Conversations of LLaMA-Factory (`from`/`value`, tools as JSON in a string), the same with reasoning
(`role` and a list of parts), and the original, where `system` holds the functions one after
another and `chat` all turns as one text.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from preprocess.readers.answered_turns import Turns
from preprocess.readers.draft import Draft, note_all
from preprocess.readers.function_calls import Calls, kind_of
from preprocess.readers.function_documents import tools_of
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.readers.understand.json_text import loads

if TYPE_CHECKING:
    from collections.abc import Iterator


_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
_SHARED = frozenset(("from", "value"))
_REASONED = frozenset(("role", "content"))
_ORDER = ("reasoning", "text", "tool_call")
_FUNCTIONS = "functions. Use them if required -"
_TURN = re.compile(r"(?:^|\n)[ \t]*(USER|ASSISTANT|FUNCTION RESPONSE): ?")
_CALL = re.compile(
    r'(?s)(.*?)<functioncall>\s*(\{\s*"name"\s*:\s*"[^"]*")\s*(?:,\s*"arguments"\s*:\s*(.*?))?\s*\}\s*'
)
_END = "<|endoftext|>"
_DECODER = json.JSONDecoder()


def convert(native: Native) -> Iterator[Draft]:
    """Yield the conversation."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_layout")
    turns = Turns(Calls(native))
    used_too = {"tools", "system"} if _has_system(value) else {"tools"}
    if isinstance(value.get("conversations"), list):
        used = "conversations"
        _shared(value, turns, native)
    elif isinstance(value.get("messages"), list):
        used = "messages"
        _reasoned(value, turns, native)
    elif isinstance(value.get("chat"), str) and isinstance(value.get("system", ""), str):
        yield _original(value, turns, native)
        return
    else:
        raise Unreadable("unknown_layout")
    tools, rest = tools_of(_documents(value.get("tools"), native))
    meta = {key: value[key] for key in value if key != used and key not in used_too}
    if rest:
        meta["tools"] = rest
    yield _draft(tools, turns, meta)


def _has_system(value: dict[str, Any]) -> bool:
    return isinstance(value.get("system"), str) and bool(value["system"])


def _draft(tools: Any, turns: Turns, meta: dict[str, Any]) -> Draft:
    messages = turns.finished()
    note_all(meta, turns.notes())
    return Draft(kind=kind_of(tools, messages), tools=tools, messages=messages, meta=meta)


def _documents(tools: Any, native: Native) -> Any:
    if isinstance(tools, str):
        tools = loads(tools, native) if tools.strip() else []
    return tools or []


def _shared(value: dict[str, Any], turns: Turns, native: Native) -> None:
    """Take the turns of LLaMA-Factory's `conversations`."""
    if _has_system(value):
        turns.said("system", value["system"])
    for turn in value["conversations"]:
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise Unreadable("invalid_turn")
        turns.keep(turn, _SHARED)
        role, text = str(turn.get("from")), turn["value"]
        if role == "function_call":
            turns.called(turns.calls.of_objects(loads(text, native)))
        elif role in ("observation", "tool"):
            turns.answered(text)
        elif role in _ROLES or role == "system":
            turns.said(_ROLES.get(role, "system"), text)
        else:
            raise Unreadable("unknown_role")


def _reasoned(value: dict[str, Any], turns: Turns, native: Native) -> None:
    """Take turns whose content is a list of reasoning, text and calls."""
    if _has_system(value):
        turns.said("system", value["system"])
    for turn in value["messages"]:
        if not isinstance(turn, dict) or "content" not in turn:
            raise Unreadable("invalid_turn")
        turns.keep(turn, _REASONED)
        role, parts = turn.get("role"), turn["content"]
        if isinstance(parts, str):
            parts = [{"type": "text", "value": parts}]
        texts = _texts(parts)
        if role == "tool":
            for _, text in texts:
                turns.answered(text)
        elif role == "assistant":
            _assistant(texts, turns, native)
        elif role in ("user", "system") and all(kind == "text" for kind, _ in texts):
            turns.said(role, "\n".join(text for _, text in texts))
        else:
            raise Unreadable("unknown_role")


def _texts(parts: Any) -> list[tuple[str, str]]:
    """Return the kind and the text of each part of a turn."""
    if not isinstance(parts, list):
        raise Unreadable("invalid_turn")
    made = []
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("value"), str):
            raise Unreadable("invalid_turn")
        if part.get("type") not in _ORDER or len(part) > 2:
            raise Unreadable("unknown_part")
        made.append((part["type"], part["value"]))
    return made


def _assistant(texts: list[tuple[str, str]], turns: Turns, native: Native) -> None:
    """Take an assistant's turn: what it thought and said, then the calls of that turn."""
    kinds = [kind for kind, _ in texts]
    if kinds != sorted(kinds, key=_ORDER.index) or kinds.count("reasoning") > 1:
        raise Unreadable("unknown_part_order")
    calls = [loads(text, native) for kind, text in texts if kind == "tool_call"]
    said = [text for kind, text in texts if kind != "tool_call"]
    reasoning = len(texts[0][1]) if kinds[:1] == ["reasoning"] else 0
    turns.called(turns.calls.of_objects(calls), "\n\n".join(said), reasoning)


def _original(value: dict[str, Any], turns: Turns, native: Native) -> Draft:
    """Return the conversation of a record as Glaive published it."""
    system = value.get("system", "")
    _, marker, documents = system.partition(_FUNCTIONS)
    tools, rest = tools_of(_one_after_another(documents, native) if marker else [])
    if not marker and system:
        turns.said("system", system.removeprefix("SYSTEM: "))
    pieces = _TURN.split(value["chat"])
    if pieces[0].strip() or len(pieces) < 3:
        raise Unreadable("unknown_chat")
    for role, text in zip(pieces[1::2], pieces[2::2], strict=True):
        text = text.strip().removesuffix(_END).rstrip()
        if role == "USER":
            turns.said("user", text)
        elif role == "FUNCTION RESPONSE":
            turns.answered(text)
        else:
            _spoken(text, turns, native)
    meta = {key: value[key] for key in value if key not in ("system", "chat")}
    if marker:
        meta["system"] = value["system"]
    if rest:
        meta["tools"] = rest
    return _draft(tools, turns, meta)


def _spoken(text: str, turns: Turns, native: Native) -> None:
    if "<functioncall>" not in text:
        turns.said("assistant", text)
        return
    match = _CALL.fullmatch(text)
    if match is None:
        raise Unreadable("invalid_call")
    content, head, arguments = match.groups()
    if arguments and arguments[:1] == arguments[-1:] == "'":
        arguments = arguments[1:-1].replace("\\'", "'")
        native.repaired("single_quotes_around_json")
    call = msgspec.json.decode(f"{head}}}")
    call["arguments"] = loads(arguments, native) if arguments else {}
    turns.called(turns.calls.of_objects(call), content.rstrip())


def _one_after_another(text: str, native: Native) -> list[Any]:
    """Return the JSON objects that stand one after another in a text."""
    documents = []
    rest = text.strip()
    while rest:
        try:
            _, end = _DECODER.raw_decode(rest)
        except (ValueError, RecursionError):
            _refuse()
        documents.append(loads(rest[:end], native))
        rest = rest[end:].lstrip()
    return documents


def _refuse() -> NoReturn:
    raise Unreadable("invalid_function_document")


READER = Reader(
    name="glaive",
    kind="trajectory",
    license="Apache-2.0",
    terms="as glaive-function-calling-v2 and LLaMA-Factory's copies of it",
    url="https://huggingface.co/datasets/glaiveai/glaive-function-calling-v2",
    released="2023",
    published="112,960 conversations (v2)",
    layout="*.json, *.jsonl: conversations of LLaMA-Factory, or system and chat as published",
    unit="a conversation",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
