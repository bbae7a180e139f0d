"""Templates of code with its task: turns of a user and an assistant without calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from preprocess.render.spans import SPAN_OF_TURN, Span, Unfit
from preprocess.render.template import Template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.records import Message, Tool
    from preprocess.render.conversation import Labels


def _labelled(labels: Labels) -> Template:
    def spans(tools: Sequence[Tool], messages: Sequence[Message]) -> list[Span]:
        if tools or any(message.tool_calls or message.role == "tool" for message in messages):
            raise Unfit
        made: list[Span] = []
        for message in messages:
            before, after = labels[message.role]
            if after and "```" in message.content:
                raise Unfit  # it would end the fence
            role = SPAN_OF_TURN[message.role]
            lead = before if made else before.lstrip("\n")
            made += [(role, lead), (role, message.content), (role, after)]
        return made

    return Template(spans)


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
