"""The Berkeley leaderboard: questions, accepted answers, functions; never training data."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import own_meta, record_of, rejected, turns

from preprocess.readers import READERS

READER = READERS["bfcl_v3"]
MARK = {"benchmark": "bfcl_v3"}
ASKED = {"role": "user", "content": "北京?"}


def function(**properties: Any) -> dict[str, Any]:
    parameters = {"type": "dict", "properties": properties, "required": []}
    return {"name": "geo.find", "description": "d", "parameters": parameters}


def test_a_question_carries_its_functions_and_the_mark_of_a_benchmark(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be exact."}
    value = {"id": "live_0", "question": [[system, ASKED]], "function": [function()]}
    record = record_of(READER, tmp_path, value)
    assert turns(record) == [("system", "Be exact."), ("user", "北京?")]
    assert own_meta(record) == {"id": "live_0", **MARK}
    assert READER.is_benchmark


@pytest.mark.parametrize("question", ["北京?", [ASKED], [[ASKED]]])
def test_earlier_layouts_of_questions_are_one_turn(tmp_path: Path, question: Any) -> None:
    record = record_of(READER, tmp_path, {"id": "a", "question": question, "function": function()})
    assert turns(record) == [("user", "北京?")]
    assert len(record.tools) == 1


def test_types_of_three_languages_are_mapped(tmp_path: Path) -> None:
    words = {
        "string": "string",
        "String": "string",
        "char": "string",
        "integer": "integer",
        "long": "integer",
        "float": "number",
        "double": "number",
        "boolean": "boolean",
        "Boolean": "boolean",
        "array": "array",
        "Array": "array",
        "ArrayList": "array",
        "tuple": "array",
        "dict": "object",
        "HashMap": "object",
        "any": None,
        "": None,
    }
    given = {f"of {word}": {"type": word} for word in words}
    value = {"id": "a", "question": [[ASKED]], "function": [function(**given)]}
    (tool,) = record_of(READER, tmp_path, value).tools
    made = tool.parameters["properties"]
    assert {word: made[f"of {word}"].get("type") for word in words} == words
    assert tool.parameters["type"] == "object"


def test_turns_of_a_long_dialogue_are_counted(tmp_path: Path) -> None:
    value = {
        "id": "multi_turn_0",
        "question": [[ASKED], [], [ASKED, ASKED]],
        "initial_config": {"root": {"a": 1}},
        "path": ["A.b"],
        "involved_classes": ["A"],
    }
    record = record_of(READER, tmp_path, value)
    assert len(record.messages) == 3
    rest = {key: value[key] for key in value if key != "question"}
    assert own_meta(record) == {**rest, "turns": [1, 0, 2], **MARK}


def test_executable_answers_are_calls(tmp_path: Path) -> None:
    truth = ["geo.find(x=1)", "geo.find(x=2)"]
    functions = [function(x={"type": "integer"})]
    value = {"id": "e", "question": [[ASKED]], "function": functions, "ground_truth": truth}
    record = record_of(READER, tmp_path, value)
    assert turns(record)[1] == (
        "assistant",
        "",
        'call_0 geo.find {"x": 1}',
        'call_1 geo.find {"x": 2}',
    )
    assert record.meta["ground_truth"] == truth


def test_functions_whose_properties_a_table_made_a_string_are_read(tmp_path: Path) -> None:
    document = function()
    document["parameters"]["properties"] = '{"x": {"type": "float"}}'
    value = {"id": "a", "question": [[ASKED]], "function": json.dumps([document])}
    (tool,) = record_of(READER, tmp_path, value).tools
    assert tool.parameters["properties"] == {"x": {"type": "number"}}


def test_accepted_answers_keep_their_id(tmp_path: Path) -> None:
    truth = [{"geo.find": {"x": [1, ""], "where": [{"city": ["a"]}]}}, {"geo.find": {"x": [2]}}]
    record = record_of(READER, tmp_path, {"id": "parallel_0", "ground_truth": truth})
    assert [json.loads(line) for line in record.text.split("\n")] == truth
    assert own_meta(record) == {"id": "parallel_0", "ground_truth": truth, **MARK}


def test_accepted_calls_of_a_dialogue_stand_one_a_line(tmp_path: Path) -> None:
    truth = [["cd(folder='a')", "sort('b')"], [], ["ls()"]]
    record = record_of(READER, tmp_path, {"id": "multi_turn_0", "ground_truth": truth})
    assert record.text == "cd(folder='a')\nsort('b')\nls()"
    assert record.meta["ground_truth"] == truth


def test_accepted_answers_of_the_first_version_have_no_id(tmp_path: Path) -> None:
    value = {"geo.find": {"x": [1, ""], "where": {"city": ["a"]}}}
    record = record_of(READER, tmp_path, value)
    assert json.loads(record.text) == value
    assert own_meta(record) == {"ground_truth": [value], **MARK}


def test_a_function_is_documentation_with_its_response(tmp_path: Path) -> None:
    response = {"type": "dict", "properties": {"ok": {"type": "boolean"}}}
    record = record_of(READER, tmp_path, {**function(), "response": response})
    assert (record.kind, record.tools[0].name) == ("tool_documentation", "geo.find")
    assert own_meta(record) == {"response": response, **MARK}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"id": "a", "question": []}, "no_question"),
        ({"id": "a", "question": [[{"role": "user"}]]}, "invalid_turn"),
        ({"id": "a", "question": [[{"role": "x", "content": "y"}]]}, "unknown_role"),
        ({"id": "a", "ground_truth": []}, "no_answer"),
        ({"id": "a", "ground_truth": [[]]}, "no_answer"),
        ({"id": "a"}, "unknown_layout"),
    ],
)
def test_what_is_not_certain_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    assert rejected(READER, tmp_path, value) == reason


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/bfcl_v3"
    outcomes = read_all(READER, root, root)
    assert counts(outcomes) == {"native": 6039, "out": 6039}
    records = [record for outcome in outcomes for record in outcome.records]
    assert all(record.meta["benchmark"] == "bfcl_v3" for record in records)
    roles = [turn.role for record in records for turn in record.messages]
    assert (roles.count("system"), roles.count("assistant")) == (78, 2)
    assert lost_leaves(READER, root, root) == (32456, [])


def test_accepted_answers_of_the_first_version_are_read(tmp_path: Path) -> None:
    value = {"geo.find": {"place": ["Brest", ""], "n": [1]}}
    record = record_of(READER, tmp_path, value)
    assert own_meta(record) == {"ground_truth": [value], **MARK}
    assert json.loads(record.text) == value


def test_turns_without_a_message_keep_their_place(tmp_path: Path) -> None:
    missed = {"1": ["sort"]}
    value = {"id": "multi_turn_miss_func_0", "question": [[ASKED], [], [ASKED]]}
    record = record_of(READER, tmp_path, value | {"missed_function": missed})
    assert own_meta(record) == {
        "id": "multi_turn_miss_func_0", "missed_function": missed, "turns": [1, 0, 1], **MARK
    }  # fmt: skip
