"""Turns, calls and function documents in OpenAI's spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.function_calls import identifier_of
from preprocess.readers.native import Unreadable
from preprocess.readers.turns import (
    Conversation,
    keep_fields,
    keep_parts,
    refuse_silence,
    role_of,
    text_of_parts,
    truth_of,
)
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import json_schema
from preprocess.records import Message, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from preprocess.readers.native import Native

_SPOKEN = frozenset({
    "role", "content", "tool_calls", "function_call", "tool_call_id", "loss"
})  # fmt: skip


def openai_turns(turns: Any, native: Native, dropped: frozenset[str] = frozenset()) -> Conversation:
    """Return turns in OpenAI's spelling as messages, with their calls.

    An answer that names no call answers the first call of its function that has no answer yet, or,
    where it names no function either, the first one at all.

    Args:
        turns: The turns; fields that are null count as absent.
        native: Where repairs are noted.
        dropped: Names of fields that the caller keeps otherwise.

    Raises:
        Unreadable: They are no list of such turns, or a call's arguments are no object.
    """
    if not isinstance(turns, list) or not turns:
        raise Unreadable("no_conversation")
    made = Conversation()
    open_calls: list[ToolCall] = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise Unreadable("turn_is_no_object")
        role = role_of(turn.get("role"))
        calls = _calls(turn, number, native, made)
        answered = _answered(turn, open_calls) if role == "tool" else None
        open_calls += calls
        loss = turn.get("loss")
        made.messages.append(
            Message(
                role=role,
                content=text_of_parts(turn.get("content")),
                tool_calls=tuple(calls),
                tool_call_id=answered.id if answered else _named_call(turn),
                loss=loss if loss is None or isinstance(loss, bool) else truth_of(loss),
            )
        )
        known = _SPOKEN | dropped
        if answered and turn.get("name") == answered.name:
            known |= {"name"}
        keep_fields(made, number, turn, known)
        keep_parts(made, number, turn.get("content"))
    return refuse_silence(made)


def _calls(turn: dict[str, Any], number: int, native: Native, made: Conversation) -> list[ToolCall]:
    given = turn.get("tool_calls") or []
    if not isinstance(given, list):
        raise Unreadable("calls_are_no_list")
    if turn.get("function_call") is not None:
        given = [*given, turn["function_call"]]
    calls = []
    for each in given:
        calls.append(call_of(each, made.calls, native))
        made.calls += 1
    beyond = [beyond_call(each) for each in given]
    if any(beyond):
        made.fields.append({"turn": number, "tool_calls": beyond})
    return calls


def beyond_call(given: dict[str, Any]) -> dict[str, Any]:
    """Return what a call says beyond its name, arguments and id."""
    function = given.get("function", given)
    inner = function.items()
    outer = given.items() if function is not given else ()
    found = {name: value for name, value in outer if name not in _OUTER and value is not None}
    found |= {name: value for name, value in inner if name not in _CALL and value is not None}
    if given.get("type", "function") not in ("function", None):
        found["type"] = given["type"]
    if given.get("id") and identifier_of(given["id"]) is None:
        found["id"] = given["id"]
    return found


_OUTER = frozenset({"id", "type", "function"})
_CALL = _OUTER | {"name", "arguments"}


def call_of(given: Any, number: int, native: Native) -> ToolCall:
    """Return a call in OpenAI's spelling, its arguments parsed where they are JSON in a string.

    Args:
        given: `{"id", "type", "function": {"name", "arguments"}}`, or the function alone.
        number: Which call of the record it is; names it where it has no id.
        native: Where repairs are noted.

    Raises:
        Unreadable: It has no name, or its arguments are no object.
    """
    if not isinstance(given, dict):
        raise Unreadable("call_is_no_object")
    function = given.get("function", given)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Unreadable("call_without_name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = loads(arguments, native) if arguments.strip() else {}
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise Unreadable("arguments_are_no_object")
    identifier = identifier_of(given.get("id")) or f"call_{number}"
    return ToolCall(id=identifier, name=function["name"], arguments=arguments)


def _answered(turn: dict[str, Any], open_calls: list[ToolCall]) -> ToolCall | None:
    """Return the call that a turn answers, which is then no longer open."""
    identifier, name = _named_call(turn), turn.get("name")
    for position, call in enumerate(open_calls):
        if call.id == identifier if identifier else name in (None, call.name):
            return open_calls.pop(position)
    return None


def _named_call(turn: dict[str, Any]) -> str | None:
    """Return the id of the call that an answer names.

    Raises:
        Unreadable: What stands there is no id.
    """
    given = turn.get("tool_call_id")
    identifier = identifier_of(given)
    if given and identifier is None:
        raise Unreadable("invalid_call_id")
    return identifier


def tools_of(documents: Iterable[Any]) -> tuple[Tool, ...]:
    """Return the functions that documents in OpenAI's spelling describe.

    Raises:
        Unreadable: One is no such document.
    """
    return tuple(map(tool_of, documents))


def tool_of(document: Any) -> Tool:
    """Return the function of `{"type": "function", "function": {...}}`, or of its inner part.

    Raises:
        Unreadable: It has no name, or its parameters are no schema.
    """
    function = document.get("function", document) if isinstance(document, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Unreadable("tool_without_name")
    description = function.get("description")
    if not isinstance(description, str | None):
        raise Unreadable("description_is_no_text")
    return Tool(
        name=function["name"],
        description=description or "",
        parameters=json_schema(function.get("parameters")),
    )


def beyond_tools(documents: Sequence[Any]) -> dict[str, Any]:
    """Return what function documents say beyond a tool's fields, by the function's name."""
    found = {}
    for document in documents:
        function = document.get("function", document)
        rest = {key: function[key] for key in function if key not in _TOOL}
        rest.update(
            {key: document[key] for key in document if key not in (*_TOOL, "function", "type")}
        )
        if document.get("type", "function") not in ("function", None):
            rest["type"] = document["type"]
        if rest:
            found[function["name"]] = rest
    return found


_TOOL = frozenset({"name", "description", "parameters"})
