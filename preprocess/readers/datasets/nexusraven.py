"""Dataset `nexusraven`: the evaluation queries of NexusRaven.

Layouts: `query` and `reference`, a call as Python source without declared functions; ToolLLM's
queries, whose `context` is Python source of ten functions; ToolAlpaca's, one query in each of
`turns_1` to `turns_5`, whose `docstring` declares functions between markers; and the model's
prompt with its answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.draft import Draft
from preprocess.readers.function_calls import Calls, asked, called
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.python_functions import tools_of_source
from preprocess.readers.reader import Reader
from preprocess.readers.understand.json_text import loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.records import Message, Tool, ToolCall

_TURN = re.compile(r"turns_\d+")
_OPTION = re.compile(
    r"(?s)\s*<func_start>(def [^<]*)<func_end>"
    r'\s*<docstring_start>\s*"""(.*)"""\s*<docstring_end>\s*'
)
_FUNCTION = re.compile(r'(?s)\s*((?:async )?def .*""")\s*')
_QUERY, _END = "User Query:", "<human_end>"
_PLEASE = "Please pick a function from the above options"
_ANSWERS = ("answer", "response", "output", "completion")


def convert(native: Native) -> Iterator[Draft]:
    """Yield the query with its call; of ToolAlpaca's, one for each turn that is not empty."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_layout")
    if "reference" in value and "query" in value:
        yield _draft(native, value, "query", "reference", ())
    elif "context" in value and "Output" in value:
        yield _draft(native, value, "Input", "Output", _context(value["context"], native))
    elif value and all(_TURN.fullmatch(key) for key in value):
        yield from _several(value, native)
    elif isinstance(value.get("prompt"), str):
        yield _prompt(value, native)
    else:
        raise Unreadable("unknown_layout")


def _draft(
    native: Native, value: dict[str, Any], query: str, answer: str, tools: tuple[Tool, ...]
) -> Draft:
    """Return a query with the call that answers it, whose source stays in `meta`."""
    messages = (asked(value.get(query)), _answer(value[answer], tools, native))
    meta = {key: value[key] for key in value if key != query}
    return Draft(kind="function_call", tools=tools, messages=messages, meta=meta)


def _answer(text: Any, tools: tuple[Tool, ...], native: Native) -> Message:
    if not isinstance(text, str) or not text.strip():
        raise Unreadable("no_answer")
    made = Calls(native).of_text(text, tools)
    return called((), text) if made is None else called(made)


def _context(context: Any, native: Native) -> tuple[Tool, ...]:
    """Return the functions that each string of a list defines."""
    if not isinstance(context, list) or not all(isinstance(each, str) for each in context):
        raise Unreadable("invalid_function_document")
    return tuple(tool for source in context for tool in tools_of_source(source, native))


def _several(value: dict[str, Any], native: Native) -> Iterator[Draft]:
    """Yield a draft for each turn; one whose fields are all null does not exist."""
    found = False
    for part, turn in value.items():
        if turn is None or (isinstance(turn, dict) and not any(turn.values())):
            continue
        if not isinstance(turn, dict) or not isinstance(turn.get("golden_answer"), str):
            raise Unreadable("unknown_layout")
        tools = _options(turn.get("docstring"), native)
        calls = Calls(native)
        made: list[ToolCall] = []
        for text in _strings(loads(turn["golden_answer"], native)):
            made += calls.of_text(text, tools) or _refuse()
        meta = {key: turn[key] for key in turn if key != "instruction"}
        turns = (asked(turn.get("instruction")), called(tuple(made)))
        yield Draft(kind="function_call", part=part, tools=tools, messages=turns, meta=meta)
        found = True
    if not found:
        raise Unreadable("no_question")


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Unreadable("no_answer")
    return value


def _refuse() -> list[Any]:
    raise Unreadable("invalid_call_text")


def _options(text: Any, native: Native) -> tuple[Tool, ...]:
    """Return the functions that are declared between markers; nothing else may stand there."""
    if not isinstance(text, str):
        raise Unreadable("invalid_function_document")
    before, *options = text.split("OPTION:")
    matches = [_OPTION.fullmatch(option) for option in options]
    if before.strip():
        raise Unreadable("invalid_function_document")
    return tuple(_option(match, native) for match in matches)


def _option(match: re.Match[str] | None, native: Native) -> Tool:
    if match is None:
        raise Unreadable("invalid_function_document")
    quoted = match[2].replace("\\", "\\\\")
    (tool,) = tools_of_source(f'{match[1]}:\n    """{_indented(quoted)}"""', native)
    return tool


def _indented(docstring: str) -> str:
    """Return a docstring at the depth of a body, so that its own margin is what Python removes."""
    return docstring.replace("\n", "\n    ")


def _prompt(value: dict[str, Any], native: Native) -> Draft:
    """Return a prompt of the model, its answer, and what both say."""
    prompt = value["prompt"]
    declared, found, question = prompt.partition(_QUERY)
    answer = next((name for name in _ANSWERS if isinstance(value.get(name), str)), None)
    if not found or _END not in question:
        raise Unreadable("unknown_prompt")
    tools = _declared(declared, native)
    messages = [asked(_last_question(question.partition(_END)[0]))]
    meta = {key: value[key] for key in value if key not in ("prompt", answer)}
    text = prompt
    if answer is not None:
        text += value[answer]
        call = re.sub(r"^\s*Call:\s*", "", value[answer]).split("<bot_end>")[0].strip()
        messages.append(_answer(call, tools, native))
    return Draft(kind="function_call", tools=tools, messages=tuple(messages), text=text, meta=meta)


def _last_question(text: str) -> str:
    """Return the question that is to be answered, without examples before and orders behind."""
    return text.rpartition("Question: ")[2].partition(_PLEASE)[0].strip()


def _declared(text: str, native: Native) -> tuple[Tool, ...]:
    """Return the functions before a query, in the layout of either version of the model."""
    if "OPTION:" in text:
        return _options(text[text.index("OPTION:") :], native)
    sources = text.split("Function:\n")[1:]
    return tuple(_defined(_FUNCTION.fullmatch(source), native) for source in sources)


def _defined(match: re.Match[str] | None, native: Native) -> Tool:
    """Return the function of a definition whose docstring need not be indented."""
    if match is None:
        raise Unreadable("invalid_function_document")
    head, quotes, body = match[1].partition('"""')
    (tool,) = tools_of_source(f"{head.rstrip()}\n    {quotes}{_indented(body)}", native)
    return tool


READER = Reader(
    name="nexusraven",
    kind="function_call",
    license="CC-BY-NC-4.0",
    terms="not for commercial use",
    url="https://github.com/nexusflowai/NexusRaven",
    released="2023-09",
    published="339 queries",
    layout="raven/data/resources/*_queries.json: arrays",
    unit="a query, or up to five of them",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
