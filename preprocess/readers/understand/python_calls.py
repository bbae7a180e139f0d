"""Calls written as Python source, understood through the syntax tree, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.readers.native import Unreadable
from preprocess.readers.understand.call_source import Call, calls_in
from preprocess.readers.understand.literals import NotLiteral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.records import Tool


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> list[Call]:
    """Return the calls that `text` spells, in order.

    Understood are calls on lines of their own or separated by `;`, a list or tuple of calls, and
    assignments of a call to a name (`r = f(x=1)`; the name is not part of the call). Arguments are
    literals, the JSON words `true`, `false` and `null` included, or `**{...}` with a literal.
    Positional ones get the names of the tool's parameters, in the order of its schema.

    Args:
        text: Python source.
        tools: Where positional arguments find their names: the tool of the call's whole dotted
            name, or else the only one with the same last part.

    Raises:
        Unreadable: `invalid_call_text`; anything else than such calls, or none at all.
    """
    try:
        calls = calls_in(text.strip(), lambda name: _positions(name, tools))
    except (NotLiteral, RecursionError) as error:
        raise Unreadable("invalid_call_text") from error
    if not calls:
        raise Unreadable("invalid_call_text")
    return calls


def _positions(name: str, tools: Sequence[Tool]) -> list[str]:
    """Return the parameters of the function called, in order; none where it is not certain."""
    found = [tool for tool in tools if tool.name == name]
    if not found:
        last = name.rpartition(".")[2]
        found = [tool for tool in tools if tool.name.rpartition(".")[2] == last]
    if len(found) != 1:
        return []
    properties = found[0].parameters.get("properties")
    return list(properties) if isinstance(properties, dict) else []
