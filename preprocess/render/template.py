"""What a template is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from preprocess.readers.understand.call_source import Call
from preprocess.render.spans import Span, Unfit

if TYPE_CHECKING:
    from preprocess.records import Message, Tool

type Spans = Callable[[Sequence[Tool], Sequence[Message]], list[Span]]
"""Returns the text of tools and messages in spans, or raises `Unfit`."""


def _no_calls(_text: str) -> list[Call]:
    return []


@dataclass(frozen=True, slots=True)
class Template:
    """One layout of text."""

    spans: Spans
    read: Callable[[str], list[Call]] = _no_calls
    """Returns the calls in a text of this layout, in order."""

    mark: str = ""
    """Stands once in the text of each call, and nowhere else in a text that can be read again."""

    def render(
        self, tools: Sequence[Tool], messages: Sequence[Message], num_calls: int
    ) -> tuple[list[Span], str]:
        """Return the spans of a record, and its text, which is theirs one after another.

        Args:
            tools: The record's tools.
            messages: Its messages.
            num_calls: How many calls they hold.

        Raises:
            Unfit: The layout does not go with the record, or its calls could not be read again.
        """
        spans = self.spans(tools, messages)
        text = "".join([part for _, part in spans])
        if self.mark and text.count(self.mark) != num_calls:
            raise Unfit  # the data itself holds the mark
        return spans, text
