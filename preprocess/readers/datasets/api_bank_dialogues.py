"""Dialogues of API-Bank as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text
from preprocess.readers.draft import Draft
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.observations import note_truncated
from preprocess.readers.turns import Conversation, refuse_silence
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import python_parameters
from preprocess.records import Message, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.readers.turns import Role

_SPOKEN = {"role", "text"}
_CALLED = {"role", "api_name", "param_dict", "result"}


def convert_dialogue(native: Native) -> Iterator[Draft]:
    """Yield the draft of a dialogue, and the documents that its tool search found."""
    messages: list[Message] = []
    fields: list[dict[str, Any]] = []
    documents: dict[str, Tool] = {}
    number = 0
    for turn in native.value:
        if not isinstance(turn, dict):
            raise Unreadable("turn_is_no_object")
        if turn.get("role") in ("User", "AI") and isinstance(turn.get("text"), str):
            role: Role = "user" if turn["role"] == "User" else "assistant"
            messages.append(Message(role=role, content=turn["text"]))
            rest = {name: turn[name] for name in turn if name not in _SPOKEN}
        elif turn.get("role") == "API":
            rest = _add_call(messages, turn, number, native)
            number += 1
            documents.update(_found(turn["result"]))
        else:
            raise Unreadable("unknown_role")
        if rest:
            fields.append({"turn": len(messages) - 1, **rest})
    refuse_silence(Conversation(messages=messages))
    meta: dict[str, Any] = {"turn_fields": fields} if fields else {}
    note_truncated(meta, [each.content for each in messages if each.role == "tool"])
    if documents:
        tools = tuple(documents.values())
        yield Draft(kind="tool_documentation", tools=tools, part="documentation")
    yield Draft(kind="trajectory", messages=tuple(messages), meta=meta)


def _add_call(
    messages: list[Message], turn: dict[str, Any], number: int, native: Native
) -> dict[str, Any]:
    """Add a call, to the words of the AI just before if there are any, and its answer.

    Returns:
        What the turn says beyond that.
    """
    name, given = turn.get("api_name"), turn.get("param_dict")
    if not isinstance(name, str) or not isinstance(given, dict) or "result" not in turn:
        raise Unreadable("unknown_call")
    typed = _typed(given, turn["result"], native)
    call = ToolCall(id=f"call_{number}", name=name, arguments=typed)
    before = ""
    if messages and messages[-1].role == "assistant" and not messages[-1].tool_calls:
        before = messages.pop().content
    messages.append(Message(role="assistant", content=before, tool_calls=(call,)))
    answer = to_json_text(turn["result"])
    messages.append(Message(role="tool", content=answer, tool_call_id=call.id))
    rest = {each: turn[each] for each in turn if each not in _CALLED}
    return rest if typed == given else {**rest, "param_dict": given}


def _typed(given: dict[str, Any], result: Any, native: Native) -> dict[str, Any]:
    """Return arguments as the API took them, where it says so.

    Arguments are all strings, those that are no strings too (`"['Ann', 'Bo']"`, `"2"`). The result
    repeats what the API read in them; where that is the literal in the string, it is the argument.
    """
    taken = result.get("input") if isinstance(result, dict) else None
    if not isinstance(taken, dict):
        return given
    typed = dict(given)
    for name, text in given.items():
        value = taken.get(name)
        if not isinstance(text, str) or value is None or isinstance(value, str):
            continue
        spelled = _literal(text, native)
        if spelled == value and isinstance(spelled, bool) == isinstance(value, bool):
            typed[name] = value
            native.repaired("argument_as_the_api_took_it")
    return typed


def _literal(text: str, native: Native) -> Any:
    """Return what a literal spells; whether it was JSON's or Python's is not noted."""
    try:
        return loads(text, Native(None, b"", native.origin))
    except Unreadable:
        return None


def schema_of(flat: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an API's parameters; few APIs say which of them are required."""
    marked = any(isinstance(each, dict) and "required" in each for each in flat.values())
    return python_parameters(flat, required=None if marked else ())


def _found(result: Any) -> dict[str, Tool]:
    """Return the APIs that a search found, by name."""
    output = result.get("output") if isinstance(result, dict) else None
    found = output if isinstance(output, list) else [output]
    return {
        each["name"]: Tool(
            name=each["name"],
            description=each["description"],
            parameters=schema_of(each["input_parameters"]),
        )
        for each in found
        if isinstance(each, dict)
        and isinstance(each.get("name"), str)
        and isinstance(each.get("description"), str)
        and isinstance(each.get("input_parameters"), dict)
    }
