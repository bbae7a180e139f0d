"""Function documents written as Python source: a signature and a docstring."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.native import Unreadable
from preprocess.readers.reserved_words import marked, unmarked
from preprocess.readers.understand.literals import NotLiteral, Reading, parse
from preprocess.readers.understand.schemas import python_parameters
from preprocess.records import Tool

if TYPE_CHECKING:
    from preprocess.readers.native import Native

_PARAMETERS = re.compile(r"(?m)^[ \t]*(?:Parameters|Args|Arguments):[ \t]*$")
_SECTION = re.compile(r"(?m)^[ \t]*(?:Returns?|Raises|Yields|Examples?|Notes?):[ \t]*$")
_PARAMETER = re.compile(r"^(\w+) ?(?:\([^()]*\))?(?: required)? ?: ?(.*)$")


def tools_of_source(source: str, native: Native) -> tuple[Tool, ...]:
    """Return the functions that Python source defines, with their docstrings.

    A parameter without a default is required; an annotation that names no known type is kept as
    `x-type`, and so is a default that is no literal, as `x-default`. Reserved words of Python may
    name parameters (repair `reserved_word_as_parameter`).

    Raises:
        Unreadable: `invalid_function_document`; something else than definitions of functions.
    """
    source = source.strip()
    try:
        tree = parse(source, "exec")
    except NotLiteral as error:
        source = marked(source) or ""
        try:
            tree = parse(source, "exec")
        except NotLiteral:
            raise Unreadable("invalid_function_document") from error
        native.repaired("reserved_word_as_parameter")
    assert isinstance(tree, ast.Module)
    functions = [_function(node, source) for node in tree.body]
    if not functions:
        raise Unreadable("invalid_function_document")
    return tuple(functions)


def _function(node: ast.stmt, source: str) -> Tool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        raise Unreadable("invalid_function_document")
    docstring = ast.get_docstring(node) or ""
    description, described = described_parameters(docstring)
    flat, required = _parameters(node.args, source)
    if described.keys() <= flat.keys():
        for name, text in described.items():
            flat[name]["description"] = text
    else:
        description = docstring
    return Tool(
        name=node.name, description=description, parameters=python_parameters(flat, required)
    )


def _parameters(given: ast.arguments, source: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what the signature says about each parameter, and which have no default."""
    if given.vararg or given.kwarg:
        raise Unreadable("variadic_function")
    positional = [*given.posonlyargs, *given.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
    defaults = [*missing, *given.defaults, *given.kw_defaults]
    reading = Reading(source, joins_strings=True)
    flat: dict[str, dict[str, Any]] = {}
    required = []
    for argument, default in zip([*positional, *given.kwonlyargs], defaults, strict=True):
        name = unmarked(argument.arg)
        flat[name] = about = {}
        if argument.annotation is not None:
            about["type"] = _annotation(argument.annotation)
        if default is None:
            required.append(name)
            continue
        try:
            about["default"] = reading.value(default)
        except NotLiteral:
            about["x-default"] = ast.unparse(default)
    return flat, required


def _annotation(node: ast.expr) -> str:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return str(node.value) if is_text else ast.unparse(node)  # type: ignore[attr-defined]


def described_parameters(docstring: str) -> tuple[str, dict[str, str]]:
    """Return a docstring without its section of parameters, and what that says of each.

    Where the section holds anything else than one entry per parameter, the docstring stays whole.
    """
    begin = _PARAMETERS.search(docstring)
    if begin is None:
        return docstring.strip(), {}
    body = docstring[begin.end() :]
    end = _SECTION.search(body)
    section, rest = (body[: end.start()], body[end.start() :]) if end else (body, "")
    lines = [line for line in section.split("\n") if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    described: dict[str, str] = {}
    name = ""
    for line in lines:
        match = _PARAMETER.match(line[margin:])
        if match and match[1] not in described:
            name = match[1]
            described[name] = match[2].strip()
        elif name and len(line) - len(line.lstrip()) > margin:
            described[name] += f"\n{line.strip()}"
        else:
            return docstring.strip(), {}
    return f"{docstring[: begin.start()].strip()}\n{rest.strip()}".strip(), described
