"""From a record to its text, and from the text back to its calls."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import xxhash

from preprocess.render.spans import Span, Unfit
from preprocess.render.specimens import MESSAGES, TOOLS
from preprocess.render.templates import PROPORTIONS, SEED, TEMPLATES, order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.readers.understand.call_source import Call
    from preprocess.records import Message, Tool
    from preprocess.render.template import Template


def text_of(
    identifier: str, kind: str, tools: Sequence[Tool], messages: Sequence[Message]
) -> tuple[str, str]:
    """Return the text of a record, and the name of the template that made it.

    `parse` finds the same calls in it. Of tools and messages nothing is left out but `loss`, which
    is no text, and ids that go without saying.

    Args:
        identifier: The record's id; its hash chooses among the templates of the kind.
        kind: The record's kind.
        tools: Its tools.
        messages: Its messages.

    Raises:
        ValueError: There are neither tools nor messages.
    """
    _, text, template = _rendered(identifier, kind, tools, messages)
    return text, template


def spans_of(
    identifier: str, kind: str, tools: Sequence[Tool], messages: Sequence[Message]
) -> tuple[list[Span], str]:
    """Return the spans whose texts together are that of `text_of`, and the template's name.

    Raises:
        ValueError: There are neither tools nor messages.
    """
    spans, _, template = _rendered(identifier, kind, tools, messages)
    return spans, template


def _rendered(
    identifier: str, kind: str, tools: Sequence[Tool], messages: Sequence[Message]
) -> tuple[list[Span], str, str]:
    if not tools and not messages:
        raise ValueError(f"record {identifier!a}: neither tools nor messages to make a text of")
    num_calls = _num_calls(messages)
    for name in order(identifier, kind, has_calls=num_calls > 0):
        try:
            return *TEMPLATES[name].render(tools, messages, num_calls), name
        except Unfit:
            continue
    raise AssertionError("the last template fits all")


def _num_calls(messages: Sequence[Message]) -> int:
    return sum([len(message.tool_calls) for message in messages])


def parse(text: str, template: str) -> list[Call]:
    """Return the calls in a text that the template made: names and arguments, in order.

    Raises:
        KeyError: No template has this name.
        ValueError: The template did not make this text.
    """
    return TEMPLATES[template].read(text)


@cache
def fingerprint() -> str:
    """Return 16 hexadecimal digits that change when any template, or a proportion, does.

    They are of what the templates make of a few specimens, not of their code: two versions with
    equal fingerprints write equal texts.
    """
    hasher = xxhash.xxh3_64(repr((SEED, PROPORTIONS)).encode())
    for name, template in TEMPLATES.items():
        for tools, messages in ((TOOLS, ()), ((), MESSAGES[:2]), (TOOLS, MESSAGES)):
            hasher.update(f"{name}\0{_shown(template, tools, messages)}\0".encode())
    return hasher.hexdigest()


def _shown(template: Template, tools: Sequence[Tool], messages: Sequence[Message]) -> str:
    try:
        return template.render(tools, messages, _num_calls(messages))[1]
    except Unfit:
        return "unfit"
