"""The syntax tree of Python source to the calls in it; names of positional arguments are given."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from keyword import kwlist
from typing import Any, Final

from preprocess.readers.understand.literals import NotLiteral, Reading, parse

type Call = tuple[str, dict[str, Any]]
"""A function's name, dotted as written, and its arguments by name, in the order written."""

type Positions = Callable[[str], Sequence[str]]
"""The parameters of a function, in order; none where they are not known."""


_MARK: Final = "_keyword_of_python_"
"""Ends the name of an argument that is a keyword, such as `from`, while the source is parsed."""

_KEYWORD: Final = re.compile(
    r"""(?s)'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|(?<![.\w])(?P<name>{})(?=\s*=(?!=))""".format(
        "|".join(kwlist)
    )
)
"""Strings, which are left alone, and such names."""


def calls_in(source: str, positions: Positions) -> list[Call]:
    """Return the calls that `source` consists of, in order.

    Raises:
        NotLiteral: It holds anything else than calls with literal arguments.
    """
    try:
        tree = parse(source, "exec")
    except NotLiteral:
        if _MARK in source:
            raise
        source = _KEYWORD.sub(_marked, source)
        tree = parse(source, "exec")
    reading = Reading(source, joins_strings=True)
    assert isinstance(tree, ast.Module)
    nodes = [node for statement in tree.body for node in _calls_of(statement)]
    return [_call(node, reading, positions) for node in nodes]


def _marked(match: re.Match[str]) -> str:
    return match[0] + _MARK if match["name"] else match[0]


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


def _call(node: ast.Call, reading: Reading, positions: Positions) -> Call:
    name = _dotted(node.func)
    names = positions(name) if node.args else []
    if len(node.args) > len(names):
        raise NotLiteral("more positional arguments than known parameters")
    given = [
        (position, reading.value(argument))
        for position, argument in zip(names, node.args, strict=False)
    ]
    for keyword in node.keywords:
        value = reading.value(keyword.value)
        if keyword.arg is not None:
            given.append((keyword.arg.removesuffix(_MARK), value))
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
