"""Dataset `react`: the prompts of ReAct, an object from a prompt's name to its text.

Each text is a few solved tasks, one after another, and stays as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, read_json
from preprocess.readers.reader import Options, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.records import Outcome

_ACTS = re.compile(r"^(?:Action\b|> )", re.MULTILINE)
"""An action of HotpotQA and FEVER, or of ALFWorld; prompts that only think or answer have none."""


def read_file(path: Path, relative: str, _options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of the object in a file."""
    return read_json(READER, path, relative, limit_bytes, convert)


def convert(native: Native) -> Iterator[Draft]:
    """Yield one draft for each prompt."""
    value = native.value
    if not isinstance(value, dict) or not value:
        raise Unreadable("unknown_layout")
    if not all(isinstance(text, str) and text.strip() for text in value.values()):
        raise Unreadable("prompt_is_no_text")
    for number, (name, text) in enumerate(value.items()):
        kind = "trajectory" if _ACTS.search(text) else "text"
        yield Draft(kind=kind, text=text, meta={"prompt": name}, part=str(number))


READER = Reader(
    name="react",
    kind="trajectory",
    license="MIT",
    url="https://github.com/ysymyth/ReAct",
    released="2022-10",
    published="the prompts of its four tasks",
    layout="prompts/*.json",
    unit="a file",
    accepts=Named(".json"),
    read_file=read_file,
    streams=True,
)
