"""Templates of code with its task: turns of a user and an assistant without calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from preprocess.render.spans import SPAN_OF_TURN, Span, Unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from preprocess.records import Message, Tool
    from preprocess.render.conversation import Labels


def _labelled(labels: Labels) -> Callable[[Sequence[Tool], Sequence[Message]], list[Span]]:
    def spans(tools: Sequence[Tool], messages: Sequence[Message]) -> list[Span]:
        if tools or any(message.tool_calls or message.role == "tool" for message in messages):
            raise Unfit
        made: list[Span] = []
        for message in messages:
            before, after = labels[message.role]
            if after and "```" in message.content:
                raise Unfit  # it would end the fence
            lead = before if made else before.lstrip("\n")
            made.append((SPAN_OF_TURN[message.role], f"{lead}{message.content}{after}"))
        return made

    return spans


TEMPLATES: Final = {
    "code_fenced": _labelled(
        {
            "system": ("\n\n", ""),
            "user": ("\n\n", ""),
            "assistant": ("\n\n```\n", "\n```"),
        }
    ),
    "code_headings": _labelled(
        {
            "system": ("\n\n### Context\n\n", ""),
            "user": ("\n\n### Task\n\n", ""),
            "assistant": ("\n\n### Solution\n\n", ""),
        }
    ),
    "code_question": _labelled(
        {
            "system": ("\n\n", ""),
            "user": ("\n\nQ: ", ""),
            "assistant": ("\n\nA:\n", ""),
        }
    ),
}
