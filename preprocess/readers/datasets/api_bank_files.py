"""What API-Bank has beside dialogues: the table of APIs, scenes of level 3, fine-tuning records."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.datasets.api_bank_dialogues import schema_of
from preprocess.readers.draft import Draft
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.understand.literals import NotLiteral, Reading, parse
from preprocess.readers.understand.python_calls import parse_calls
from preprocess.records import Message, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME, _INFO, _SIGNATURE = "类名", "api_info", "input_parameters"
"""Columns of the class's name, of the documentation and of the signature."""

_UTTERANCE = re.compile(r"^First Utter[ae]nce:[ \t]*(\S.*)$", re.MULTILINE)
_CALLS = re.compile(r"^[ \t]*(?:-[ \t]*)?(?:GT )?API Calls?:[ \t]*$", re.MULTILINE)
_CALL = re.compile(r"([A-Za-z_]\w*\(.*\))[ \t]*(?::.*)?")
"""A call, and what may be said of it in the same line."""

_REQUEST = "API-Request:"
_TUNED = ("expected_output", "output")
"""What is to be answered; where both are there, the second is what a model answered."""


def convert_api(native: Native) -> Iterator[Draft]:
    """Yield the document of a row of `all_apis.csv`; all its cells stay in `meta`."""
    value = native.value
    name, info = value.get(_NAME), value.get(_INFO)
    if not name or info is None:
        raise Unreadable("unknown_layout")
    found = _assignments(info)
    if found is None:  # a row has a lone dot there
        if _SIGNATURE not in value:
            raise Unreadable("invalid_api_info")
        native.repaired("signature_for_documentation")
        found = {"input_parameters": _signature(value[_SIGNATURE])}
    description, parameters = found.get("description", ""), found.get("input_parameters")
    if parameters in (None, [None]):
        parameters = {}  # `None` and `{None}`: an API without parameters
    if not isinstance(description, str) or not isinstance(parameters, dict):
        raise Unreadable("invalid_api_info")
    tool = Tool(name=name, description=description, parameters=schema_of(parameters))
    yield Draft(kind="tool_documentation", tools=(tool,), meta=value)


def _assignments(source: str) -> dict[str, Any] | None:
    """Return the values that Python source gives to names; None where it is anything else."""
    try:
        tree = parse(source, "exec")
        reading = Reading(source, joins_strings=True)
        found: dict[str, Any] = {}
        for statement in tree.body:  # type: ignore[attr-defined]
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in found:
                    found[name] = reading.value(value)
                case _:
                    return None
    except (NotLiteral, RecursionError):
        return None
    return found


def _signature(signature: str) -> dict[str, Any]:
    """Return the parameters of `(name: type, ...)`."""
    try:
        tree = parse(f"def f{signature}: pass", "exec")
    except NotLiteral as error:
        raise Unreadable("invalid_api_info") from error
    match tree:
        case ast.Module(body=[ast.FunctionDef(args=given)]):
            return {
                each.arg: {"type": ast.unparse(each.annotation)} if each.annotation else {}
                for each in given.args
            }
    raise Unreadable("invalid_api_info")


def convert_scene(native: Native) -> Iterator[Draft]:
    """Yield a scene as its text, with the request and the calls that solve it."""
    text = native.value
    asked = _UTTERANCE.search(text)
    if asked is None:
        raise Unreadable("scene_without_request")
    messages = [Message(role="user", content=asked[1].strip())]
    if calls := _scene_calls(text):
        messages.append(Message(role="assistant", content="", tool_calls=calls))
    yield Draft(kind="function_call", text=text, messages=tuple(messages))


def _scene_calls(text: str) -> tuple[ToolCall, ...]:
    """Return the calls at the end of a scene; none unless every line there is one."""
    heads = list(_CALLS.finditer(text))
    lines = text[heads[-1].end() :].split("\n") if heads else []
    spelled = [_CALL.fullmatch(line.strip()) for line in lines if line.strip()]
    try:
        calls = [call for each in spelled for call in parse_calls(each[1] if each else "")]
    except Unreadable:
        return ()
    return _numbered(calls)


def _numbered(calls: list[tuple[str, dict[str, Any]]]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(id=f"call_{number}", name=name, arguments=arguments)
        for number, (name, arguments) in enumerate(calls)
    )


def convert_tuning(native: Native) -> Draft:
    """Return a fine-tuning record: a dialogue so far in the request, and the next call or words."""
    value = native.value
    given, answer = value.get("input", ""), next((each for each in _TUNED if each in value), None)
    if not isinstance(given, str) or not (answer and isinstance(value[answer], str)):
        raise Unreadable("unknown_layout")
    asked = f"{value['instruction']}\n{given}" if given else value["instruction"]
    said = value[answer]
    if not said.strip():
        raise Unreadable("no_answer")
    is_request = said.strip().startswith(_REQUEST)
    calls = _requested(said.strip().removeprefix(_REQUEST)) if is_request else ()
    reply = Message(role="assistant", content="" if calls else said, tool_calls=calls)
    used = {"instruction", "input"} if calls else {"instruction", "input", answer}
    return Draft(
        kind="function_call",
        messages=(Message(role="user", content=asked), reply),
        meta={name: value[name] for name in value if name not in used},
    )


def _requested(text: str) -> tuple[ToolCall, ...]:
    """Return the calls of `[Name(key='value')]`; none where it is not certain."""
    try:
        return _numbered(parse_calls(text))
    except Unreadable:
        return ()
