"""Function calls of a native record as messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.native import Unreadable
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.python_calls import parse_calls
from preprocess.records import Message, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from preprocess.readers.native import Native

_QUOTED = r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+\""""
_EXPRESSION = re.compile(rf"(?s)[A-Za-z_$][\w$.]*\s*\((?:{_QUOTED}|[^'\"])*+")
_BRACKETS = re.compile(rf"{_QUOTED}|([\[({{])|([\])}}])")
_PAIRS = {"(": ")", "[": "]", "{": "}"}


class Calls:
    """The calls of one record, numbered in their order where the source has no ids."""

    def __init__(self, native: Native) -> None:
        self._native = native
        self._num_calls = 0
        self.extras: list[Any] = []
        """Calls as the source spells them that say more than a name and arguments; for `meta`."""

    def made(self, name: str, arguments: dict[str, Any], identifier: Any = None) -> ToolCall:
        """Return one call; `identifier` is the source's own, if it has one."""
        number, self._num_calls = self._num_calls, self._num_calls + 1
        return ToolCall(
            id=identifier_of(identifier) or f"call_{number}", name=name, arguments=arguments
        )

    def of_objects(self, objects: Any) -> tuple[ToolCall, ...]:
        """Return the calls of a list of objects, or of a single one.

        An object is `{name, arguments}`, `{tool, parameters}`, or either inside `function`;
        arguments may be a string that holds an object.

        Raises:
            Unreadable: `invalid_call`; something else, or arguments that are no object.
        """
        if isinstance(objects, dict):
            objects = [objects]
        if not isinstance(objects, list):
            raise Unreadable("invalid_call")
        return tuple([self._of_object(each) for each in objects])

    def _of_object(self, given: Any) -> ToolCall:
        if not isinstance(given, dict):
            raise Unreadable("invalid_call")
        if len(given) == 2:
            name, arguments = given.get("name"), given.get("arguments")
            if type(name) is str and type(arguments) is dict:
                return self.made(name, arguments)
        inner = given.get("function")
        call = inner if isinstance(inner, dict) else given
        name = call["name"] if "name" in call else call.get("tool")
        arguments = call["arguments"] if "arguments" in call else call.get("parameters", {})
        if isinstance(arguments, str):
            arguments = loads(arguments, self._native) if arguments.strip() else {}
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise Unreadable("invalid_call")
        if not _says_no_more(given, call):
            self.extras.append(given)
        return self.made(name, arguments, given.get("id"))

    def of_text(self, text: str, tools: Sequence[Tool] = ()) -> tuple[ToolCall, ...] | None:
        """Return the calls that source spells; None for an expression that has no literal values.

        Such an expression (a variable as an argument, another language) is whole: its brackets
        and quotes are closed.

        Raises:
            Unreadable: `invalid_call_text`; neither, such as a call that breaks off.
        """
        try:
            pairs = parse_calls(text, tools)
        except Unreadable:
            if is_expression(text):
                return None
            raise
        return tuple(self.made(name, arguments) for name, arguments in pairs)


_KNOWN = frozenset(("name", "arguments", "tool", "parameters", "function", "type", "id"))


def _says_no_more(given: dict[str, Any], call: dict[str, Any]) -> bool:
    """Return whether a call is its name, its arguments, its id and the word `function`."""
    if call is not given and not given.keys() <= _OUTER:
        return False
    if identifier_of(given.get("id")) is None and given.get("id"):
        return False
    return call.keys() <= _KNOWN and given.get("type", "function") in ("function", None)


_OUTER = frozenset(("function", "type", "id"))


def identifier_of(given: Any) -> str | None:
    """Return a call's id as text, whether it is a string or a number; None where it is neither."""
    if type(given) is int:
        return str(given)
    return given if isinstance(given, str) and given else None


def is_expression(text: str) -> bool:
    """Return whether a text is one call in some language, its brackets and quotes closed."""
    text = text.strip()
    if not text.endswith(")") or not _EXPRESSION.fullmatch(text):
        return False
    opened: list[str] = []
    for match in _BRACKETS.finditer(text):
        if match[1]:
            opened.append(_PAIRS[match[1]])
        elif match[2] and (not opened or opened.pop() != match[2]):
            return False
    return not opened


def asked(question: Any) -> Message:
    """Return the turn of a user; raises `Unreadable` (`no_question`) where there is none."""
    if not isinstance(question, str) or not question.strip():
        raise Unreadable("no_question")
    return Message(role="user", content=question)


def called(calls: tuple[ToolCall, ...], content: str = "") -> Message:
    """Return the turn of an assistant that makes calls."""
    return Message(role="assistant", content=content, tool_calls=calls)


def kind_of(tools: Sequence[Tool], messages: Iterable[Message]) -> str:
    """Return what a conversation is: a trajectory where a tool answers, else what it holds."""
    turns = tuple(messages)
    if any(turn.role == "tool" for turn in turns):
        return "trajectory"
    if tools or any(turn.tool_calls for turn in turns):
        return "function_call"
    return "text"
