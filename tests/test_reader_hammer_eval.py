"""Hammer's test sets: API-Bank, Seal-Tools and ToolAlpaca in one shape."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import own_meta, record_of, rejected, turns

from preprocess.readers import READERS

READER = READERS["hammer_eval"]


def native(**fields: Any) -> dict[str, Any]:
    tool = {"name": "f", "description": "d", "parameters": {"x": {"type": "str"}}}
    call = {"name": "f", "arguments": {"x": "y"}}
    return {"query": "Do it", "tools": [tool], "answers": [call], **fields}


def test_a_request_has_its_calls(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, native())
    assert turns(record) == [("user", "Do it"), ("assistant", "", 'call_0 f {"x": "y"}')]
    assert record.kind == "function_call"
    assert own_meta(record) == {}


def test_a_dialogue_stands_before_its_calls(tmp_path: Path) -> None:
    query = [
        {"role": "user", "content": "Do it"},
        {"role": "agent", "content": "At once."},
        {"role": "assistant", "content": '```[{"name": "f", "arguments": {"x": "1"}}]```'},
        {"role": "tool", "content": "{'token': 'abc'}\nGenerate API Request:"},
    ]
    record = record_of(READER, tmp_path, native(query=query))
    assert record.kind == "trajectory"
    assert turns(record) == [
        ("user", "Do it"),
        ("assistant", "At once."),
        ("assistant", "", 'call_0 f {"x": "1"}'),
        ("tool", "{'token': 'abc'}\nGenerate API Request:", "to call_0"),
        ("assistant", "", 'call_1 f {"x": "y"}'),
    ]


def test_seal_tools_names_calls_otherwise_and_lists_what_is_required(tmp_path: Path) -> None:
    flat = {"x": {"type": "int", "description": "n", "required": True}, "y": {"type": "float"}}
    tool = {"name": "g", "description": "d", "parameters": flat, "required": ["x"]}
    answers = [{"tool": "g", "parameters": {"x": 1}}]
    record = record_of(READER, tmp_path, native(tools=[tool], answers=answers))
    assert turns(record)[1] == ("assistant", "", 'call_0 g {"x": 1}')
    assert record.tools[0].parameters == {
        "type": "object",
        "properties": {"x": {"type": "integer", "description": "n"}, "y": {"type": "number"}},
        "required": ["x"],
    }
    assert own_meta(record) == {}


def test_parameters_without_a_mark_are_not_required(tmp_path: Path) -> None:
    flat = {"x": {"type": "string", "required": True}, "y": {"type": "string"}}
    tools = [
        {"name": "f", "description": "", "parameters": flat},
        {"name": "g", "description": "", "parameters": {"z": {"type": "str"}}, "return": {"a": 1}},
    ]
    record = record_of(READER, tmp_path, native(tools=tools))
    assert [tool.parameters["required"] for tool in record.tools] == [["x"], []]
    assert own_meta(record) == {"tools": [{"name": "g", "return": {"a": 1}}]}


def test_an_empty_answer_is_no_turn(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, native(answers=[]))
    assert turns(record) == [("user", "Do it")]
    assert own_meta(record) == {"answers": []}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"query": []}, "no_question"),
        ({"query": [{"role": "user", "content": None}]}, "invalid_turn"),
        ({"query": [{"role": "boss", "content": "x"}]}, "unknown_role"),
        ({"answers": "f(x)"}, "invalid_json_in_string"),
        ({"answers": 5}, "invalid_call"),
        ({"tools": [{"name": "f", "parameters": {"x": 1}}]}, "invalid_parameters"),
    ],
)
def test_what_is_not_certain_is_rejected(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    assert rejected(READER, tmp_path, native(**fields)) == reason


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/hammer_eval"
    assert counts(read_all(READER, root, root)) == {"native": 244, "out": 244}
    total, lost = lost_leaves(READER, root, root)
    # Calls of API-Bank's dialogues stand in fences; they are calls of the record.
    assert all(leaf.startswith("```[{") for leaf in lost)
    assert (total, len(lost)) == (2033, 93)


def test_tools_and_answers_may_be_strings(tmp_path: Path) -> None:
    plain = native()
    strings = {key: json.dumps(plain[key]) for key in ("tools", "answers")}
    as_strings = record_of(READER, tmp_path, plain | strings)
    assert as_strings == record_of(READER, tmp_path, plain)
