"""The templates by kind, in their proportions, and which one a record gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import xxhash

from preprocess.render import code, documentation
from preprocess.render.conversation import JSON, LAYOUTS
from preprocess.render.spans import Span, Unfit
from preprocess.render.template import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from preprocess.records import Message, Tool

SEED: Final = 0x7E3A_11F0
"""Of the hash that chooses. Which documents are held out is told by the hash without a seed: the
two have nothing to do with each other."""


def _documents(document: Callable[[Sequence[Tool]], str]) -> Template:
    def spans(tools: Sequence[Tool], messages: Sequence[Message]) -> list[Span]:
        if messages:
            raise Unfit
        return [("tool_doc", document(tools))]

    return Template(spans)


TEMPLATES: Final[dict[str, Template]] = {
    "json": JSON,
    **{name: layout.template() for name, layout in LAYOUTS.items()},
    "doc_json": _documents(documentation.json_schemas),
    "doc_json_lines": _documents(documentation.openai_lines),
    "doc_python": _documents(documentation.python_signatures),
    "doc_markdown": _documents(documentation.markdown),
    **code.TEMPLATES,
}
"""Every template by its name, as `meta.template` has it."""

_WITH_CALLS: Final = {
    "tags": 25,
    "bare_json": 15,
    "markdown": 15,
    "python": 15,
    "react": 15,
    "xml": 10,
    "json": 5,
}
_WITHOUT_CALLS: Final = {"bare_json": 30, "tags": 25, "markdown": 25, "xml": 15, "json": 5}

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


def _orders(shares: dict[str, int]) -> tuple[tuple[str, ...], ...]:
    """Return, for each percent, the template that it chooses and those to try after it."""
    names = list(shares)
    orders: list[tuple[str, ...]] = []
    for at, (chosen, share) in enumerate(shares.items()):
        others = dict.fromkeys([*names[at + 1 :], *names[:at], *_WITHOUT_CALLS])
        between = [name for name in others if name not in ("json", chosen)]
        orders += [(chosen, *between, "json")] * share
    return tuple(orders)


_ORDERS: Final = {kind: _orders(shares) for kind, shares in PROPORTIONS.items()}


def order(identifier: str, kind: str, *, has_calls: bool) -> tuple[str, ...]:
    """Return the templates that a record is tried with, until one fits.

    First the one that its id chooses, then the others of its kind in the order of the table, then
    those of conversations; `json`, which fits all, comes last.
    """
    if kind not in PROPORTIONS or (PROPORTIONS[kind] is _WITH_CALLS and not has_calls):
        kind = "conversation"
    return _ORDERS[kind][xxhash.xxh3_64_intdigest(identifier.encode(), SEED) % 100]
