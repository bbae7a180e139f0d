"""Observations that were cut are told from whole ones."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from preprocess.readers.observations import count_truncated, is_truncated, note_truncated


@pytest.mark.parametrize(
    "observation",
    [
        pytest.param('{"error": "", "response": "{\'a\': [1, 2', id="json"),
        pytest.param('{"error": "", "response": [{"a": 1}', id="json-after-an-inner-end"),
        pytest.param("{'result': [{'title': 'Br", id="python-literal"),
        pytest.param("[{'title': 'Breaking'}, {'ti", id="python-list"),
        pytest.param('{"response": "{\'result\': [{\'ti"}', id="inside-a-whole-envelope"),
        pytest.param(
            '{"error": "", "response": "A list of clips, the first..."}', id="dots-inside"
        ),
        pytest.param("The tower is a wrought-iron lattice on the Champ de M...", id="dots"),
        pytest.param("The tower is a lattice on the Champ de M…\n", id="one-character-of-dots"),
        pytest.param("etc lib [truncated because the output is too long]", id="notice-agentbench"),
        pytest.param("def f(:\n<response clipped><NOTE>part</NOTE>", id="notice-swe-agent"),
        pytest.param("a...\n[Output Truncated]\nYou have 4 steps left", id="notice-mint"),
        pytest.param("x\n[... Observation truncated due to length ...]\ny", id="notice-openhands"),
        pytest.param("The first ten rows\n(truncated)", id="notice-in-brackets"),
    ],
)
def test_cut_observation_is_told(observation: str) -> None:
    assert is_truncated(observation)


@pytest.mark.parametrize(
    "observation",
    [
        pytest.param("", id="nothing"),
        pytest.param("OK", id="plain"),
        pytest.param("...", id="only-dots"),
        pytest.param('{"error": "", "response": ""}', id="json"),
        pytest.param('{"a": {"text": "to be continued..."}}', id="dots-of-a-description"),
        pytest.param('{"summary": "to be continued...", "n": 1}', id="dots-in-another-field"),
        pytest.param("{'a': \"don't\", 'b': ['[']}", id="brackets-in-python-strings"),
        pytest.param("{'a': 'don't'}", id="apostrophe-that-is-not-escaped"),
        pytest.param('{"a": 1}\nand a text with a { in it', id="text-after-json"),
        pytest.param("[File: a.py (9 lines)]\n1:x = {'a", id="file-viewer"),
        pytest.param("[1] The first [2] The second", id="numbered"),
        pytest.param("[] 'tis", id="empty-list-and-text"),
        pytest.param("The line was truncated by hand, and clipped.", id="word-in-a-sentence"),
    ],
)
def test_whole_observation_is_left_alone(observation: str) -> None:
    assert not is_truncated(observation)


def test_every_cut_of_an_object_breaks_off() -> None:
    whole = json.dumps({"error": "", "response": [{"name": 'a "b" [c]', "sizes": [1, 2]}, {}]})
    assert not is_truncated(whole)
    cut = [whole[:end] for end in range(3, len(whole))]
    assert [text for text in cut if not is_truncated(text)] == []


def test_count_stands_in_meta_only_if_there_are_any() -> None:
    meta: dict[str, Any] = {"id": 1}
    note_truncated(meta, ["whole", '{"a": "whole"}'])
    assert meta == {"id": 1}
    note_truncated(meta, ["whole", '{"a": "cu', "cut..."])
    assert meta == {"id": 1, "truncated_observations": 2}


@pytest.mark.parametrize(
    "hostile", ['{"' + '\\"' * 500_000, "['" + '"' * 1_000_000, "[" * 100_000, "[{" * 100_000]
)
def test_hostile_observation_costs_one_pass(hostile: str) -> None:
    start = time.process_time()
    assert is_truncated(hostile)
    assert time.process_time() - start < 2


@pytest.mark.shared
def test_toolbench_cuts_after_1024_characters(shared: Path) -> None:
    found: set[str] = set()
    for path in sorted((shared / "data/agent/toolbench").rglob("*.json")):
        if path.stat().st_size:
            found.update(_replies(json.loads(path.read_bytes())))
    by_length = [len(text) == 1027 and text.endswith("...") for text in sorted(found)]
    assert sum(by_length) == count_truncated(sorted(found)) == 4
    assert len(by_length) > 20


def _replies(value: object) -> list[str]:
    if isinstance(value, dict):
        own = value.get("content") if value.get("role") == "function" else None
        below = [reply for each in value.values() for reply in _replies(each)]
        return [own, *below] if isinstance(own, str) else below
    if isinstance(value, list):
        return [reply for each in value for reply in _replies(each)]
    return []
