"""Dataset `react`: the prompts of ReAct, an object from a prompt's name to its text.

Each text is a few solved tasks, one after another, and stays as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator


_ACTS = re.compile(r"^(?:Action\b|> )", re.MULTILINE)
"""An action of HotpotQA and FEVER, or of ALFWorld; prompts that only think or answer have none."""


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
    convert=convert,
)
