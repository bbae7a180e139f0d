"""Pieces of a text with the role that each plays, so that a mask by role can be made of them."""

from __future__ import annotations

from typing import Final, Literal

type SpanRole = Literal[
    "system", "tool_doc", "user", "thought", "call", "observation", "answer", "doc_text"
]
"""`thought` is what an assistant says before its calls, `answer` what it says without any;
`doc_text` is prose of a source that is not about tools."""

type Span = tuple[SpanRole, str]
"""A role and its text. The labels of a turn belong to the role of the turn; spans that follow one
another may have the same role."""

SPAN_OF_TURN: Final[dict[str, SpanRole]] = {
    "system": "system",
    "user": "user",
    "assistant": "answer",
    "tool": "observation",
}
"""Roles of spans by the roles of messages."""


class Unfit(ValueError):  # noqa: N818 - it names a relation, not a mistake
    """A template cannot hold this record so that its calls could be read again."""
