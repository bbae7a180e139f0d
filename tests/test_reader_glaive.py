"""glaive: LLaMA-Factory's conversations, those with reasoning, and the original texts."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import outcome_of, own_meta, record_of, rejected, turns

from preprocess.readers import READERS

READER = READERS["glaive"]
TOOL = {
    "name": "add",
    "description": "Add numbers",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
        "required": ["a", "b"],
    },
}


def shared_gpt(*said: tuple[str, str], tools: str = "[]") -> dict[str, Any]:
    conversations = [{"from": role, "value": value} for role, value in said]
    return {"conversations": conversations, "tools": tools}


def test_calls_and_observations_become_calls_and_tool_turns(tmp_path: Path) -> None:
    value = shared_gpt(
        ("human", "Was ist 1 + 2?"),
        ("function_call", '{"name": "add", "arguments": {"a": 1, "b": 2}}'),
        ("observation", '{"sum": 3}'),
        ("gpt", "Drei = 3."),
        tools=json.dumps([TOOL]),
    )
    record = record_of(READER, tmp_path, value)
    assert record.kind == "trajectory"
    assert turns(record) == [
        ("user", "Was ist 1 + 2?"),
        ("assistant", "", 'call_0 add {"a": 1, "b": 2}'),
        ("tool", '{"sum": 3}', "to call_0"),
        ("assistant", "Drei = 3."),
    ]
    assert record.tools[0].parameters == TOOL["parameters"]
    assert own_meta(record) == {}


def test_other_fields_of_turns_and_tools_stay_in_meta(tmp_path: Path) -> None:
    value = shared_gpt(("human", "Hi"), ("gpt", "Hello"), tools=json.dumps([{**TOOL, "cost": 1}]))
    value["conversations"][1]["weight"] = 0
    assert own_meta(record_of(READER, tmp_path, value)) == {
        "turn_fields": [{"turn": 1, "weight": 0}],
        "tools": [{"name": "add", "cost": 1}],
    }


def test_a_conversation_without_tools_is_text(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, shared_gpt(("human", "Hi"), ("gpt", "Hello")))
    assert (record.kind, record.tools) == ("text", ())


def test_tools_that_are_not_called_make_it_a_function_call(tmp_path: Path) -> None:
    value = shared_gpt(("human", "Hi"), ("gpt", "Hello"), tools=json.dumps([TOOL]))
    assert record_of(READER, tmp_path, value).kind == "function_call"


def test_an_observation_that_breaks_off_is_counted(tmp_path: Path) -> None:
    value = shared_gpt(
        ("human", "List"),
        ("function_call", '{"name": "add", "arguments": {}}'),
        ("observation", '{"rows": ["a", "b'),
        tools=json.dumps([TOOL]),
    )
    assert own_meta(record_of(READER, tmp_path, value)) == {"truncated_observations": 1}


def reasoned(*said: tuple[str, list[tuple[str, str]]], tools: str = "[]") -> dict[str, Any]:
    messages = [
        {"role": role, "content": [{"type": kind, "value": text} for kind, text in parts]}
        for role, parts in said
    ]
    return {"messages": messages, "tools": tools}


def test_reasoning_stands_before_what_is_said_and_called(tmp_path: Path) -> None:
    calls = [json.dumps({"name": "add", "arguments": {"a": each, "b": 1}}) for each in (1, 2)]
    value = reasoned(
        ("system", [("text", "Be brief.")]),
        ("user", [("text", "Add twice")]),
        ("assistant", [("reasoning", "Two calls."), *(("tool_call", each) for each in calls)]),
        ("tool", [("text", "[2, 3]")]),
        ("assistant", [("reasoning", "Done."), ("text", "2 and 3")]),
        tools=json.dumps([{"type": "function", "function": TOOL}]),
    )
    record = record_of(READER, tmp_path, value)
    assert turns(record) == [
        ("system", "Be brief."),
        ("user", "Add twice"),
        ("assistant", "Two calls.", 'call_0 add {"a": 1, "b": 1}', 'call_1 add {"a": 2, "b": 1}'),
        ("tool", "[2, 3]", "to call_0"),
        ("assistant", "Done.\n\n2 and 3"),
    ]
    assert own_meta(record) == {"reasoning_characters": {"2": 10, "4": 5}}


def test_required_beside_the_parameters_is_theirs(tmp_path: Path) -> None:
    document = {
        "name": "site",
        "description": "d",
        "parameters": {"type": "dict", "properties": {"name": {"type": "str", "default": "x"}}},
        "required": ["name"],
    }
    tools = json.dumps([{"type": "function", "function": document}])
    value = reasoned(("user", [("text", "Hi")]), tools=tools)
    record = record_of(READER, tmp_path, value)
    assert record.tools[0].parameters == {
        "type": "object",
        "properties": {"name": {"type": "string", "default": "x"}},
        "required": ["name"],
    }
    assert own_meta(record) == {}


def original(chat: str, system: str = "") -> dict[str, Any]:
    return {"system": system, "chat": chat}


SYSTEM = "SYSTEM: You are a helpful assistant with access to the following functions. "
SYSTEM += (
    f"Use them if required -\n{json.dumps(TOOL, indent=4)}\n\n{json.dumps({**TOOL, 'name': 'b'})}"
)


def test_the_original_text_is_cut_into_turns(tmp_path: Path) -> None:
    chat = (
        "USER: What is 1 + 2?\n\n\nASSISTANT: <functioncall> "
        '{"name": "add", "arguments": \'{"a": 1, "b": 2}\'} <|endoftext|>\n\n\n'
        'FUNCTION RESPONSE: {"sum": 3}\n\n\nASSISTANT: It is 3. <|endoftext|>\n\n\n'
    )
    outcome = outcome_of(READER, tmp_path, original(chat, SYSTEM))
    assert outcome.repairs == ("single_quotes_around_json",)
    (record,) = outcome.records
    assert [tool.name for tool in record.tools] == ["add", "b"]
    assert turns(record) == [
        ("user", "What is 1 + 2?"),
        ("assistant", "", 'call_0 add {"a": 1, "b": 2}'),
        ("tool", '{"sum": 3}', "to call_0"),
        ("assistant", "It is 3."),
    ]


def test_an_original_without_functions_keeps_its_system_turn(tmp_path: Path) -> None:
    chat = "USER: Hi\n\n\nASSISTANT: Hello! <|endoftext|>"
    record = record_of(READER, tmp_path, original(chat, "SYSTEM: You are helpful."))
    assert turns(record) == [
        ("system", "You are helpful."),
        ("user", "Hi"),
        ("assistant", "Hello!"),
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (shared_gpt(("robot", "x")), "unknown_role"),
        (shared_gpt(("function_call", "{'name': ")), "invalid_json_in_string"),
        ({"conversations": [{"from": "human"}], "tools": "[]"}, "invalid_turn"),
        ({"conversations": [], "tools": "[]"}, "no_turns"),
        (reasoned(("assistant", [("text", "a"), ("reasoning", "b")])), "unknown_part_order"),
        (reasoned(("assistant", [("image", "a")])), "unknown_part"),
        (original("Hi there"), "unknown_chat"),
        (original('USER: a\n\n\nASSISTANT: <functioncall> {"nam'), "invalid_call"),
        ([1], "unknown_layout"),
    ],
)
def test_what_is_not_certain_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    assert rejected(READER, tmp_path, value) == reason


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/glaive"
    outcomes = read_all(READER, root, root)
    assert counts(outcomes) == {"native": 308, "out": 308}
    kinds = [record.kind for outcome in outcomes for record in outcome.records]
    assert kinds.count("trajectory") == 159
    assert kinds.count("text") == 95
    assert lost_leaves(READER, root, root) == (1622, [])


def test_a_system_prompt_stands_first_whatever_the_layout(tmp_path: Path) -> None:
    said = {"role": "user", "content": [{"type": "text", "value": "Hi"}]}
    record = record_of(READER, tmp_path, {"messages": [said], "tools": "[]", "system": "Be kind."})
    assert turns(record) == [("system", "Be kind."), ("user", "Hi")]
    other = record_of(READER, tmp_path, {"messages": [said], "system": {"mood": "kind"}})
    assert own_meta(other) == {"system": {"mood": "kind"}}


def test_a_tool_that_is_no_function_says_so(tmp_path: Path) -> None:
    tools = [{"type": "retrieval", "function": TOOL}]
    record = record_of(READER, tmp_path, shared_gpt(("human", "Hi"), tools=json.dumps(tools)))
    assert own_meta(record) == {"tools": [{"name": "add", "type": "retrieval"}]}
