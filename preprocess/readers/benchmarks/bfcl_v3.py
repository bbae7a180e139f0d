"""Benchmark `bfcl_v3`: the Berkeley Function-Calling Leaderboard, versions 1 to 3.

Questions, accepted answers and the functions of the multi-turn categories stand in files of
their own, each read by itself; a record keeps the `id` that joins them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.exact_json import to_json_text
from preprocess.readers.answered_turns import Turns
from preprocess.readers.datasets.openfunctions import is_accepted
from preprocess.readers.draft import Draft, note, note_all
from preprocess.readers.function_calls import Calls, called
from preprocess.readers.function_documents import tools_of
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.records import Message, Tool


_TURN = frozenset(("role", "content"))


def convert(native: Native) -> Iterator[Draft]:
    """Yield the question, the accepted answer, or the function."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_layout")
    if "question" in value:
        yield _question(value, native)
    elif "ground_truth" in value:
        text = _lines(value["ground_truth"])
        yield Draft(kind="function_call", text=text, meta=value)
    elif {"name", "parameters"} <= value.keys():
        tools, rest = tools_of([value])
        meta = {key: each for key, each in rest[0].items() if key != "name"} if rest else {}
        yield Draft(kind="tool_documentation", tools=tools, meta=meta)
    elif is_accepted(value):  # of version 1, without an id
        yield Draft(kind="function_call", text=to_json_text(value), meta={"ground_truth": [value]})
    else:
        raise Unreadable("unknown_layout")


def _question(value: dict[str, Any], native: Native) -> Draft:
    turns, sizes = Turns(Calls(native)), []
    for turn in _turns(value["question"]):
        sizes.append(len(turn))
        for message in turn:
            _say(message, turns)
    tools, rest = tools_of(_functions(value, native), _parameters)
    meta = {key: value[key] for key in value if key not in ("question", "function")}
    if sizes != [sum(sizes)]:
        note(meta, "turns", sizes)
    if rest:
        meta["function"] = rest
    note_all(meta, turns.notes())
    answer = _executed(value.get("ground_truth"), turns.calls, tools)
    spoken = turns.finished()
    messages = spoken if answer is None else (*spoken, answer)
    return Draft(kind="function_call", tools=tools, messages=messages, meta=meta)


def _turns(question: Any) -> list[list[Any]]:
    """Return the messages of each turn: nested since version 3, flat or a string before."""
    if isinstance(question, str):
        return [[{"role": "user", "content": question}]]
    if not isinstance(question, list) or not question:
        raise Unreadable("no_question")
    if all(isinstance(turn, list) for turn in question):
        return question
    return [question]


def _say(message: Any, turns: Turns) -> None:
    if not isinstance(message, dict) or not isinstance(message.get("content"), str):
        raise Unreadable("invalid_turn")
    turns.keep(message, _TURN)
    turns.said(str(message.get("role")), message["content"])


def _functions(value: dict[str, Any], native: Native) -> Any:
    functions = value.get("function", [])
    return loads(functions, native) if isinstance(functions, str) else functions


def _parameters(given: Any) -> dict[str, Any]:
    """Return the schema; a loader for tables leaves `properties` as a JSON string."""
    if isinstance(given, dict) and isinstance(given.get("properties"), str):
        try:
            given = {**given, "properties": msgspec.json.decode(given["properties"])}
        except msgspec.DecodeError as error:
            raise Unreadable("invalid_parameters") from error
    return json_schema(given)


def _executed(truth: Any, calls: Calls, tools: tuple[Tool, ...]) -> Message | None:
    """Return the calls that stand beside the question in the executable categories."""
    if not isinstance(truth, list) or not all(isinstance(each, str) for each in truth):
        return None
    try:
        made = calls.of_text("\n".join(truth), tools)
    except Unreadable:
        return None  # the question stands all the same, and its answer in `meta`
    return called(made) if made else None


def _lines(truth: Any) -> str:
    """Return accepted answers as text: source of calls one a line, objects as JSON."""
    if not isinstance(truth, list) or not truth:
        raise Unreadable("no_answer")
    lines: list[str] = []
    for each in truth:
        group = each if isinstance(each, list) else [each]
        lines += [call if isinstance(call, str) else to_json_text(call) for call in group]
    if not any(line.strip() for line in lines):
        raise Unreadable("no_answer")
    return "\n".join(lines)


READER = Reader(
    name="bfcl_v3",
    kind="function_call",
    license="Apache-2.0",
    terms="for evaluation and decontamination only",
    url="https://github.com/ShishirPatil/gorilla/tree/main/berkeley-function-call-leaderboard",
    released="2024-09",
    published="2,251 live questions (v2), 1,000 of several turns (v3)",
    layout="BFCL_v3_*.json, possible_answer/*.json, multi_turn_func_doc/*.json: JSON Lines",
    unit="a question, an accepted answer, or a function",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
    is_benchmark=True,
)
