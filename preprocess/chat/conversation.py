"""A record's messages and tools as templates in Jinja expect them."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from preprocess.chat.refused import RefusedError
from preprocess.chat.roles import ROLES

type Json = Any

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ].*)?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """What is handed to a template."""

    messages: list[dict[str, Json]]
    """`role`, `content`, and where there are some `tool_calls`, nested as OpenAI does, and
    `tool_call_id`."""

    tools: list[Json] | None
    """Each `{"type": "function", "function": ...}`; None without any, as templates ask for."""

    trained: tuple[bool, ...]
    """Of each message, whether its turn is trained."""

    date: datetime.date | None
    """`meta.date`."""


def read_conversation(
    messages: str | None, tools: str | None, meta: str | None, train_roles: tuple[str, ...]
) -> Conversation:
    """Return the conversation of a record, given its fields as JSON.

    Without `meta` it has no date, whatever its record says.

    Raises:
        RefusedError: There are no messages, they are not as the schema says, or a number would not
            survive as a double.
    """
    if messages is None:
        raise RefusedError("no_messages")
    turns = [_message(each) for each in _list(_load(messages))]
    if not turns:
        raise RefusedError("no_messages")
    declared = [_tool(each) for each in _list(_load(tools))] if tools is not None else []
    return Conversation(
        messages=[message for message, _ in turns],
        tools=declared or None,
        trained=tuple(
            message["role"] in train_roles if loss is None else loss for message, loss in turns
        ),
        date=_date(meta),
    )


def _load(text: str) -> Json:
    value = json.loads(
        text,
        parse_float=_float,
        parse_int=_int,
        parse_constant=_constant,
        object_pairs_hook=_object,
    )
    if _SURROGATE.search(text):
        _refuse_half_characters(value)
    return value


def _refuse_half_characters(value: Json) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RefusedError("malformed_messages", "half a surrogate pair") from error


def _float(spelled: str) -> float:
    number = float(spelled)
    if Decimal(repr(number)) != Decimal(spelled):
        raise RefusedError("template_changes_number", spelled)
    return number


def _int(spelled: str) -> int:
    try:
        return int(spelled)
    except ValueError as error:  # Python bounds the digits that it reads
        shown = f"{len(spelled):,} digits"
        raise RefusedError("template_changes_number", shown) from error


def _constant(spelled: str) -> NoReturn:
    raise RefusedError("malformed_messages", f"{spelled} is no JSON")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise RefusedError("duplicate_keys")
    return made


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise RefusedError("malformed_messages", "expected a list")
    return value


def _message(value: Json) -> tuple[dict[str, Json], bool | None]:
    if not isinstance(value, dict) or value.get("role") not in ROLES:
        raise RefusedError("malformed_messages", f"expected a role among {', '.join(ROLES)}")
    content, loss = value.get("content"), value.get("loss")
    if not isinstance(content, str | None) or not isinstance(loss, bool | None):
        raise RefusedError("malformed_messages", "expected text as content and a boolean as loss")
    message: dict[str, Json] = {"role": value["role"], "content": content or ""}
    listed = value.get("tool_calls")
    calls = [_call(each) for each in _list(listed)] if listed is not None else []
    if calls and value["role"] != "assistant":
        raise RefusedError("malformed_messages", "expected calls by the assistant alone")
    if calls:
        message["tool_calls"] = calls
    if (answered := _identifier(value, "tool_call_id")) is not None:
        message["tool_call_id"] = answered
    return message, loss


def _identifier(value: dict[str, Json], key: str) -> str | None:
    identifier = value.get(key)
    if not isinstance(identifier, str | None):
        raise RefusedError("malformed_messages", f"expected text as {key}")
    return identifier


def _call(value: Json) -> Json:
    if not isinstance(value, dict):
        raise RefusedError("malformed_messages", "expected calls as objects")
    nested = value.get("function")
    function = nested if isinstance(nested, dict) else value
    if not isinstance(function.get("name"), str):
        raise RefusedError("malformed_messages", "expected a call with a name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):  # JSON within JSON
        try:
            arguments = _load(arguments)
        except ValueError as error:
            raise RefusedError("malformed_messages", str(error)) from error
    if not isinstance(arguments, dict):
        raise RefusedError("malformed_messages", "expected an object as arguments")
    call = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
    identifier = _identifier(value, "id")
    return {"id": identifier, **call} if identifier is not None else call


def _tool(value: Json) -> Json:
    if not isinstance(value, dict):
        raise RefusedError("malformed_messages", "expected tools as objects")
    is_nested = isinstance(value.get("function"), dict)
    return value if is_nested else {"type": "function", "function": value}


def _date(meta: str | None) -> datetime.date | None:
    # Of `meta` nothing but a string is looked at, and so no number of it can be too long.
    value = json.loads(meta, parse_int=_ignored) if meta is not None else None
    date = value.get("date") if isinstance(value, dict) else None
    if not isinstance(date, str):
        return None
    day = _DAY.fullmatch(date)
    try:
        return datetime.date.fromisoformat(day[1] if day else "")
    except ValueError as error:
        raise RefusedError("malformed_date", date[:40]) from error


def _ignored(_spelled: str) -> None:
    return None
