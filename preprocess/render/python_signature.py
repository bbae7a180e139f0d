"""A tool as the signature of a Python function with its docstring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from preprocess.render.schema_parts import parts_of
from preprocess.render.spans import Unfit
from preprocess.render.values import is_name, json_text, python_text

if TYPE_CHECKING:
    from preprocess.records import Tool

_TYPES: Final = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
    "null": "None",
}

_LONGEST_DEFAULT: Final = 40
"""Longer defaults stand in the docstring, in characters."""


def signature(tool: Tool) -> str:
    """Return a tool as the signature of a Python function with its docstring.

    An argument that may be left out has its default, or `...` where none is stated. Parameters
    are keyword-only where a required one follows another that is not, since their order is kept.

    Raises:
        Unfit: A name is none in Python, or a description would end the docstring.
    """
    if not all([is_name(name) for name in tool.name.split(".")]):  # noqa: C419 - see `parts_of`
        raise Unfit
    parameters, schema_rest = parts_of(tool.parameters)
    arguments, lines = [], []
    needs_star = had_default = False
    for name, is_required, word, description, rest in parameters:
        if not is_name(name):
            raise Unfit
        argument = f"{name}: {_type(word, rest)}"
        if is_required:
            needs_star |= had_default
        else:
            had_default = True
            argument = f"{argument} = {_default(rest)}"
        arguments.append(argument)
        if description or rest:
            lines.append(_line(name, description, rest))
    star = "*, " if needs_star else ""
    text = _docstring(tool.description, lines, schema_rest)
    if '"""' in text or "\\" in text or text.endswith('"'):
        raise Unfit
    head = f"def {tool.name}({star}{', '.join(arguments)}):"
    return f'{head}\n    """{text}"""' if text else f"{head} ..."


def _type(word: str | None, rest: dict[str, Any]) -> str:
    """Return the type in Python, and take out of the rest what it says."""
    if word is None:
        return "Any"
    known = _TYPES.get(word)
    if known is None:
        rest["type"] = word
        return "Any"
    if word == "array" and "items" in rest:
        items = rest["items"]
        if isinstance(items, dict) and items.keys() == {"type"} and isinstance(items["type"], str):
            inner = _TYPES.get(items["type"])
            if inner:
                del rest["items"]
                return f"list[{inner}]"
    return known


def _default(rest: dict[str, Any]) -> str:
    """Return the default of an argument that may be left out, and take it out of the rest."""
    if "default" in rest:
        default = python_text(rest["default"])
        if default is not None and len(default) <= _LONGEST_DEFAULT:
            del rest["default"]
            return default
    return "..."


def _line(name: str, description: str, rest: dict[str, Any]) -> str:
    line = f"    {name}:"
    if description:
        if "\n" in description:
            description = description.replace("\n", "\n            ")
        line = f"{line} {description}"
    return f"{line} {json_text(rest)}" if rest else line


def _docstring(description: str, lines: list[str], rest: dict[str, Any]) -> str:
    parts = [description.replace("\n", "\n    ")] if description else []
    if lines:
        parts.append("\n    ".join(["Args:", *lines]))
    if rest:
        parts.append(f"Schema: {json_text(rest)}")
    text = "\n\n    ".join(parts)
    return f"{text}\n    " if "\n" in text else text
