"""WebArena's tasks, which are never trained on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from leaves import counts, lost_leaves, read_all

from preprocess.readers.benchmarks.webarena import READER

if TYPE_CHECKING:
    from pathlib import Path

_TASK = {
    "sites": ["reddit"],
    "task_id": 1,
    "storage_state": None,
    "intent_template": "tell me '{{character}}'",
    "instantiation_dict": {"character": "a"},
    "intent": "tell me 'a'",
    "eval": {"eval_types": ["string_match"], "reference_answers": ["x"]},
}


@pytest.mark.parametrize("content", [_TASK, [_TASK]], ids=["file", "array"])
def test_task_is_its_intent_and_all_else_is_kept(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "test.raw.json"
    path.write_text(json.dumps(content, indent=4))
    (outcome,) = READER.read(path, path.name)
    (record,) = outcome.records
    assert [(each.role, each.content) for each in record.messages] == [("user", "tell me 'a'")]
    rest = {name: record.meta[name] for name in _TASK if name != "intent"}
    assert rest == {name: _TASK[name] for name in _TASK if name != "intent"}
    assert record.meta["benchmark"] == "webarena"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"task_id": 1}', "unknown_layout"),
        ("[3]", "unknown_layout"),
        ('{"intent": " "}', "request_without_text"),
    ],
)
def test_what_cannot_be_understood_is_rejected(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "0.json"
    path.write_text(content)
    (outcome,) = READER.read(path, path.name)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/webarena"
    assert counts(read_all(READER, root, root)) == {"native": 3, "out": 3}
    total, lost = lost_leaves(READER, root, root)
    assert (total, lost) == (11, [])
