"""Checks of the function calls of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.records import Message, Tool


def check_calls(tools: Sequence[Tool], messages: Sequence[Message]) -> dict[str, Any] | None:
    """Return what stands in `meta.checks`; None for a record without calls."""
    calls = sum(len(message.tool_calls) for message in messages)
    return {"calls": calls} if calls and tools else None
