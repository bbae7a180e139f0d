"""Each shape of the datasets that the Agent Data Protocol unifies becomes messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from leaves import counts, lost_leaves, read_all

from preprocess.readers.datasets.adp_samples import READER

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome, Record

_TOOL = {
    "type": "function",
    "function": {
        "name": "web-search",
        "description": "Search.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
}


def _read(tmp_path: Path, value: Any) -> Outcome:
    path = tmp_path / "sample_raw.json"
    path.write_text(json.dumps([value], indent=1))
    (outcome,) = READER.read(path, path.name)
    return outcome


def _turns(record: Record) -> list[tuple[str, str]]:
    return [(each.role, each.content) for each in record.messages]


def test_conversation_with_observations_is_a_trajectory_and_others_are_text(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "You help."},
        {"role": "user", "content": "Task:\nAdd."},
        {"role": "assistant", "content": "<execute>1+1</execute>"},
        {"role": "user", "content": "Observation:\n2"},
    ]
    for field in ("conversations", "messages"):
        (acting,) = _read(tmp_path, {"id": "a", field: turns}).records
        (talking,) = _read(tmp_path, {"id": "b", field: turns[:3]}).records
        assert (acting.kind, talking.kind) == ("trajectory", "text")
        assert _turns(acting) == [(turn["role"], turn["content"]) for turn in turns]


def test_visual_actions_are_calls_that_the_next_turn_answers(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "<image>\nSegment it."},
        {
            "from": "gpt",
            "thoughts": "SAM will do.",
            "actions": [{"API_name": "sam", "API_params": {"boxes": [[0.0, 0.52]]}}],
            "value": "I will use sam.",
        },
        {"from": "human", "value": "sam model outputs: {'message': 'done'}"},
        {"from": "gpt", "thoughts": "Good.", "actions": [], "value": "Here it is."},
        {"from": "human", "value": "Thanks"},
    ]
    value = {"unique_id": "1.2", "image": "1.jpg", "conversations": turns, "data_source": "coco"}
    (record,) = _read(tmp_path, value).records
    assert _turns(record) == [
        ("user", "<image>\nSegment it."),
        ("assistant", "SAM will do.\nI will use sam."),
        ("tool", "sam model outputs: {'message': 'done'}"),
        ("assistant", "Good.\nHere it is."),
        ("user", "Thanks"),
    ]
    (call,) = record.messages[1].tool_calls
    assert (call.name, call.arguments) == ("sam", {"boxes": [[0.0, 0.52]]})
    assert record.messages[2].tool_call_id == call.id == "call_0"
    assert (record.meta["image"], record.meta["data_source"]) == ("1.jpg", "coco")


def test_calls_and_answers_by_function_name(tmp_path: Path) -> None:
    declared = f"<|im_system|>tool_declare<|im_middle|>{json.dumps([_TOOL])}<|im_end|>"
    messages = [
        {"role": "system", "content": declared},
        {"role": "user", "content": "Look up"},
        {"role": "assistant", "content": "I will."},
        {
            "role": "assistant",
            "content": "",
            "function_call": {"name": "web-search", "arguments": '{"query": "a"}'},
        },
        {"role": "function", "content": '{"ok": true}', "name": "web-search"},
    ]
    value = {"uuid": "u", "messages": messages, "available_tools": [_TOOL], "target_tools": ["x"]}
    for spelled in (value, {**value, "messages": json.dumps(messages)}):
        documentation, record = _read(tmp_path, spelled).records
        assert documentation.kind == "tool_documentation"
        assert [tool.name for tool in record.tools] == ["web-search"]
        assert record.messages[0].content == declared
        (call,) = record.messages[3].tool_calls
        assert (call.id, call.arguments) == ("call_0", {"query": "a"})
        assert (record.messages[4].role, record.messages[4].tool_call_id) == ("tool", "call_0")
        assert "turn_fields" not in record.meta
        assert record.meta["target_tools"] == ["x"]


def test_what_calls_and_answers_say_beyond_their_fields_is_kept(tmp_path: Path) -> None:
    call = {"id": "c", "index": 3, "function": {"name": "f", "arguments": "", "note": "n"}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "1", "tool_call_id": "c", "name": "other"},
        {"role": "tool", "content": "2", "tool_call_id": "nobody"},
        {"role": "tool", "content": "3"},
    ]
    (record,) = _read(tmp_path, {"messages": messages}).records
    assert record.messages[0].tool_calls[0].arguments == {}
    assert [each.tool_call_id for each in record.messages] == [None, "c", "nobody", None]
    assert record.meta["turn_fields"] == [
        {"turn": 0, "tool_calls": [{"index": 3, "note": "n"}]},
        {"turn": 1, "name": "other"},
    ]


def test_nulls_that_arrow_put_into_schemas_are_taken_away(tmp_path: Path) -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "bash",
            "description": "Run.",
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "string", "enum": None}, "path": None},
                "required": ["command"],
            },
        },
    }
    finish = {"type": "function", "function": {"name": "finish", "parameters": None}}
    spoken = {"function_call": None, "tool_call_id": None, "name": None}
    call = {"id": "c1", "index": None, "type": "function"}
    messages = [
        {"role": "user", "content": "Fix", "tool_calls": None, **spoken},
        {
            **spoken,
            "role": "assistant",
            "content": None,
            "tool_calls": [{**call, "function": {"name": "bash", "arguments": '{"command":"ls"}'}}],
        },
        {"role": "tool", "content": "OBSERVATION:\na", "name": "bash", "tool_call_id": "c1"},
    ]
    outcome = _read(tmp_path, {"messages": messages, "tools": [tool, finish], "resolved": True})
    _, record = outcome.records
    assert outcome.repairs == ("nulls_in_schema",)
    assert record.tools[0].parameters == {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
    }
    assert record.tools[1].name == "finish"
    assert record.messages[1].content == ""
    assert record.messages[2].tool_call_id == "c1"
    assert record.meta["resolved"] is True
    assert "turn_fields" not in record.meta


def test_steps_of_an_agent_keep_their_mask_in_meta(tmp_path: Path) -> None:
    steps = [
        {"role": "system", "system_prompt": "SETTING", "text": None, "mask": False},
        {"role": "user", "system_prompt": None, "text": "Solve", "mask": False},
        {"role": "ai", "system_prompt": None, "text": "ls", "mask": True},
    ]
    value = {"instance_id": "a", "model_name": "m", "trajectory": steps, "generated_patch": "diff"}
    (record,) = _read(tmp_path, value).records
    assert _turns(record) == [("system", "SETTING"), ("user", "Solve"), ("assistant", "ls")]
    assert [each.loss for each in record.messages] == [None] * 3
    assert record.meta["turn_fields"][2] == {"turn": 2, "mask": True}
    assert record.meta["generated_patch"] == "diff"


def test_pages_and_actions_of_a_browser(tmp_path: Path) -> None:
    page = {"url": "http://shop/", "axtree": "[1] link 'Home'", "screenshot_path": "0.png"}
    action = {"action_type": 6, "text": [], "element_id": "11", "action_name": "click"}
    value = {
        "task_id": 0,
        "intent": "Find it",
        "source": "gpt-4o",
        "trajectory": [
            page,
            {"metadata": {"cot": "I click."}, "action": action},
            {**page, "url": "http://shop/2"},
            {"metadata": {"cot": ""}, "action": {**action, "action_name": "stop"}},
        ],
    }
    (record,) = _read(tmp_path, value).records
    assert _turns(record) == [
        ("user", "Find it"),
        ("user", "http://shop/\n[1] link 'Home'"),
        ("assistant", "I click."),
        ("tool", "http://shop/2\n[1] link 'Home'"),
        ("assistant", ""),
    ]
    (call,) = record.messages[2].tool_calls
    assert call.name == "click"
    assert call.arguments == {"action_type": 6, "text": [], "element_id": "11"}
    assert record.messages[3].tool_call_id == call.id
    assert record.meta["turn_fields"] == [
        {"turn": 1, "screenshot_path": "0.png"},
        {"turn": 3, "screenshot_path": "0.png"},
        {"turn": 4, "metadata": {"cot": ""}},
    ]


def test_prompt_and_response(tmp_path: Path) -> None:
    (record,) = _read(tmp_path, {"prompt": "page = 1", "response": "click(2)"}).records
    assert _turns(record) == [("user", "page = 1"), ("assistant", "click(2)")]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param({"x": 1}, "unknown_layout", id="unknown"),
        pytest.param([1], "no_object", id="array"),
        pytest.param({"prompt": 1, "response": ""}, "turn_is_no_text", id="prompt"),
        pytest.param({"intent": "a", "trajectory": [{}]}, "unknown_step", id="step"),
        pytest.param({"instance_id": 1, "trajectory": [1]}, "turn_is_no_object", id="steps"),
        pytest.param(
            {"messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function"}]},
            "tool_without_name",
            id="tool",
        ),
        pytest.param(
            {"conversations": [{"from": "gpt", "value": "b", "actions": [{"API_name": "a"}]}]},
            "unknown_action",
            id="action",
        ),
    ],
)
def test_what_cannot_be_understood_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    outcome = _read(tmp_path, value)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/adp_samples"
    outcomes = read_all(READER, root, root)
    assert counts(outcomes) == {"native": 44, "out": 48, "repaired nulls_in_schema": 3}
    total, lost = lost_leaves(READER, root, root)
    assert (total, lost) == (554, [])
    answers = [
        (said.tool_call_id, [call.id for each in record.messages for call in each.tool_calls])
        for outcome in outcomes
        for record in outcome.records
        for said in record.messages
        if said.role == "tool"
    ]
    assert len(answers) > 40
    assert all(answer in calls for answer, calls in answers)
