"""Calls written as Python source, understood through the syntax tree, never run."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from preprocess.readers.native import Unreadable
from preprocess.readers.understand.literals import NotLiteral, Reading, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.records import Tool

type Call = tuple[str, dict[str, Any]]
"""A function's name, dotted as written, and its arguments by name, in the order written."""


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
        source = text.strip()
        tree = parse(source, "exec")
        reading = Reading(source, joins_strings=True)
        assert isinstance(tree, ast.Module)
        nodes = [node for statement in tree.body for node in _calls_of(statement)]
        calls = [_call(node, reading, tools) for node in nodes]
    except (NotLiteral, RecursionError) as error:
        raise Unreadable("invalid_call_text") from error
    if not calls:
        raise Unreadable("invalid_call_text")
    return calls


def _calls_of(statement: ast.stmt) -> list[ast.Call]:
    match statement:
        case ast.Assign(targets=[ast.Name()], value=value) | ast.Expr(value=value):
            pass
        case _:
            raise NotLiteral("no call")
    nodes = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    if len(calls) != len(nodes):
        raise NotLiteral("no call")
    return calls


def _call(node: ast.Call, reading: Reading, tools: Sequence[Tool]) -> Call:
    name = _dotted(node.func)
    names = _positions(name, tools) if node.args else []
    if len(node.args) > len(names):
        raise NotLiteral("more positional arguments than known parameters")
    given = [
        (position, reading.value(argument))
        for position, argument in zip(names, node.args, strict=False)
    ]
    for keyword in node.keywords:
        value = reading.value(keyword.value)
        if keyword.arg is not None:
            given.append((keyword.arg, value))
        elif isinstance(value, dict):
            given += value.items()
        else:
            raise NotLiteral("unpacking of no object")
    arguments = dict(given)
    if len(arguments) != len(given):
        raise NotLiteral("one argument twice")
    return name, arguments


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name):
            return f"{_dotted(inner)}.{name}"
    raise NotLiteral("no name")


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
