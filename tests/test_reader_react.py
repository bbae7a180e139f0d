"""ReAct's prompts stay as they are, one record each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from leaves import counts, lost_leaves, read_all

from preprocess.readers.datasets.react import READER

if TYPE_CHECKING:
    from pathlib import Path


def test_each_prompt_is_a_record_with_its_text(tmp_path: Path) -> None:
    prompts = {
        "react_put_0": "You see a lamp.\n> think: I look.\nOK.\n> go to lamp 1\nYou see 3 > 2.",
        "webact_simple6": "Question: a\nAction 1: Search[b]\nObservation 1: c\n",
        "cotqa_simple6": "Question: a\nThought: b > c\nAnswer: d",
    }
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(prompts, indent=4))
    (outcome,) = READER.read(path, path.name)
    assert [each.text for each in outcome.records] == list(prompts.values())
    assert [each.meta for each in outcome.records] == [{"prompt": name} for name in prompts]
    assert [each.kind for each in outcome.records] == ["trajectory", "trajectory", "text"]
    assert outcome.records[2].id == "react/prompts.json:2#0"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("{}", "unknown_layout", id="empty"),
        pytest.param('{"a": 1}', "prompt_is_no_text", id="number"),
        pytest.param('{"a": " "}', "prompt_is_no_text", id="blank"),
        pytest.param('{"a": "b"', "truncated", id="cut"),
    ],
)
def test_what_cannot_be_understood_is_rejected(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(content)
    (outcome,) = READER.read(path, path.name)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/react"
    assert counts(read_all(READER, root, root)) == {"native": 3, "out": 64}
    total, lost = lost_leaves(READER, root, root)
    assert (total, lost) == (64, [])
