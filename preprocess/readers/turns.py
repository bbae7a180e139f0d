"""Turns of a conversation, in the two spellings that datasets use, as messages.

ShareGPT's turns have `from`, `value` and sometimes `loss`; OpenAI's have `role`, `content`, calls
and ids. Fields beyond that are kept apart, by the number of their turn.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from preprocess.readers.native import Unreadable
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import json_schema
from preprocess.records import Message, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from preprocess.readers.native import Native

type Role = Literal["system", "user", "assistant", "tool"]

ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "ai": "assistant",
    "agent": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""What the names of speakers mean, in lower case."""

_SPELLINGS = (("from", "value"), ("role", "content"), ("from", "content"), ("role", "value"))
_KNOWN = frozenset({"from", "value", "role", "content", "loss"})


def request(text: str) -> Message:
    """Return a task as the user's turn.

    Raises:
        Unreadable: It is blank.
    """
    if not text.strip():
        raise Unreadable("request_without_text")
    return Message(role="user", content=text)


class Conversation(msgspec.Struct):
    """What the turns of a native record say."""

    messages: list[Message] = []
    fields: list[dict[str, Any]] = []
    """Fields of turns that have no place in a message: `turn`, its number, and they themselves."""

    calls: int = 0


def plain_turns(turns: Any) -> Conversation:
    """Return turns that hold text and nothing but text, as messages.

    Raises:
        Unreadable: They are no list of such turns, or a speaker is not known.
    """
    if not isinstance(turns, list) or not turns:
        raise Unreadable("no_conversation")
    made = Conversation()
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise Unreadable("turn_is_no_object")
        by, said = _spelling(turn)
        role, loss = role_of(turn[by]), turn.get("loss")
        if loss is not None and loss is not True and loss is not False:
            loss = _truth(loss)
        content = turn[said]
        if not isinstance(content, str):
            content = text_of_parts(content)
        made.messages.append(Message(role=role, content=content, loss=loss))
        if len(turn) > 3 or not turn.keys() <= _KNOWN:
            _keep(made, number, turn, _KNOWN)
    return refuse_silence(made)


def refuse_silence(made: Conversation) -> Conversation:
    """Return a conversation in which anything at all is said or called.

    Raises:
        Unreadable: Nothing is.
    """
    if not any(each.tool_calls or each.content.strip() for each in made.messages):
        raise Unreadable("empty_conversation")
    return made


def observations(messages: Sequence[Message]) -> list[str]:
    """Return what was said to the agent after it first acted: not the task, but what came of it."""
    acted = False
    found = []
    for message in messages:
        if message.role == "assistant":
            acted = True
        elif acted and message.role != "system":
            found.append(message.content)
    return found


def _spelling(turn: dict[str, Any]) -> tuple[str, str]:
    for by, said in _SPELLINGS:
        if by in turn and said in turn:
            return by, said
    raise Unreadable("turn_without_speaker_or_text")


def role_of(name: Any) -> Role:
    """Return the role that a speaker's name means.

    Raises:
        Unreadable: It is not known.
    """
    role = ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        role = ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        raise Unreadable("unknown_role")
    return role


def _truth(loss: Any) -> bool:
    if isinstance(loss, int | float | Decimal) and loss in (0, 1):
        return bool(loss)
    raise Unreadable("loss_is_no_truth_value")


def text_of_parts(content: Any) -> str:
    """Return the text of a turn that is given in parts; none at all is an empty text.

    Raises:
        Unreadable: A part is not text: an image, a sound.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Unreadable("turn_is_no_text")
    texts = []
    for part in content:
        text = (
            part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None
        )
        if not isinstance(text, str):
            raise Unreadable("turn_is_no_text")
        texts.append(text)
    return "".join(texts)


def _keep(made: Conversation, number: int, turn: dict[str, Any], known: frozenset[str]) -> None:
    rest = {name: value for name, value in turn.items() if name not in known and value is not None}
    if rest:
        made.fields.append({"turn": number, **rest})


_SPOKEN = frozenset({"role", "content", "tool_calls", "function_call", "tool_call_id"})


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
        calls = _calls(turn, native, made)
        answers = _answered(turn, open_calls) if role == "tool" else None
        open_calls += calls
        loss = turn.get("loss")
        made.messages.append(
            Message(
                role=role,
                content=text_of_parts(turn.get("content")),
                tool_calls=tuple(calls),
                tool_call_id=answers,
                loss=loss if loss is None or isinstance(loss, bool) else _truth(loss),
            )
        )
        known = _SPOKEN | dropped | {"loss"}
        _keep(made, number, turn, known | {"name"} if role == "tool" and answers else known)
        _keep_parts(made, number, turn)
    return refuse_silence(made)


def _keep_parts(made: Conversation, number: int, turn: dict[str, Any]) -> None:
    """Keep what parts of a turn say beside their text."""
    content = turn.get("content")
    if isinstance(content, list) and any(
        isinstance(part, dict) and len(part) > 2 for part in content
    ):
        parts = [
            {name: value for name, value in part.items() if name != "text"}
            for part in content
            if isinstance(part, dict)
        ]
        made.fields.append({"turn": number, "content": parts})


def _calls(turn: dict[str, Any], native: Native, made: Conversation) -> list[ToolCall]:
    given = turn.get("tool_calls") or []
    if turn.get("function_call") is not None:
        given = [*given, turn["function_call"]]
    if not isinstance(given, list):
        raise Unreadable("calls_are_no_list")
    calls = []
    for each in given:
        calls.append(call_of(each, made.calls, native))
        made.calls += 1
    return calls


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
    identifier = given.get("id")
    if not isinstance(identifier, str) or not identifier:
        identifier = f"call_{number}"
    return ToolCall(id=identifier, name=function["name"], arguments=arguments)


def _answered(turn: dict[str, Any], open_calls: list[ToolCall]) -> str | None:
    """Return the id of the call that a turn answers, which is then no longer open."""
    identifier, name = turn.get("tool_call_id"), turn.get("name")
    for position, call in enumerate(open_calls):
        if call.id == identifier if identifier else name in (None, call.name):
            del open_calls[position]
            return call.id
    return identifier if isinstance(identifier, str) else None


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
    return Tool(
        name=function["name"],
        description=description if isinstance(description, str) else "",
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
        if rest:
            found[function["name"]] = rest
    return found


_TOOL = frozenset({"name", "description", "parameters"})
