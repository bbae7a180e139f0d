"""A tool as the signature of a Python function with its docstring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from preprocess.render.schema_parts import Parameter, parts_of
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
    parts = parts_of(tool.parameters)
    for name in tool.name.split("."):
        _check(name)
    arguments, lines = [], []
    needs_star = had_default = False
    for each in parts.parameters:
        _check(each.name)
        needs_star |= had_default and each.is_required
        had_default |= not each.is_required
        arguments.append(_argument(each))
        if each.description is not None or each.rest:
            lines.append(_line(each))
    star = "*, " if needs_star else ""
    text = _docstring(tool.description, lines, parts.rest)
    if '"""' in text or "\\" in text or text.endswith('"'):
        raise Unfit
    head = f"def {tool.name}({star}{', '.join(arguments)}):"
    return f'{head}\n    """{text}"""' if text else f"{head} ..."


def _check(name: str) -> None:
    if not is_name(name):
        raise Unfit


def _argument(parameter: Parameter) -> str:
    """Write one parameter, and take out of its rest what the signature says."""
    text = f"{parameter.name}: {_type(parameter)}"
    if parameter.is_required:
        return text
    if "default" in parameter.rest:
        default = python_text(parameter.rest["default"])
        if default is not None and len(default) <= _LONGEST_DEFAULT:
            del parameter.rest["default"]
            return f"{text} = {default}"
    return f"{text} = ..."


def _type(parameter: Parameter) -> str:
    word = parameter.type
    if word is None:
        return "Any"
    if word not in _TYPES:
        parameter.rest = {"type": word, **parameter.rest}
        return "Any"
    items = parameter.rest.get("items")
    if word == "array" and isinstance(items, dict) and items.keys() == {"type"}:
        inner = _of_items(items["type"])
        if inner:
            del parameter.rest["items"]
            return f"list[{inner}]"
    return _TYPES[word]


def _of_items(word: Any) -> str | None:
    return _TYPES.get(word) if isinstance(word, str) else None


def _line(parameter: Parameter) -> str:
    words = [parameter.name + ":"]
    if parameter.description:
        words.append(parameter.description.replace("\n", "\n            "))
    if parameter.rest:
        words.append(json_text(parameter.rest))
    return "    " + " ".join(words)


def _docstring(description: str, lines: list[str], rest: dict[str, Any]) -> str:
    parts = [description.replace("\n", "\n    ")] if description else []
    if lines:
        parts.append("\n    ".join(["Args:", *lines]))
    if rest:
        parts.append(f"Schema: {json_text(rest)}")
    text = "\n\n    ".join(parts)
    return f"{text}\n    " if "\n" in text else text
