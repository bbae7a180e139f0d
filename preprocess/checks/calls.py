"""Checks of the function calls of a record; what each fault means stands in docs/checks.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from preprocess.checks.arguments import misfits
from preprocess.checks.plain import surely_fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.checks.arguments import Misfit
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
    faults = _of_calls(calls, tools)
    _add_links(faults, messages)
    if not faults:
        return {"calls": len(calls), "valid": True}
    checks = {"calls": len(calls), "valid": False, "faults": faults[:MOST_FAULTS]}
    if len(faults) > MOST_FAULTS:
        checks["num_faults"] = len(faults)
    return checks


def _of_calls(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> list[Fault]:
    """Return what is wrong with each call by itself."""
    if not tools:
        return [{"call": 0, "fault": "no_tools"}]
    faults: list[Fault] = []
    by_name = {tool.name: tool for tool in tools}
    for ordinal, call in enumerate(calls):
        tool = by_name.get(call.name)
        if tool is None:
            faults.append({"call": ordinal, "fault": "unknown_function", "at": call.name})
        elif not isinstance(call.arguments, dict):
            faults.append({"call": ordinal, "fault": "arguments_not_object"})
        elif not surely_fit(call.arguments, tool.parameters):
            for fault, at in _misfits(call, tools):
                faults.append({"call": ordinal, "fault": fault, "at": at})
    return faults


def _misfits(call: ToolCall, tools: Sequence[Tool]) -> list[Misfit]:
    """Return what does not fit; where one name is declared several times, one must fit."""
    found = [misfits(call.arguments, tool) for tool in tools if tool.name == call.name]
    return found[0] if all(found) else []


def _add_links(faults: list[Fault], messages: Sequence[Message]) -> None:
    """Add what is wrong between calls and their answers."""
    called: set[str] = set()
    answered: set[str] = set()
    num_calls = 0
    for ordinal, message in enumerate(messages):
        for call in message.tool_calls:
            if call.id in called:
                faults.append({"call": num_calls, "fault": "duplicate_call_id", "at": call.id})
            called.add(call.id)
            num_calls += 1
        if message.role == "tool":
            answer = message.tool_call_id
            fault = _of_answer(answer, called, answered)
            if fault:
                faults.append({"message": ordinal, "fault": fault, "at": answer or ""})


def _of_answer(answer: str | None, called: set[str], answered: set[str]) -> str | None:
    if answer is None or answer not in called:
        return "observation_without_call"
    if answer in answered:
        return "call_answered_twice"
    answered.add(answer)
    return None
