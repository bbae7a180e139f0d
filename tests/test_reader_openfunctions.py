"""OpenFunctions: test and training keys, the leaderboard's questions and answers, v2's output."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import outcome_of, own_meta, record_of, rejected, turns

from preprocess.readers import READERS

READER = READERS["openfunctions"]
LEADERBOARD = READERS["bfcl_v1"]
PARAMETERS = {
    "type": "object",
    "properties": {"port": {"type": "string"}, "berths": {"type": "integer"}},
    "required": ["port"],
}


def test_the_name_that_is_called_is_the_tools(tmp_path: Path) -> None:
    function = {
        "name": "Ferry Finder",
        "api_call": "ferry.find",
        "description": "Find ferries",
        "parameters": PARAMETERS,
    }
    answer = 'ferry.find(port="Brest", berths=2)'
    value = {"question": "A ferry?", "function": function, "model_answer": answer}
    record = record_of(READER, tmp_path, value)
    assert record.tools[0].name == "ferry.find"
    assert turns(record) == [
        ("user", "A ferry?"),
        ("assistant", "", 'call_0 ferry.find {"port": "Brest", "berths": 2}'),
    ]
    assert own_meta(record) == {
        "model_answer": answer,
        "function": [{"name": "ferry.find", "title": "Ferry Finder"}],
    }
    assert record.meta["checks"]["valid"] is True


def test_training_keys_and_functions_in_strings_are_understood(tmp_path: Path) -> None:
    function = {
        "name": "Ferry",
        "api_name": "ferry.book",
        "description": "Book",
        "parameters": [{"name": "port", "description": "where"}, {"name": "berths"}],
    }
    value = {
        "Instruction": "Book two",
        "Functions": [repr(function), json.dumps({**function, "api_name": "ferry.drop"})],
        "Output": ["ferry.book('Brest', berths=2)", 'ferry.drop(port="Cork")'],
    }
    outcome = outcome_of(READER, tmp_path, value)
    assert outcome.repairs == ("python_literal_for_json",)
    (record,) = outcome.records
    assert turns(record)[1] == (
        "assistant",
        "",
        'call_0 ferry.book {"port": "Brest", "berths": 2}',
        'call_1 ferry.drop {"port": "Cork"}',
    )
    assert record.tools[0].parameters == {
        "type": "object",
        "properties": {"port": {"description": "where"}, "berths": {}},
    }
    assert "benchmark" not in record.meta


def leaderboard(answer: str, **function: Any) -> dict[str, Any]:
    document = {"name": "f", "description": "d", "parameters": PARAMETERS, **function}
    return {"question": "Which?", "function": document, "human_eval_answer": answer}


def test_records_of_the_leaderboard_are_a_benchmark(tmp_path: Path) -> None:
    record = record_of(LEADERBOARD, tmp_path, leaderboard("f(port='x')"))
    assert (record.source, record.meta["benchmark"]) == ("bfcl_v1", "bfcl_v1")
    several = {"question": "Which?", "function": [leaderboard("")["function"]] * 2}
    record = record_of(LEADERBOARD, tmp_path, several)
    assert (len(record.tools), record.meta["benchmark"]) == (2, "bfcl_v1")


def test_words_of_json_are_values_of_calls(tmp_path: Path) -> None:
    record = record_of(LEADERBOARD, tmp_path, leaderboard("f(port='x', open=true)"))
    assert turns(record)[1] == ("assistant", "", 'call_0 f {"port": "x", "open": true}')


@pytest.mark.parametrize(
    "answer",
    [
        "View.create(controller=mapController, parent=mapArea)",
        "EFS.copy(destination=new Path('/a(b'), force=true)",
        "wave(start=0, end=2*pi)",
    ],
)
def test_calls_with_expressions_stay_as_they_are(tmp_path: Path, answer: str) -> None:
    assert turns(record_of(LEADERBOARD, tmp_path, leaderboard(answer)))[1] == ("assistant", answer)


@pytest.mark.parametrize("answer", ["f(port='x'", "f(port='x'')", "f port=x", "f(a]"])
def test_calls_that_break_off_are_rejected(tmp_path: Path, answer: str) -> None:
    assert rejected(LEADERBOARD, tmp_path, leaderboard(answer)) == "invalid_call_text"


def test_flat_parameters_of_the_leaderboard_become_a_schema(tmp_path: Path) -> None:
    flat = {"element": {"type": "HTMLElement"}, "done": {"type": "Boolean"}, "required": ["done"]}
    record = record_of(LEADERBOARD, tmp_path, leaderboard("f(done=true)", parameters=flat))
    assert record.tools[0].parameters == {
        "type": "object",
        "properties": {"element": {"x-type": "HTMLElement"}, "done": {"type": "boolean"}},
        "required": ["done"],
    }


def test_accepted_answers_stand_as_they_are(tmp_path: Path) -> None:
    value = {"f": {"port": ["x", "X"], "where": {"city": ["y"]}, "open": [True, ""]}}
    record = record_of(LEADERBOARD, tmp_path, value)
    assert json.loads(record.text) == value
    assert record.meta == {"possible_answer": value, "benchmark": "bfcl_v1"}


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"message": m, "index": 0}])
def test_answers_of_version_2_have_calls_as_objects(tmp_path: Path, wrap: Any) -> None:
    message = {
        "role": "assistant",
        "content": 'f(port="x"), f(port="y")',
        "function_call": [{"name": "f", "arguments": {"port": each}} for each in "xy"],
    }
    record = record_of(READER, tmp_path, wrap(message))
    assert turns(record) == [
        ("assistant", "", 'call_0 f {"port": "x"}', 'call_1 f {"port": "y"}'),
    ]
    assert str(message["content"]) in str(record.meta)


def test_other_objects_are_rejected(tmp_path: Path) -> None:
    assert rejected(READER, tmp_path, {"f": {"port": "x"}}) == "unknown_layout"
    assert rejected(READER, tmp_path, {}) == "unknown_layout"
    assert rejected(READER, tmp_path, {"question": "", "function": []}) == "no_question"


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/openfunctions"
    # One call lacks its closing bracket, another has a quote too many.
    assert counts(read_all(READER, root, root)) == {
        "native": 1201,
        "out": 101,
        "dropped benchmark_bfcl_v1": 1098,
        "rejected invalid_call_text": 2,
    }
    assert counts(read_all(LEADERBOARD, root, root)) == {
        "native": 1201,
        "out": 1098,
        "dropped not_of_the_benchmark": 101,
        "rejected invalid_call_text": 2,
    }
    assert lost_leaves(READER, root, root)[1] == lost_leaves(LEADERBOARD, root, root)[1] == []


@pytest.mark.parametrize("name", ["checks", "template", "benchmark"])
def test_a_field_with_a_name_of_ours_is_kept_apart(tmp_path: Path, name: str) -> None:
    value = {"question": "q", "function": {"name": "f"}, "model_answer": "f()", name: {"a": "b"}}
    record = record_of(READER, tmp_path, value)
    assert record.meta["source_fields"] == {name: {"a": "b"}}
    assert record.meta["checks"]["valid"] is True
    assert isinstance(record.meta["template"], str)
    assert "benchmark" not in record.meta


def test_a_field_called_checks_is_no_check(tmp_path: Path) -> None:
    value = {"question": "q", "function": {"name": "f"}, "model_answer": "f(x)", "checks": {}}
    record = record_of(READER, tmp_path, value)
    assert "checks" not in record.meta
    assert record.meta["source_fields"] == {"checks": {}}
