"""The templates by kind, in their proportions, and which one a record gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import xxhash

from preprocess.render import code, documentation
from preprocess.render.conversation import LAYOUTS, json_spans
from preprocess.render.spans import Span, Unfit

if TYPE_CHECKING:
    from preprocess.records import Message, Tool

type Template = Callable[[Sequence[Tool], Sequence[Message]], list[Span]]
"""Returns the spans of a record, or raises `Unfit`."""

SEED: Final = 0x7E3A_11F0
"""Of the hash that chooses. Which documents are held out is told by the hash without a seed: the
two have nothing to do with each other."""


def _documents(document: Callable[[Sequence[Tool]], str]) -> Template:
    def spans(tools: Sequence[Tool], messages: Sequence[Message]) -> list[Span]:
        if messages:
            raise Unfit
        return [("tool_doc", document(tools))]

    return spans


TEMPLATES: Final[dict[str, Template]] = {
    "json": json_spans,
    **{name: layout.spans for name, layout in LAYOUTS.items()},
    "doc_json": _documents(documentation.json_schemas),
    "doc_json_lines": _documents(documentation.openai_lines),
    "doc_python": _documents(documentation.python_signatures),
    "doc_markdown": _documents(documentation.markdown),
    **code.TEMPLATES,
}
"""Every template by its name, as `meta.template` has it."""

_WITH_CALLS: Final = {
    "tags": 25,
    "bare_json": 20,
    "markdown": 15,
    "python": 15,
    "react": 15,
    "json": 10,
}
_WITHOUT_CALLS: Final = {"bare_json": 35, "tags": 30, "markdown": 25, "json": 10}

PROPORTIONS: Final[dict[str, dict[str, int]]] = {
    "tool_documentation": {
        "doc_python": 30,
        "doc_markdown": 30,
        "doc_json": 25,
        "doc_json_lines": 15,
    },
    "function_call": _WITH_CALLS,
    "trajectory": _WITH_CALLS,
    "conversation": _WITHOUT_CALLS,
    "code": {"code_headings": 35, "code_fenced": 35, "code_question": 30},
}
"""Percent of the records that get each template, by kind; `conversation` is any other kind, and
function calls and trajectories whose calls, if there are any, stand in the words of the turns."""


def order(identifier: str, kind: str, *, has_calls: bool) -> Iterator[str]:
    """Yield the templates that a record is tried with, until one fits.

    First the one that its id chooses, then the others of its kind in the order of the table, then
    those of conversations; `json`, which fits all, comes last.
    """
    if kind not in PROPORTIONS or (PROPORTIONS[kind] is _WITH_CALLS and not has_calls):
        kind = "conversation"
    proportions = PROPORTIONS[kind]
    chosen = _chosen(proportions, xxhash.xxh3_64_intdigest(identifier.encode(), seed=SEED) % 100)
    yield chosen
    names = list(proportions)
    at = names.index(chosen)
    others = dict.fromkeys([*names[at + 1 :], *names[:at], *_WITHOUT_CALLS])
    yield from (name for name in others if name not in ("json", chosen))
    yield "json"


def _chosen(proportions: dict[str, int], percent: int) -> str:
    for name, share in proportions.items():
        if percent < share:
            return name
        percent -= share
    raise AssertionError("proportions sum to 100")
