"""Lumos: conversations of its modules, and the annotations that they were made from."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all

from preprocess.readers import READERS

READER = READERS["lumos"]
PLAN = [
    ("user", "Please provide a plan.\nTask: Add 2 and 3; Initial Environment Description: None."),
    ("assistant", "Subgoal 1: Add the numbers."),
    ("user", "The executed result for Subgoal 1 is 5. Should we stop planning?"),
    ("assistant", "Yes, I will stop planning."),
]
GROUND = [
    ("user", "The available action list is 'Calculator'.\nSubgoal to be grounded: Subgoal 1: Add."),
    ("assistant", "R1 = Calculator(2 + 3); R2 = Calculator(R1)"),
]


@pytest.mark.parametrize("told", [PLAN, GROUND])
def test_a_module_s_conversation_is_kept_with_its_actions_as_text(
    tmp_path: Path, told: list[tuple[str, str]]
) -> None:
    messages = [{"role": role, "content": content} for role, content in told]
    path = tmp_path / "lumos_maths_plan_iterative.jsonl"
    path.write_text(json.dumps({"dataset": "maths", "id": "maths_0", "messages": messages}))
    (outcome,) = read_all(READER, path, tmp_path)
    (record,) = outcome.records
    assert [(turn.role, turn.content) for turn in record.messages] == told
    assert record.kind == "trajectory"
    assert not any(turn.tool_calls for turn in record.messages)
    assert {"dataset": "maths", "id": "maths_0"}.items() <= record.meta.items()


@pytest.mark.parametrize("thoughts", ["First add.", ["CLICK the box", "TYPE a name"]])
def test_an_annotation_answers_its_task_with_the_subgoals(tmp_path: Path, thoughts: Any) -> None:
    plan = "Subgoal 1: Add.\nAction 1-1: R1 = Calculator(2 + 3) = 5"
    native = {"task": "Add 2 and 3", "natural_language_plan": thoughts, "subgoal_plan": plan}
    path = tmp_path / "converted.json"
    path.write_text(json.dumps([native]))
    (outcome,) = read_all(READER, path, tmp_path)
    (record,) = outcome.records
    assert [turn.content for turn in record.messages] == ["Add 2 and 3", plan]
    assert record.meta["natural_language_plan"] == thoughts


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ({"task": "a", "subgoal_plan": ["b"]}, "unknown_shape"),
        ({"task": "a", "subgoal_plan": "\n"}, "empty_annotation"),
        ({"id": "x", "messages": [{"role": "user", "content": ""}]}, "empty_conversation"),
        ({"id": "x", "messages": [{"role": "user"}]}, "turn_without_speaker_or_text"),
        (7, "unknown_shape"),
    ],
)
def test_what_is_neither_is_rejected(tmp_path: Path, native: object, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(native))
    (outcome,) = read_all(READER, path, tmp_path)
    assert outcome.rejection
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_every_real_record_is_read_and_loses_nothing(shared: Path) -> None:
    root = shared / "data/agent/lumos"
    assert counts(read_all(READER, root, root)) == {"native": 69, "out": 69}
    assert lost_leaves(READER, root, root) == (381, [])


def test_fields_that_are_named_as_ours_make_way(tmp_path: Path) -> None:
    native = {"template": "t", "messages": [{"role": "user", "content": "Add 2 and 3"}]}
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, (native, {**native, "source_fields": "s"}))))
    first, second = [each.records[0].meta for each in read_all(READER, path, tmp_path)]
    assert first["source_fields"] == {"template": "t"}
    assert first["template"] != "t"
    assert second["source_fields"] == {"source_fields": "s", "template": "t"}
