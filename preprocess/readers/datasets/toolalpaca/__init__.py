"""Dataset `toolalpaca`: APIs described by models, requests to them, and simulated conversations.

Three shapes: an API with its requests (an element of an array), the list of public APIs that it all
began with, and evaluations of a model's solutions by another model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.datasets.toolalpaca.apis import convert_api
from preprocess.readers.draft import Draft, Dropped
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.readers.turns import plain_turns
from preprocess.records import Message, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTENT = ("input", "output")


def convert(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the drafts of one native record.

    Raises:
        Unreadable: `unknown_shape`, or what is wrong in a known one.
    """
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_shape")
    if "Documentation" in value or "NLDocumentation" in value:
        return convert_api(native)
    if isinstance(value.get("entries"), list):
        return _public_apis(value)
    if value and all(isinstance(each, list) for key, each in value.items() if key != "statistics"):
        return _evaluations(value)
    raise Unreadable("unknown_shape")


def _public_apis(value: dict[str, Any]) -> Iterator[Draft | Dropped]:
    """Yield each API of the list: what it is, how it is reached, where it is described."""
    rest = {key: each for key, each in value.items() if key != "entries"}
    if not value["entries"]:
        yield Dropped("no_apis")
    for number, entry in enumerate(value["entries"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("API"), str):
            raise Unreadable("invalid_entry")
        lines = [f"{key}: {_word(each)}" for key, each in entry.items() if each not in ("", None)]
        link = entry.get("Link")
        yield Draft(
            kind="tool_documentation",
            text="\n".join(lines),
            meta={**rest, **entry},
            part=str(number),
            url=link if isinstance(link, str) and link.startswith("http") else None,
        )


def _word(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _evaluations(value: dict[str, Any]) -> Iterator[Draft | Dropped]:
    """Yield each solution with its evaluation; those that failed have no text at all."""
    for api, evaluations in value.items():
        if api == "statistics":
            yield Dropped("statistics")
            continue
        for number, each in enumerate(evaluations):
            if not isinstance(each, dict) or not isinstance(each.get("output"), str):
                raise Unreadable("invalid_evaluation")
            if not each.get("input") and not each["output"].strip():
                yield Dropped("empty_evaluation")
                continue
            told = plain_turns(each.get("input"))
            said = Message(role="assistant", content=each["output"])
            meta = {"api": api, **{key: each[key] for key in each if key not in _CONTENT}}
            if told.fields:
                meta["input_fields"] = told.fields
            part = portable_path(f"{api}/{number}")
            messages = (*told.messages, said)
            yield Draft(kind="trajectory", messages=messages, meta=meta, part=part)


READER = Reader(
    name="toolalpaca",
    kind="trajectory",
    license="Apache-2.0",
    url="https://github.com/tangqiaoyu/ToolAlpaca",
    released="2023-06",
    published="3.9k instances from more than 400 APIs",
    layout="data/{train_data,eval_*,validation_data,public_apis}.json, evalution_outputs/*.json",
    unit="an API with its requests; else a file",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
