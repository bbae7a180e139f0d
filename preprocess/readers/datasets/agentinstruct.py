"""Dataset `agentinstruct`: AgentTuning's trajectories of six tasks.

Parquet files as published, JSON of the same rows (`conversations` of `from`, `loss`, `value`; and
`id`), or with `role` and `content`. Actions are text, each task in its own way. Records of `os` and
`kg` begin with the same solved example each; it stays, since it is what the model was shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.readers.draft import Draft, note
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, read_json
from preprocess.readers.observations import note_truncated
from preprocess.readers.parquet_rows import read_parquet
from preprocess.readers.reader import Options, Reader
from preprocess.readers.turns import observations, plain_turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.records import Outcome


def read_file(path: Path, relative: str, _options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each row or element."""
    read = read_parquet if path.suffix == ".parquet" else read_json
    return read(READER, path, relative, limit_bytes, convert)


def convert(native: Native) -> Iterator[Draft]:
    """Yield the draft of a trajectory."""
    value = native.value
    if not isinstance(value, dict) or "conversations" not in value:
        raise Unreadable("unknown_layout")
    conversation = plain_turns(value["conversations"])
    meta = {name: value[name] for name in value if name != "conversations"}
    if conversation.fields:
        note(meta, "turn_fields", conversation.fields)
    messages = tuple(conversation.messages)
    note_truncated(meta, observations(messages))
    yield Draft(kind="trajectory", messages=messages, meta=meta)


READER = Reader(
    name="agentinstruct",
    kind="trajectory",
    license="unknown",
    terms="its repository states no licence; look at the card of the dataset before redistributing",
    url="https://huggingface.co/datasets/THUDM/AgentInstruct",
    released="2023-10",
    published="1,866 trajectories",
    layout="data/<task>-*.parquet, *.json, *.jsonl",
    unit="a row, an element of an array, or a line",
    accepts=Named(".parquet", ".json", ".jsonl"),
    read_file=read_file,
    streams=True,
)
