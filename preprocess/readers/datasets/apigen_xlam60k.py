"""Dataset `apigen_xlam60k`: APIGen's xlam-function-calling-60k.

A request, its tools and the calls that answer it; tools and answers are JSON inside strings. The
parameters of a tool are a flat map whose types are words of Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.draft import Draft
from preprocess.readers.function_calls import Calls, asked, called
from preprocess.readers.function_documents import tools_of
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import python_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator


_FIELDS = frozenset(("query", "answers", "tools"))


def convert(native: Native) -> Iterator[Draft]:
    """Yield the request with its calls."""
    value = native.value
    if not isinstance(value, dict) or not (
        "query" in value and "answers" in value and "tools" in value
    ):
        raise Unreadable("unknown_layout")
    tools, rest = tools_of(_inner(value["tools"], native), python_parameters)
    calls = Calls(native)
    answers = calls.of_objects(_inner(value["answers"], native))
    messages = [asked(value["query"])]
    meta = {key: value[key] for key in value if key not in _FIELDS}
    if answers:
        messages.append(called(answers))
    else:
        meta["answers"] = value["answers"]
    if rest:
        meta["tools"] = rest
    if calls.extras:
        meta["answers"] = calls.extras
    yield Draft(kind="function_call", tools=tools, messages=tuple(messages), meta=meta)


def _inner(value: Any, native: Native) -> Any:
    return loads(value, native) if isinstance(value, str) else value


READER = Reader(
    name="apigen_xlam60k",
    kind="function_call",
    license="CC-BY-4.0",
    terms="name Salesforce as the source",
    url="https://huggingface.co/datasets/Salesforce/xlam-function-calling-60k",
    released="2024-06",
    published="60,000 requests, 3,673 APIs",
    layout="xlam_function_calling_60k.json: an array",
    unit="a request with its tools and calls",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
    has_common_form=True,
)
