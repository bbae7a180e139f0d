"""Whether a template prints all that records of a shape say.

Templates leave things out: one without a place for tools prints none and says nothing, another
prints a call and not the text beside it. So a record of the same shape, in which every part is a
character of its own, is rendered once, and each part must be there as often as it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preprocess.chat.conversation import Conversation

type Shape = tuple[tuple[tuple[str, bool, int], ...], int]
"""Of each message the role, whether it has text, and how many calls; how many tools there are."""

TEXT, NAME, ARGUMENT, TOOL = (chr(0x10FF10 + number) for number in range(4))
"""What stands for a text, a call's name, an argument, a tool's name."""


def shape_of(conversation: Conversation) -> Shape:
    """Return the shape of a record."""
    messages = tuple(
        (message["role"], bool(message["content"].strip()), len(message.get("tool_calls", ())))
        for message in conversation.messages
    )
    return messages, len(conversation.tools or ())


def probe(conversation: Conversation) -> tuple[list[Any], list[Any] | None]:
    """Return messages and tools of the same shape, in which each part is one character."""
    messages = []
    for message in conversation.messages:
        made = {**message, "content": TEXT if message["content"].strip() else ""}
        if calls := message.get("tool_calls"):
            function = {"name": NAME, "arguments": {"a": ARGUMENT}}
            made["tool_calls"] = [{**call, "function": function} for call in calls]
        messages.append(made)
    if conversation.tools is None:
        return messages, None
    tool = {"name": TOOL, "description": "a", "parameters": {"type": "object", "properties": {}}}
    return messages, [{"type": "function", "function": tool} for _ in conversation.tools]


def is_whole(rendering: str, shape: Shape) -> bool:
    """Return whether the rendering of a probe holds every part of it."""
    messages, tools = shape
    calls = sum(number for _, _, number in messages)
    texts = sum(has_text for _, has_text, _ in messages)
    wanted = {TEXT: texts, NAME: calls, ARGUMENT: calls, TOOL: tools}
    return all(rendering.count(part) >= count for part, count in wanted.items())
