"""Checks of the function calls of a record; what each fault means stands in the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from preprocess.checks.arguments import misfits
from preprocess.checks.flat import surely_fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from preprocess.records import Message, Tool, ToolCall

type Fault = dict[str, Any]

MOST_FAULTS: Final = 16
"""More faults than this are counted, not listed: they are signs of one and the same mistake."""


def check_calls(tools: Sequence[Tool], messages: Sequence[Message]) -> dict[str, Any] | None:
    """Return what stands in `meta.checks`; None for a record without calls.

    Of more than `MOST_FAULTS` faults the first are listed and `num_faults` counts all.
    """
    calls = [call for message in messages for call in message.tool_calls]
    if not calls:
        return None
    faults = [*_of_calls(calls, tools), *_of_links(messages)]
    checks: dict[str, Any] = {"calls": len(calls), "valid": not faults}
    if faults:
        checks["faults"] = faults[:MOST_FAULTS]
    if len(faults) > MOST_FAULTS:
        checks["num_faults"] = len(faults)
    return checks


def _of_calls(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> Iterator[Fault]:
    """Yield what is wrong with each call by itself."""
    if not tools:
        yield {"call": 0, "fault": "no_tools"}
        return
    by_name = {tool.name: tool for tool in tools}
    for ordinal, call in enumerate(calls):
        found = by_name.get(call.name)
        if found is None:
            yield {"call": ordinal, "fault": "unknown_function", "at": call.name}
        elif not isinstance(call.arguments, dict):
            yield {"call": ordinal, "fault": "arguments_not_object"}
        elif not surely_fit(call.arguments, found.parameters):
            for fault, at in _misfits(call, [tool for tool in tools if tool.name == call.name]):
                yield {"call": ordinal, "fault": fault, "at": at}


def _misfits(call: ToolCall, tools: Sequence[Tool]) -> list[tuple[str, str]]:
    """Return what does not fit; where one name is declared several times, one must fit."""
    first = misfits(call.arguments, tools[0])
    if not first or any(not misfits(call.arguments, tool) for tool in tools[1:]):
        return []
    return first


def _of_links(messages: Sequence[Message]) -> Iterator[Fault]:
    """Yield what is wrong between calls and their answers."""
    called: set[str] = set()
    answered: set[str] = set()
    num_calls = 0
    for ordinal, message in enumerate(messages):
        for call in message.tool_calls:
            if call.id in called:
                yield {"call": num_calls, "fault": "duplicate_call_id", "at": call.id}
            called.add(call.id)
            num_calls += 1
        if message.role != "tool":
            continue
        answer = message.tool_call_id
        if answer is None or answer not in called:
            yield {"message": ordinal, "fault": "observation_without_call", "at": answer or ""}
        elif answer in answered:
            yield {"message": ordinal, "fault": "call_answered_twice", "at": answer}
        else:
            answered.add(answer)
