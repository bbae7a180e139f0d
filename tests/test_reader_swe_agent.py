"""Trajectories of SWE-agent, with functions and without, and demonstrations with history alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from leaves import counts, lost_leaves, read_all

from preprocess.readers.datasets.swe_agent import READER

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome, Record


def _read(tmp_path: Path, value: Any) -> Outcome:
    path = tmp_path / "a.traj"
    path.write_text(json.dumps(value, indent=2))
    (outcome,) = READER.read(path, path.name)
    return outcome


def _record(tmp_path: Path, value: Any) -> Record:
    (record,) = _read(tmp_path, value).records
    return record


def _call(identifier: str, arguments: str) -> dict[str, Any]:
    function = {"name": "open", "arguments": arguments}
    return {"function": function, "id": identifier, "type": "function"}


def test_calls_are_parsed_and_their_answers_name_them(tmp_path: Path) -> None:
    history = [
        {"role": "system", "content": "SETTING", "agent": "main", "message_type": "system_prompt"},
        {"role": "user", "content": "Solve it", "agent": "main", "is_demo": True},
        {
            "role": "assistant",
            "content": "I open it.",
            "thought": "I open it.",
            "action": "open a.py",
            "tool_calls": [_call("call_x", '{"path":"a.py","line":3}')],
        },
        {
            "role": "tool",
            "content": [{"type": "text", "text": "1: x\n", "cache_control": {"type": "e"}}],
            "tool_call_ids": ["call_x"],
        },
    ]
    record = _record(tmp_path, {"history": history})
    said = record.messages
    assert [each.role for each in said] == ["system", "user", "assistant", "tool"]
    assert [(c.id, c.name, c.arguments) for c in said[2].tool_calls] == [
        ("call_x", "open", {"path": "a.py", "line": 3})
    ]
    assert (said[3].content, said[3].tool_call_id) == ("1: x\n", "call_x")
    assert record.meta["turn_fields"] == [
        {"turn": 0, "agent": "main", "message_type": "system_prompt"},
        {"turn": 1, "agent": "main", "is_demo": True},
        {"turn": 2, "action": "open a.py"},
        {"turn": 3, "content": [{"type": "text", "cache_control": {"type": "e"}}]},
    ]


def test_commands_in_code_blocks_stay_text_and_the_rest_is_kept(tmp_path: Path) -> None:
    said = "First I look.\n```\nls -a\n```"
    value = {
        "environment": "swe_main",
        "trajectory": [
            {
                "action": "ls -a\n",
                "observation": ".git",
                "response": said,
                "state": '{"open_file": "n/a", "working_dir": "/"}',
                "thought": "First I look.\n",
            }
        ],
        "history": [
            {"role": "system", "content": "SETTING..."},
            {
                "role": "assistant",
                "content": said,
                "thought": "First I look.\n",
                "action": "ls -a\n",
            },
            {"role": "user", "content": ".git\n<response clipped>"},
        ],
        "info": {"exit_status": "submitted", "model_stats": {"instance_cost": 0.5}},
    }
    record = _record(tmp_path, value)
    assert [(each.role, each.content) for each in record.messages] == [
        ("system", "SETTING..."),
        ("assistant", said),
        ("user", ".git\n<response clipped>"),
    ]
    assert {name: record.meta[name] for name in ("environment", "trajectory", "info")} == {
        name: value[name] for name in ("environment", "trajectory", "info")
    }
    assert "turn_fields" not in record.meta
    assert record.meta["truncated_observations"] == 1
    assert record.license == "MIT"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param({"trajectory": []}, "unknown_layout", id="no-history"),
        pytest.param({"history": []}, "no_conversation", id="empty-history"),
        pytest.param(3, "no_object", id="number"),
        pytest.param({"history": [{"role": "x"}]}, "unknown_role", id="role"),
        pytest.param(
            {"history": [{"role": "assistant", "tool_calls": [_call("a", "{'a'")]}]},
            "invalid_json_in_string",
            id="arguments-cut",
        ),
        pytest.param(
            {"history": [{"role": "assistant", "tool_calls": [_call("a", "[1]")]}]},
            "arguments_are_no_object",
            id="arguments-list",
        ),
        pytest.param(
            {"history": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "turn_is_no_text",
            id="image",
        ),
        pytest.param(
            {"history": [{"role": "tool", "content": "", "tool_call_ids": ["a", "b"]}]},
            "turn_answers_several_calls",
            id="several-answers",
        ),
    ],
)
def test_what_cannot_be_understood_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    outcome = _read(tmp_path, value)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/swe_agent"
    outcomes = read_all(READER, root, root)
    assert counts(outcomes) == {"native": 10, "out": 10}
    total, lost = lost_leaves(READER, root, root)
    assert (total, lost) == (702, [])
    said = [each for outcome in outcomes for each in outcome.records[0].messages]
    calls = [call.id for each in said for call in each.tool_calls]
    assert calls == [each.tool_call_id for each in said if each.role == "tool"]
    assert len(calls) == 26


def test_ids_may_be_numbers_and_nothing_else(tmp_path: Path) -> None:
    call = {**_call("", "{}"), "id": 7, "type": "custom"}
    turns = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "done", "tool_call_id": 7},
    ]
    record = _record(tmp_path, {"messages": turns})
    assert record.messages[0].tool_calls[0].id == record.messages[1].tool_call_id == "7"
    assert record.meta["turn_fields"] == [{"turn": 0, "tool_calls": [{"type": "custom"}]}]
    turns[1]["tool_call_id"] = [7]
    rejection = _read(tmp_path, {"messages": turns}).rejection
    assert rejection is not None
    assert rejection.reason == "invalid_call_id"
