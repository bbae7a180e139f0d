"""Real records with something in them changed: each has a fate, and what is read loses nothing."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from leaves import Broken, files, long_leaves, missing_leaves, native_values

from preprocess.readers.registry import READERS
from preprocess.records import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.records import Outcome

_DATASETS = (
    "agenttraj_l", "agentinstruct", "swe_agent", "adp_samples", "taskbench", "react", "metatool",
    "webarena", "agentbench",
)  # fmt: skip
_MUTANTS = 150
_LONGEST_CHARACTERS = 30_000
_REMOVED = object()
_JUNK: list[Any] = [
    _REMOVED, None, True, 0, -1.5, 10**30, "", "  ", "...", '{"a":', "{}", "[1, 2]", "['\\ud800']",
    "API-Request: [f(", [], {}, [None], [[]], [{}], ["a", "b"], {"a": None}, {"role": "user"},
    {"name": 1},
]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("dataset", _DATASETS)
def test_changed_record_is_read_or_rejected(dataset: str, shared: Path, tmp_path: Path) -> None:
    reader, root = READERS[dataset], shared / "data/agent" / dataset
    drawn = random.Random(dataset)
    sources = [path for path in files(reader, root) if path.suffix not in (".csv", ".xlsx", ".txt")]
    values = [value for path in sources for value in _some(path, drawn)]
    mutants = [_changed(drawn.choice(values), drawn) for _ in range(_MUTANTS)]
    path = tmp_path / "mutants.json"
    # Not the first: how a file begins tells some readers that it is one record.
    path.write_text(json.dumps([0, *mutants]))
    outcomes = list(reader.read(path, path.name))
    assert len(outcomes) == len(mutants) + 1
    _assert_nothing_is_lost(mutants, outcomes[1:])


@pytest.mark.shared
def test_changed_dialogue_is_read_or_rejected(shared: Path, tmp_path: Path) -> None:
    reader, root = READERS["api_bank"], shared / "data/agent/api_bank"
    drawn = random.Random("api_bank")
    dialogues = [native_values(path) for path in sorted(root.rglob("*.jsonl"))]
    mutants = [_changed(drawn.choice(dialogues), drawn) for _ in range(_MUTANTS)]
    outcomes: list[Outcome] = []
    for mutant in mutants:
        path = tmp_path / "dialogue.jsonl"
        # The first turn is a whole one, by which a dialogue is told from other files.
        lines = [{"role": "User", "text": "Hello"}, *mutant]
        path.write_text("".join(json.dumps(turn) + "\n" for turn in lines))
        outcomes += reader.read(path, path.name)
    _assert_nothing_is_lost(mutants, outcomes)


def _assert_nothing_is_lost(mutants: list[Any], outcomes: list[Outcome]) -> None:
    for mutant, outcome in zip(mutants, outcomes, strict=True):
        for record in outcome.records:
            encode(record)
        if outcome.records:
            lost = missing_leaves(mutant, outcome.records)
            assert len(lost) <= 0.05 * len(long_leaves(mutant)), lost
    assert any(outcome.records for outcome in outcomes)
    assert any(outcome.rejection for outcome in outcomes)


def _some(path: Path, drawn: random.Random) -> list[Any]:
    found = [value for value in native_values(path) if not isinstance(value, Broken)]
    short = [value for value in found if len(json.dumps(value)) < _LONGEST_CHARACTERS]
    return drawn.sample(short, min(4, len(short)))


def _changed(value: Any, drawn: random.Random) -> Any:
    """Return a copy of a value in which one to three parts are other ones, or are missing."""
    value = copy.deepcopy(value)
    for _ in range(drawn.randint(1, 3)):
        places = sorted(_places(value), key=len)
        if not places:
            break
        *way, last = drawn.choice(places[:60] if drawn.random() < 0.6 else places)
        part = value
        for step in way:
            part = part[step]
        junk = drawn.choice(_JUNK)
        if junk is _REMOVED:
            del part[last]
        else:
            part[last] = copy.deepcopy(junk)
    return value


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if way:
        yield way
    if isinstance(value, dict | list):
        steps = list(value) if isinstance(value, dict) else range(len(value))
        for step in steps:
            yield from _places(value[step], (*way, step))
