"""Dataset `openfunctions`: Gorilla OpenFunctions v1, v2's answers, and the first leaderboard.

A question, a function (or several) and the call as source: `question`, `function`, `model_answer`
in the test file, `Instruction`, `Functions` (documents in strings), `Output` in the training file.
The leaderboard of February 2024 has `human_eval_answer`, and accepted answers in files of their
own; it is the benchmark BFCL v1, which dataset `bfcl_v1` reads, and left out here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text
from preprocess.readers.draft import Draft, Dropped
from preprocess.readers.function_calls import Calls, asked, called, kind_of
from preprocess.readers.function_documents import Rest, tools_of
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import json_schema, rapidapi_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.records import Message, Tool

_QUESTIONS = ("question", "Instruction", "instruction")
_FUNCTIONS = ("function", "functions", "Functions")
_ANSWERS = ("model_answer", "human_eval_answer", "Output", "output")
_CALLED = ("api_call", "api_name")
_LEADERBOARD = "bfcl_v1"


def convert(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the question with its call; the leaderboard's are `bfcl_v1`'s to read."""
    for draft in drafts_of(native):
        yield Dropped(f"benchmark_{draft.benchmark}") if draft.benchmark else draft


def drafts_of(native: Native) -> Iterator[Draft]:
    """Yield the question with its call, or what was accepted as an answer."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_layout")
    question, functions = _key(value, _QUESTIONS), _key(value, _FUNCTIONS)
    if question is not None and functions is not None:
        yield _asked(value, question, functions, native)
    elif (message := _completion(value)) is not None:
        yield _answered(value, message, native)
    elif is_accepted(value):
        text = to_json_text(value)
        meta = {"possible_answer": value}
        yield Draft(kind="function_call", text=text, meta=meta, benchmark=_LEADERBOARD)
    else:
        raise Unreadable("unknown_layout")


def is_accepted(value: dict[str, Any]) -> bool:
    """Return whether a value is `{function: {argument: [accepted values]}}`.

    An argument that is an object may have its own accepted values by key.
    """
    return bool(value) and all(
        isinstance(arguments, dict)
        and all(isinstance(each, list) or is_accepted({"": each}) for each in arguments.values())
        for arguments in value.values()
    )


def _key(value: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in value), None)


def _asked(value: dict[str, Any], question: str, functions: str, native: Native) -> Draft:
    tools, rest = _tools(value[functions], native)
    answer = _key(value, _ANSWERS)
    calls = Calls(native)
    messages = [asked(value[question])]
    if answer is not None:
        messages.append(_answer(value[answer], tools, calls))
    meta = {key: value[key] for key in value if key not in (question, functions)}
    if rest:
        meta[functions] = rest
    is_leaderboard = "human_eval_answer" in value or answer is None
    return Draft(
        kind="function_call",
        tools=tools,
        messages=tuple(messages),
        meta=meta,
        benchmark=_LEADERBOARD if is_leaderboard else "",
    )


def _answer(answer: Any, tools: tuple[Tool, ...], calls: Calls) -> Message:
    """Return the turn that answers: calls, or their source where an argument is no literal."""
    text = "\n".join(answer) if _are_strings(answer) else answer
    if not isinstance(text, str) or not text.strip():
        raise Unreadable("no_answer")
    made = calls.of_text(text, tools)
    return called((), text) if made is None else called(made)


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _tools(functions: Any, native: Native) -> tuple[tuple[Tool, ...], list[Rest]]:
    """Return the tools by the names that calls use: `api_call` where it stands beside a title."""
    listed = functions if isinstance(functions, list) else [functions]
    documents = [loads(each, native) if isinstance(each, str) else each for each in listed]
    tools, rest = [], []
    for document in documents:
        (tool,), more = tools_of([_renamed(document)], _parameters)
        tools.append(tool)
        rest += more
    return tuple(tools), rest


def _renamed(document: Any) -> Any:
    """Return a document under the name that is called, its title as `title`."""
    name = _key(document, _CALLED) if isinstance(document, dict) else None
    if name is None or not isinstance(document[name], str) or not document[name]:
        return document
    kept = {key: document[key] for key in document if key not in ("name", name)}
    title = {"title": document["name"]} if "name" in document else {}
    return {"name": document[name], **kept, **title}


def _parameters(given: Any) -> dict[str, Any]:
    """Return the schema of parameters; the training file lists them as `{name, description}`."""
    if isinstance(given, list):
        listed = rapidapi_parameters([], given)
        del listed["required"]  # the list does not say
        return listed
    return json_schema(given)


def _completion(value: dict[str, Any]) -> dict[str, Any] | None:
    """Return the message of a v2 answer: the value itself, in `message`, or in `choices`."""
    choices = value.get("choices")
    if isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict):
        value = choices[0]
    message = value.get("message", value)
    if isinstance(message, dict) and "function_call" in message:
        return message
    return None


def _answered(value: dict[str, Any], message: dict[str, Any], native: Native) -> Draft:
    """Return an answer of the v2 model: its calls as objects, and the same as source."""
    calls = Calls(native)
    made = calls.of_objects(message["function_call"] or [])
    content = message.get("content")
    if not made and not isinstance(content, str):
        raise Unreadable("no_answer")
    turn = called(made) if made else called((), str(content))
    kept = {key: value[key] for key in value if key not in ("function_call", "message", "choices")}
    meta = {**kept, "message": {key: message[key] for key in message if key != "function_call"}}
    if message is value:
        meta = {key: value[key] for key in value if key != "function_call"}
    elif "choices" in value:
        meta["choices"] = value["choices"]
        del meta["message"]
    return Draft(kind=kind_of((), (turn,)), messages=(turn,), meta=meta)


READER = Reader(
    name="openfunctions",
    kind="function_call",
    license="Apache-2.0",
    terms="the leaderboard's files beside it are the benchmark BFCL v1, and left out",
    url="https://github.com/ShishirPatil/gorilla/tree/main/openfunctions",
    released="2023-11 to 2024-02",
    published="no size stated; training data of v2 was never published",
    layout="gorilla_openfunctions_v1_*.json, possible_answer/*.json: an array, or JSON Lines",
    unit="a question with its functions and call",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
