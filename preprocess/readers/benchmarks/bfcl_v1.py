"""Benchmark `bfcl_v1`: the Berkeley leaderboard of February 2024, as it lies beside OpenFunctions.

Questions with `human_eval_answer`, and accepted answers in files of their own. What else is
among the files, OpenFunctions itself, is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.readers.datasets.openfunctions import drafts_of
from preprocess.readers.draft import Draft, Dropped
from preprocess.readers.names import Named
from preprocess.readers.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.readers.native import Native


def convert(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the question with its functions, or what was accepted as an answer."""
    for draft in drafts_of(native):
        yield draft if draft.benchmark else Dropped("not_of_the_benchmark")


READER = Reader(
    name="bfcl_v1",
    kind="function_call",
    license="Apache-2.0",
    url="https://github.com/ShishirPatil/gorilla/tree/main/berkeley-function-call-leaderboard",
    released="2024-02",
    published="2,000 questions",
    layout="gorilla_openfunctions_v1_test_*.json, possible_answer/*.json: JSON Lines or an array",
    unit="a question with its functions, or its accepted answers",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
    is_benchmark=True,
)
