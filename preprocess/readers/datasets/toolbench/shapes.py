"""Which shape a native record of ToolBench has; StableToolBench shares them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.datasets.toolbench.answers import convert_answer
from preprocess.readers.datasets.toolbench.documents import convert_document, convert_responses
from preprocess.readers.datasets.toolbench.requests import convert_request
from preprocess.readers.datasets.toolbench.results import convert_results
from preprocess.readers.datasets.toolbench.tuning import convert_tuning
from preprocess.readers.draft import Draft, Dropped
from preprocess.readers.native import Native, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator


def convert(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the drafts of one native record.

    Raises:
        Unreadable: `unknown_shape`, or what is wrong in a known one.
    """
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_shape")
    if "answer_generation" in value:
        return convert_answer(native)
    if "conversations" in value:
        return convert_tuning(native)
    if "query" in value:
        return convert_request(native)
    if "api_list" in value:
        if is_document(value):
            return convert_document(native)
        return convert_responses(native)
    if value and all(isinstance(each, dict) and "answer" in each for each in value.values()):
        return convert_results(native)
    if value and all(isinstance(each, int) for each in value.values()):
        return iter((Dropped("index"),))  # which queries a split has
    raise Unreadable("unknown_shape")


def is_document(value: dict[str, Any]) -> bool:
    """Return whether a list of APIs documents them; else it has the shapes of their responses."""
    if "tool_name" in value or "tool_description" in value or "name" in value:
        return True
    apis = value["api_list"]
    return isinstance(apis, list) and any(
        isinstance(api, dict) and ("required_parameters" in api or "method" in api) for api in apis
    )
