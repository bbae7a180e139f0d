"""Dataset `api_bank`: dialogues with calls, scenes, and a table of the APIs.

A file of dialogue is one record: turns of `User`, `AI` and `API` a line. An API's turn is a call
and its answer at once. Scenes of level 3 are text. `all_apis.csv` has Chinese names of columns, and
the documentation as Python assignments in a cell. Fine-tuning files have `instruction`, `input` and
`output`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.csv_rows import read_csv
from preprocess.readers.datasets.api_bank_dialogues import convert_dialogue
from preprocess.readers.datasets.api_bank_files import convert_api, convert_scene, convert_tuning
from preprocess.readers.draft import Draft, Dropped
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, read_json
from preprocess.readers.reader import Options, Reader
from preprocess.readers.whole import head_of, read_together, read_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.records import Outcome

_DIALOGUE = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*"role"\s*:|$)')
_is_table, _is_text, _is_lines = Named(".csv"), Named(".txt"), Named(".jsonl")


def read_file(path: Path, relative: str, _options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of a dialogue or scene, or of each row or element."""
    if _is_table(path):
        return read_csv(READER, path, relative, limit_bytes, convert_api)
    if _is_text(path):
        return read_whole(READER, path, relative, limit_bytes, convert_scene)
    if _is_lines(path) and _DIALOGUE.match(head_of(path)):
        return read_together(READER, path, relative, limit_bytes, convert_dialogue)
    return read_json(READER, path, relative, limit_bytes, convert)


def convert(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the draft of a fine-tuning record; what the environment holds is left out."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("no_object")
    if isinstance(value.get("instruction"), str):
        yield convert_tuning(native)
    elif value and _is_state(value):
        # The databases that the APIs read and write, and the words of their errors.
        yield Dropped("state_of_the_environment")
    else:
        raise Unreadable("unknown_layout")


def _is_state(value: dict[str, Any]) -> bool:
    """Return whether a value maps ids or addresses to rows, as databases and errors do."""
    return all(
        isinstance(each, dict | list) or key.startswith(("http://", "https://"))
        for key, each in value.items()
    )


READER = Reader(
    name="api_bank",
    kind="trajectory",
    license="MIT",
    terms="MIT by its repository, Apache-2.0 by the licence file beside the data",
    url="https://github.com/AlibabaResearch/DAMO-ConvAI/tree/main/api-bank",
    released="2023-04",
    published="1,888 dialogues for training, 314 for evaluation",
    layout="lv1-lv2-samples/*/*.jsonl, lv3-samples/*.txt, data/all_apis.csv, *.json",
    unit="a dialogue, a scene, a row, or an element",
    accepts=Named(".jsonl", ".txt", ".csv", ".json"),
    read_file=read_file,
    streams=True,
)
