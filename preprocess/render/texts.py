"""Templates of text for pre-training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.records import Message, Tool


def text_of(
    identifier: str, kind: str, tools: Sequence[Tool], messages: Sequence[Message]
) -> tuple[str, str]:
    """Return the text of a record, and the name of the template that made it.

    Args:
        identifier: The record's id; its hash chooses among the templates of the kind.
        kind: The record's kind.
        tools: Its tools.
        messages: Its messages.
    """
    del identifier, kind
    parts = [msgspec.json.encode(tool).decode() for tool in tools]
    for message in messages:
        calls = msgspec.json.encode(message.tool_calls).decode() if message.tool_calls else ""
        parts.append(f"{message.role}: {message.content}{calls}")
    return "\n".join(parts), "plain"
