"""How each template writes a call, and reads it again.

Every writer begins its text with a line break, and its `mark` holds one: the JSON of values holds
none, so that in a text the mark stands once for each call that was written, and else only where the
data itself holds it. Who renders counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from preprocess.exact_json import DECODER
from preprocess.readers.understand.call_source import Call, calls_in
from preprocess.readers.understand.literals import NotLiteral
from preprocess.records import ToolCall
from preprocess.render.spans import Unfit
from preprocess.render.values import is_name, is_plain, json_text, python_text

_LONGEST_SOURCE: Final = 1 << 20
"""Longer calls are not written as Python, in characters."""


@dataclass(frozen=True, slots=True)
class CallText:
    """How a template writes calls."""

    mark: str
    """Stands once in the text of each call, and overlaps with no other place of itself."""

    write: Callable[[ToolCall, str], str]
    """Takes a call, and its id where a reader of the text could not know it, else nothing."""

    read: Callable[[str], list[Call]]
    """Returns the calls in a text, in order."""


def _json_fields(call: ToolCall, identifier: str) -> str:
    fields: dict[str, object] = {"name": call.name, "arguments": call.arguments}
    if identifier:
        fields["id"] = identifier
    return json_text(fields)


def _of_json(line: str) -> Call:
    fields = DECODER.decode(line)
    return fields["name"], fields["arguments"]


def _write_bare(call: ToolCall, identifier: str) -> str:
    return f"\n{_json_fields(call, identifier)}"


_BARE: Final = re.compile(r'\n(\{"name": .*)')


def _read_bare(text: str) -> list[Call]:
    return [_of_json(line) for line in _BARE.findall(text)]


def _write_tagged(call: ToolCall, identifier: str) -> str:
    return f"\n<tool_call>\n{_json_fields(call, identifier)}\n</tool_call>"


_TAGGED: Final = re.compile(r"<tool_call>\n(\{.*)\n</tool_call>")


def _read_tagged(text: str) -> list[Call]:
    return [_of_json(line) for line in _TAGGED.findall(text)]


def _write_python(call: ToolCall, identifier: str) -> str:
    if not all(is_name(part) for part in call.name.split(".")):
        raise Unfit
    arguments = []
    for name, value in call.arguments.items():
        literal = python_text(value if is_name(name) else {name: value})
        if literal is None:
            raise Unfit
        arguments.append(f"{name}={literal}" if is_name(name) else f"**{literal}")
    text = f"{call.name}({', '.join(arguments)})"
    if len(text) > _LONGEST_SOURCE:
        raise Unfit
    return f"\n>>> {text}  # {plain(identifier)}" if identifier else f"\n>>> {text}"


_PYTHON: Final = re.compile(r"\n>>> (.*)")


def _read_python(text: str) -> list[Call]:
    return [call for line in _PYTHON.findall(text) for call in _of_source(line)]


def _of_source(line: str) -> list[Call]:
    try:
        return calls_in(line, lambda _: ())
    except NotLiteral as error:
        raise ValueError(f"no call: {line[:200]!r}") from error


def _write_action(call: ToolCall, identifier: str) -> str:
    lines = f"\nAction: {plain(call.name)}\nAction Input: {json_text(call.arguments)}"
    return f"{lines}\nCall ID: {plain(identifier)}" if identifier else lines


_ACTION: Final = re.compile(r"\nAction: (.*)\nAction Input: (.*)")


def _read_action(text: str) -> list[Call]:
    return [(name, DECODER.decode(arguments)) for name, arguments in _ACTION.findall(text)]


def _write_fenced(call: ToolCall, identifier: str) -> str:
    shown = f" ({plain(identifier)})" if identifier else ""
    return f"\n\n**Call** `{plain(call.name)}`{shown}\n\n```json\n{json_text(call.arguments)}\n```"


_FENCED: Final = re.compile(r"\n\*\*Call\*\* `([^`\n]+)`.*\n\n```json\n(.*)\n```")


def _read_fenced(text: str) -> list[Call]:
    return [(name, DECODER.decode(arguments)) for name, arguments in _FENCED.findall(text)]


def _write_element(call: ToolCall, identifier: str) -> str:
    shown = f' id="{_quoted(identifier)}"' if identifier else ""
    lines = [f'\n<function name="{_quoted(call.name)}"{shown}>']
    for name, value in call.arguments.items():
        lines.append(f'<parameter name="{_quoted(name)}">{json_text(value)}</parameter>')
    return "\n".join([*lines, "</function>"])


_ELEMENT: Final = re.compile(
    r'\n<function name="([^"\n]+)".*>\n((?:<parameter name="[^"\n]+">.*</parameter>\n)*)</function>'
)
_PARAMETER: Final = re.compile(r'<parameter name="([^"\n]+)">(.*)</parameter>\n')


def _read_element(text: str) -> list[Call]:
    return [(name, _of_lines(lines)) for name, lines in _ELEMENT.findall(text)]


def _of_lines(lines: str) -> dict[str, object]:
    return {name: DECODER.decode(value) for name, value in _PARAMETER.findall(lines)}


def _quoted(name: str) -> str:
    if '"' in plain(name):
        raise Unfit
    return name


def plain(name: str) -> str:
    """Return a name or an id that stands as it is.

    Raises:
        Unfit: It would not end where it ends.
    """
    if not is_plain(name):
        raise Unfit
    return name


BARE: Final = CallText('\n{"name": ', _write_bare, _read_bare)
TAGGED: Final = CallText("<tool_call>\n", _write_tagged, _read_tagged)
PYTHON: Final = CallText("\n>>> ", _write_python, _read_python)
ACTION: Final = CallText("\nAction Input: ", _write_action, _read_action)
FENCED: Final = CallText("\n**Call** `", _write_fenced, _read_fenced)
ELEMENT: Final = CallText('\n<function name="', _write_element, _read_element)
