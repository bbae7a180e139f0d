"""Agent-FLAN: chats whose keys differ from file to file."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all

from preprocess.readers import READERS
from preprocess.records import Outcome

READER = READERS["agent_flan"]


def read(folder: Path, value: Any) -> Outcome:
    path = folder / "toolbench_react_10p.jsonl"
    path.write_text(json.dumps(value))
    (outcome,) = read_all(READER, path, folder)
    return outcome


def test_turns_keep_their_roles_and_their_loss(tmp_path: Path) -> None:
    system = "You have access to: get_weather(city). Answer as Thought, Action, Action Input."
    action = 'Thought: I ask.\nAction: get_weather\nAction Input: {"city": "Rome"}'
    told = [
        {"role": "system", "content": system, "loss": False},
        {"role": "user", "content": "How is it in Rome?", "loss": False},
        {"role": "assistant", "content": action, "loss": True},
        {"role": "user", "content": 'Observation: {"sky": "clear", "note": "wa...', "loss": False},
        {"role": "assistant", "content": "Thought: done\nFinal Answer: clear", "loss": True},
    ]
    (record,) = read(tmp_path, {"conversation": told, "id": "react_1"}).records
    assert [(turn.role, turn.content, turn.loss) for turn in record.messages] == [
        (turn["role"], turn["content"], turn["loss"]) for turn in told
    ]
    assert {"id": "react_1", "truncated_observations": 1}.items() <= record.meta.items()


@pytest.mark.parametrize(("loss", "expected"), [(1, True), (0, False), (None, None)])
def test_loss_may_be_a_number_or_missing(
    tmp_path: Path, loss: int | None, expected: bool | None
) -> None:
    turn: dict[str, Any] = {"role": "assistant", "content": "Sure.", "type": "negative"}
    if loss is not None:
        turn["loss"] = loss
    value = {"conversation": [{"role": "user", "content": "Hi"}, turn]}
    (record,) = read(tmp_path, value).records
    assert [turn.loss for turn in record.messages] == [None, expected]
    assert record.meta["conversation_fields"] == [{"turn": 1, "type": "negative"}]
    assert "id" not in record.meta


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"id": 1}, "unknown_shape"),
        ({"conversation": []}, "no_conversation"),
        ({"conversation": [{"role": "user", "content": "", "loss": False}]}, "empty_conversation"),
        (
            {"conversation": [{"role": "user", "content": "a", "loss": 0.5}]},
            "loss_is_no_truth_value",
        ),
        ({"conversation": [{"role": "user", "content": {"a": 1}}]}, "turn_is_no_text"),
    ],
)
def test_what_is_no_chat_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    outcome = read(tmp_path, value)
    assert outcome.rejection
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_the_specimen_is_read_and_loses_nothing(shared: Path) -> None:
    root = shared / "data/agent/agent_flan"
    assert counts(read_all(READER, root, root)) == {"native": 11, "out": 11}
    assert lost_leaves(READER, root, root) == (81, [])


def test_fields_that_are_named_as_ours_make_way_in_one_order(tmp_path: Path) -> None:
    told = [{"role": "user", "content": "Observation: the sea..."}]
    theirs = {"benchmark": 1, "source_fields": 2, "truncated_observations": 3, "checks": 4}
    (record,) = read(tmp_path, {"conversation": told, **theirs}).records
    assert record.meta["truncated_observations"] == 1
    assert list(record.meta["source_fields"].items()) == [
        ("source_fields", 2), ("truncated_observations", 3), ("checks", 4), ("benchmark", 1)
    ]  # fmt: skip
    assert not record.meta.keys() & {"benchmark", "checks"}
