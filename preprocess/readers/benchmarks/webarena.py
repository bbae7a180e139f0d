"""Benchmark `webarena`: tasks for a browser, each a configuration with how it is graded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.readers.turns import request

if TYPE_CHECKING:
    from collections.abc import Iterator


def convert(native: Native) -> Iterator[Draft]:
    """Yield the draft of a task; its grading and reference actions stay in `meta`."""
    value = native.value
    if not isinstance(value, dict) or not isinstance(value.get("intent"), str):
        raise Unreadable("unknown_layout")
    messages = (request(value["intent"]),)
    meta = {name: value[name] for name in value if name != "intent"}
    yield Draft(kind="function_call", messages=messages, meta=meta)


READER = Reader(
    name="webarena",
    kind="function_call",
    license="Apache-2.0",
    terms="a benchmark: for decontamination and evaluation, never for training",
    url="https://github.com/web-arena-x/webarena",
    released="2023-07",
    published="812 tasks",
    layout="config_files/**/*.json",
    unit="a task",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
    is_benchmark=True,
)
