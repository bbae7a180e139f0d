"""Benchmark `agentbench`: tasks of its environments, each in its own layout.

Operating system (three generations), database, knowledge graph, Mind2Web's prompts, and lateral
thinking puzzles in spreadsheets. ALFWorld's files name games, Avalon's deal out roles: neither has
any text of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.draft import Draft, Dropped
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, read_json
from preprocess.readers.reader import Options, Reader
from preprocess.readers.turns import plain_turns, request
from preprocess.readers.whole import head_of, read_together
from preprocess.readers.xlsx_rows import read_xlsx
from preprocess.records import Message, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TURNS = re.compile(rb'(?:\xef\xbb\xbf)?\s*\[\s*\{\s*"role"\s*:')
_is_sheet = Named(".xlsx")


def read_file(path: Path, relative: str, _options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each task; a prompt of several turns is one record."""
    if _is_sheet(path):
        return read_xlsx(READER, path, relative, limit_bytes, convert_puzzle)
    if _TURNS.match(head_of(path)):
        return read_together(READER, path, relative, limit_bytes, _convert_prompt)
    return read_json(READER, path, relative, limit_bytes, convert)


def convert(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the draft of a task; what it starts from and how it is graded stay in `meta`."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("no_object")
    if isinstance(value.get("description"), str):
        yield _task(value, ("description", "add_description"))
    elif isinstance(value.get("question"), str):
        yield _task(value, ("question",))
    elif value and all(_are_paths(each) for each in value.values()):
        yield Dropped("index_of_games")
    elif value.keys() == {"num_players", "quest_leader", "role_names"}:
        yield Dropped("setting_of_a_game")
    else:
        raise Unreadable("unknown_layout")


def _task(value: dict[str, Any], asked: tuple[str, ...]) -> Draft:
    said = [value[name] for name in asked if isinstance(value.get(name), str) and value[name]]
    return Draft(
        kind="function_call",
        messages=(request("\n".join(said)),),
        meta={name: value[name] for name in value if name not in asked or value[name] not in said},
    )


def _are_paths(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, str) and "/" in each and not re.search(r"\s", each) for each in value
    )


def _convert_prompt(native: Native) -> Iterator[Draft]:
    """Yield the turns of an example that begins a prompt; the last one, for the task, is empty."""
    yield Draft(kind="trajectory", messages=tuple(plain_turns(native.value).messages))


def convert_puzzle(native: Native) -> Iterator[Draft]:
    """Yield the draft of a lateral thinking puzzle: what is told, and what lies behind it."""
    value = native.value
    cells = list(value.items())
    if len(cells) < len(("story", "answer")) or not all(each for _, each in cells[:2]):
        raise Unreadable("unknown_layout")
    (_, story), (_, answer) = cells[:2]  # named in English or in Chinese
    messages = (Message(role="user", content=story), Message(role="assistant", content=answer))
    yield Draft(kind="function_call", messages=messages, meta=dict(cells[2:]))


READER = Reader(
    name="agentbench",
    kind="function_call",
    license="Apache-2.0",
    terms="a benchmark: for decontamination and evaluation, never for training",
    url="https://github.com/THUDM/AgentBench",
    released="2023-08",
    published="tasks of eight environments",
    layout="data/<environment>/**/*.json, *.jsonl, *.xlsx",
    unit="a task, a prompt, or a row",
    accepts=Named(".json", ".jsonl", ".xlsx"),
    read_file=read_file,
    streams=True,
    is_benchmark=True,
)
