"""The shapes of the raw records that the Agent Data Protocol unifies, as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.readers.native import Unreadable
from preprocess.readers.openai_turns import beyond_tools, openai_turns, tools_of
from preprocess.readers.turns import (
    Conversation,
    observations,
    plain_turns,
    refuse_silence,
    request,
    role_of,
)
from preprocess.readers.understand.json_text import loads
from preprocess.records import Message, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.readers.native import Native
    from preprocess.readers.turns import Role

_TOOL_FIELDS = ("tools", "available_tools")
_FEEDBACK = ("Observation:", "OBSERVATION:")


class Said(msgspec.Struct):
    """What a record says, whatever its shape."""

    messages: list[Message]
    used: frozenset[str]
    """Fields of the record that stand in the messages or the tools."""

    kind: str = "trajectory"
    tools: tuple[Tool, ...] = ()
    meta: dict[str, Any] = {}
    observations: list[str] = []
    """What the environment answered."""


def chat(native: Native) -> Said:
    """Read `conversations`; where no environment answers, it is text about anything."""
    turns = native.value["conversations"]
    if isinstance(turns, list) and any(
        isinstance(turn, dict) and "actions" in turn for turn in turns
    ):
        return _visual_chat(turns)
    conversation = plain_turns(turns)
    kind = _kind(conversation.messages)
    return Said(
        messages=conversation.messages,
        used=frozenset({"conversations"}),
        kind=kind,
        meta=_fields(conversation),
        observations=observations(conversation.messages) if kind == "trajectory" else [],
    )


def _kind(messages: Sequence[Message]) -> str:
    """Return `trajectory` where anything is called or an environment answers, else `text`."""
    acts = any(
        each.tool_calls or each.role == "tool" or each.content.startswith(_FEEDBACK)
        for each in messages
        if each.role != "system"
    )
    return "trajectory" if acts else "text"


def _fields(conversation: Conversation) -> dict[str, Any]:
    return {"turn_fields": conversation.fields} if conversation.fields else {}


def _visual_chat(turns: list[dict[str, Any]]) -> Said:
    """Read turns with `thoughts`, `actions` (`API_name`, `API_params`) and `value`.

    The turn after an action begins with the model's output, and answers it.
    """
    spoken = plain_turns([_without_actions(turn) for turn in turns])
    messages: list[Message] = []
    answers, number = None, 0
    for turn, message in zip(turns, spoken.messages, strict=True):
        if message.role == "assistant":
            actions = turn.get("actions") or []
            if not isinstance(actions, list):
                raise Unreadable("unknown_action")
            calls = [_api_call(each, number + at) for at, each in enumerate(actions)]
            number += len(calls)
            thoughts = turn.get("thoughts")
            if thoughts is not None and not isinstance(thoughts, str):
                raise Unreadable("turn_is_no_text")
            content = "\n".join(each for each in (thoughts, message.content) if each)
            messages.append(Message(role="assistant", content=content, tool_calls=tuple(calls)))
            answers = calls[0].id if len(calls) == 1 else None
        elif answers and message.role == "user":
            messages.append(Message(role="tool", content=message.content, tool_call_id=answers))
            answers = None
        else:
            messages.append(message)
    return Said(
        messages=messages,
        used=frozenset({"conversations"}),
        meta=_fields(spoken),
        observations=[each.content for each in messages if each.role == "tool"],
    )


def _without_actions(turn: Any) -> Any:
    if not isinstance(turn, dict):
        return turn
    return {name: turn[name] for name in turn if name not in ("thoughts", "actions")}


def _api_call(action: Any, number: int) -> ToolCall:
    if not isinstance(action, dict) or action.keys() != {"API_name", "API_params"}:
        raise Unreadable("unknown_action")
    name, arguments = action["API_name"], action["API_params"]
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise Unreadable("unknown_action")
    return ToolCall(id=f"call_{number}", name=name, arguments=arguments)


def tool_messages(native: Native) -> Said:
    """Read `messages` in OpenAI's spelling, and `tools` or `available_tools`.

    Either may be JSON in a string. Schemas that went through Arrow have a null for each key that
    any other of them has; those are taken away.
    """
    value = native.value
    conversation = openai_turns(_parsed(value["messages"], native), native)
    used, meta = {"messages"}, _fields(conversation)
    tools: tuple[Tool, ...] = ()
    for name in _TOOL_FIELDS:
        documents = _parsed(value.get(name), native)
        if isinstance(documents, list) and documents:
            whole = [_without_nulls(each) for each in documents]
            if whole != documents:
                native.repaired("nulls_in_schema")
            tools = tools_of(whole)
            used.add(name)
            if beyond := beyond_tools(whole):
                meta[name] = beyond
            break
    kind = "trajectory" if tools else _kind(conversation.messages)
    return Said(
        messages=conversation.messages,
        used=frozenset(used),
        kind=kind,
        tools=tools,
        meta=meta,
        observations=observations(conversation.messages) if kind == "trajectory" else [],
    )


def _parsed(value: Any, native: Native) -> Any:
    return loads(value, native) if isinstance(value, str) else value


def _without_nulls(value: Any) -> Any:
    """Return a document without the keys that are null, at any depth."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def agent_steps(native: Native) -> Said:
    """Read steps of SWE-agent, `role` and `text` or `system_prompt`."""
    steps = native.value["trajectory"]
    if not isinstance(steps, list) or not steps:
        raise Unreadable("no_conversation")
    if not all(isinstance(step, dict) for step in steps):
        raise Unreadable("turn_is_no_object")
    messages, fields = [], []
    for number, step in enumerate(steps):
        text = step.get("text") if step.get("text") is not None else step.get("system_prompt")
        if not isinstance(text, str):
            raise Unreadable("turn_is_no_text")
        messages.append(Message(role=role_of(step.get("role")), content=text))
        rest = {
            name: each
            for name, each in step.items()
            if name != "role" and each is not None and each != text
        }
        if rest:
            fields.append({"turn": number, **rest})
    refuse_silence(Conversation(messages=messages))
    return Said(
        messages=messages,
        used=frozenset({"trajectory"}),
        meta={"turn_fields": fields} if fields else {},
        observations=observations(messages),
    )


def page_actions(native: Native) -> Said:
    """Read `intent` and a trajectory of pages and actions in turn; an action is a call.

    The next page answers it. Nothing is taken from an action but its name.
    """
    value = native.value
    if not isinstance(value["intent"], str) or not isinstance(value["trajectory"], list):
        raise Unreadable("unknown_layout")
    messages = [request(value["intent"])]
    fields: list[dict[str, Any]] = []
    answers, number = None, 0
    for step in value["trajectory"]:
        if not isinstance(step, dict):
            raise Unreadable("unknown_step")
        if isinstance(step.get("axtree"), str) and isinstance(step.get("url"), str):
            content = f"{step['url']}\n{step['axtree']}"
            role: Role = "tool" if answers else "user"
            messages.append(Message(role=role, content=content, tool_call_id=answers))
            answers = None
            rest = {name: step[name] for name in step if name not in ("axtree", "url")}
        elif isinstance(step.get("action"), dict):
            thought, call = _page_action(step, number)
            messages.append(Message(role="assistant", content=thought, tool_calls=(call,)))
            answers, number = call.id, number + 1
            rest = {name: step[name] for name in step if name != "action"}
            if thought and rest["metadata"] == {"cot": thought}:
                del rest["metadata"]
        else:
            raise Unreadable("unknown_step")
        if rest:
            fields.append({"turn": len(messages) - 1, **rest})
    return Said(
        messages=messages,
        used=frozenset({"intent", "trajectory"}),
        meta={"turn_fields": fields} if fields else {},
        observations=[each.content for each in messages if each.role == "tool"],
    )


def _page_action(step: dict[str, Any], number: int) -> tuple[str, ToolCall]:
    """Return thought and call of an action."""
    name, metadata = step["action"].get("action_name"), step.get("metadata")
    if not isinstance(name, str):
        raise Unreadable("unknown_action")
    arguments = {each: step["action"][each] for each in step["action"] if each != "action_name"}
    thought = metadata.get("cot") if isinstance(metadata, dict) else None
    call = ToolCall(id=f"call_{number}", name=name, arguments=arguments)
    return thought if isinstance(thought, str) else "", call


def prompt_and_response(native: Native) -> Said:
    """Read `prompt` and `response`, one step of an agent each."""
    prompt, response = native.value["prompt"], native.value["response"]
    if not isinstance(prompt, str) or not isinstance(response, str):
        raise Unreadable("turn_is_no_text")
    messages = [request(prompt), Message(role="assistant", content=response)]
    return Said(messages=messages, used=frozenset({"prompt", "response"}))
