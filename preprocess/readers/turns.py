"""Turns of a conversation that hold text as messages, in either spelling.

ShareGPT's turns have `from`, `value` and sometimes `loss`; OpenAI's `role` and `content`. Fields
beyond that are kept apart, by the number of their turn.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from preprocess.readers.native import Unreadable
from preprocess.records import Message

if TYPE_CHECKING:
    from collections.abc import Sequence


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

_SHAREGPT = ("from", "value")
_SPELLINGS = (("role", "content"), ("from", "content"), ("role", "value"))


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
    messages = made.messages
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise Unreadable("turn_is_no_object")
        by, said = _SHAREGPT if "from" in turn and "value" in turn else _spelling(turn)
        speaker, content, loss = turn[by], turn[said], turn.get("loss")
        role = ROLES.get(speaker) if speaker.__class__ is str else None
        if content.__class__ is not str:
            keep_parts(made, number, content)
            content = text_of_parts(content)
        if loss is not None and loss is not True and loss is not False:
            loss = truth_of(loss)
        messages.append(Message(role=role or role_of(speaker), content=content, loss=loss))
        if len(turn) > (3 if "loss" in turn else 2):
            keep_fields(made, number, turn, frozenset({by, said, "loss"}))
    return refuse_silence(made)


def refuse_silence(made: Conversation) -> Conversation:
    """Return a conversation in which anything at all is said or called.

    Raises:
        Unreadable: Nothing is.
    """
    for each in made.messages:
        if each.tool_calls or (each.content and not each.content.isspace()):
            return made
    raise Unreadable("empty_conversation")


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


def truth_of(loss: Any) -> bool:
    """Return the truth value that a loss stands for.

    Raises:
        Unreadable: It is none: a weight, a word.
    """
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


def keep_fields(
    made: Conversation, number: int, turn: dict[str, Any], known: frozenset[str]
) -> None:
    """Keep the fields of a turn that are not among the known ones; null counts as absent."""
    rest = {name: value for name, value in turn.items() if name not in known and value is not None}
    if rest:
        made.fields.append({"turn": number, **rest})


def keep_parts(made: Conversation, number: int, content: Any) -> None:
    """Keep what the parts of a turn say beside their text."""
    parts = content if isinstance(content, list) else []
    beyond = [
        {name: part[name] for name in part if name != "text"} if isinstance(part, dict) else {}
        for part in parts
    ]
    if any(part.keys() - {"type"} for part in beyond):
        made.fields.append({"turn": number, "content": beyond})
