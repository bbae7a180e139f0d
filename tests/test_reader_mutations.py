"""Real records with parts taken out, added and exchanged: every reader records or rejects them.

Hand-made records show what each reader understands; these show that nothing else can stop a run.
"""

import importlib
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from leaves import Broken, files, native_values

from preprocess.readers import READERS
from preprocess.readers.native import outcome
from preprocess.records import Origin, encode

MUTATIONS = 300
LONGEST_CHARACTERS = 60_000
DEEPEST = 9
JUNK: list[Any] = [
    *(None, True, 0, -1.5, 10**25, "", "x", " \n", "\0", "{'a': 1}", '{"a": "b"}', "[1"),
    *([], {}, [None], [1], ["a"], [[]], [{}], {"a": 1}, {"role": "user"}),
]
KEYS = ["name", "query", "api_list", "loss", "content", "messages", "x"]
DATASETS = [
    "fireact", "toolalpaca", "toolbench", "stabletoolbench", "lumos", "agent_flan", "openapi",
]  # fmt: skip


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if len(place) == DEEPEST:
        return
    inner: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inner = enumerate(value[:6])
    for key, each in inner:
        yield from places(each, (*place, key))


def mutate(value: Any, choice: random.Random) -> Any:
    value = json.loads(json.dumps(value))
    for _ in range(choice.choice((1, 1, 2, 4))):
        *above, key = choice.choice([place for place in places(value) if place] or [(None,)])
        holder = value
        for step in above:
            holder = holder[step]
        junk = json.loads(json.dumps(choice.choice(JUNK)))
        if key is None or choice.random() < 0.02:
            return junk
        kind = choice.random()
        if isinstance(holder, dict) and kind < 0.3:
            del holder[key]
        elif isinstance(holder, dict) and kind < 0.4:
            holder[choice.choice(KEYS)] = junk
        elif isinstance(holder, list) and kind < 0.2:
            holder.append(junk)
        else:
            holder[key] = junk
    return value


@pytest.mark.shared
@pytest.mark.parametrize("dataset", DATASETS)
def test_a_mutated_record_is_recorded_or_rejected(shared: Path, dataset: str) -> None:
    reader = READERS[dataset]
    convert = reader.convert or importlib.import_module(reader.read_file.__module__).convert
    choice = random.Random(dataset)
    values = []
    for file in files(reader, shared / "data/agent" / dataset):
        whole = [value for value in native_values(file) if not isinstance(value, Broken)]
        values += choice.sample(whole, min(4, len(whole)))
    values = [value for value in values if len(json.dumps(value)) < LONGEST_CHARACTERS]
    fates = set()
    for ordinal in range(MUTATIONS):
        raw = json.dumps(mutate(choice.choice(values), choice)).encode()
        made = outcome(reader, raw, Origin(path="a b/é.json", record=ordinal), convert)
        for record in made.records:
            encode(record)
        ids = [record.id for record in made.records]
        assert len(set(ids)) == len(ids)
        fates.add(made.rejection is None)
    assert fates == {True, False}
