"""API-Bank's dialogues, scenes and table of APIs."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest
from leaves import counts, files, long_leaves, missing_leaves

from preprocess.readers.datasets.api_bank import READER

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome, Record


def _read(tmp_path: Path, content: str, name: str) -> list[Outcome]:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return list(READER.read(path, name))


def _record(tmp_path: Path, content: str, name: str) -> Record:
    ((record,),) = (each.records for each in _read(tmp_path, content, name))
    return record


def _api(name: str, given: dict[str, str], **result: Any) -> dict[str, Any]:
    return {"role": "API", "api_name": name, "param_dict": given, "result": result}


def _lines(*turns: dict[str, Any]) -> str:
    return "".join(json.dumps(turn) + "\n" for turn in turns)


def test_dialogue_is_one_record_with_calls_and_answers(tmp_path: Path) -> None:
    result = {"api_name": "Add", "input": {"a": "1"}, "output": "success", "exception": None}
    content = _lines(
        {"role": "User", "text": "Add it."},
        {"role": "AI", "text": "I will."},
        _api("Add", {"a": "1"}, **result),
        _api("Get", {}, input=None, output=None, exception="The token is invalid."),
        {"role": "AI", "text": "Done."},
    )
    record = _record(tmp_path, content, "Add-level-1-1.jsonl")
    assert record.id == "api_bank/Add-level-1-1.jsonl#0"
    assert record.kind == "trajectory"
    said = record.messages
    assert [(each.role, each.content) for each in said[:3]] == [
        ("user", "Add it."),
        ("assistant", "I will."),
        ("tool", json.dumps(result, separators=(",", ":"))),
    ]
    assert [call.name for each in said for call in each.tool_calls] == ["Add", "Get"]
    assert [(each.role, each.tool_call_id) for each in said[2:]] == [
        ("tool", "call_0"),
        ("assistant", None),
        ("tool", "call_1"),
        ("assistant", None),
    ]
    assert said[3].content == ""
    assert "turn_fields" not in record.meta


def test_arguments_are_what_the_api_took_where_it_says_so(tmp_path: Path) -> None:
    given = {
        "attendees": "['Ann', 'Bo']",
        "count": "2",
        "on": "True",
        "formula": "(1+2)*3",
        "phone": "0123",
        "other": "3",
        "more": "1",
    }
    taken = {**given, "attendees": ["Ann", "Bo"], "count": 2, "on": True, "other": 4, "more": True}
    content = _lines({"role": "User", "text": "Go"}, _api("F", given, input=taken, output="ok"))
    (outcome,) = _read(tmp_path, content, "a.jsonl")
    (record,) = outcome.records
    (call,) = record.messages[1].tool_calls
    assert call.arguments == {
        **given,
        "attendees": ["Ann", "Bo"],
        "count": 2,
        "on": True,
    }
    assert call.arguments["more"] == "1"  # 1 is equal to True, and is not what the API took
    assert outcome.repairs == ("argument_as_the_api_took_it",) * 3
    assert record.meta["turn_fields"] == [{"turn": 2, "param_dict": given}]


def test_list_that_the_api_does_not_confirm_stays_a_string(tmp_path: Path) -> None:
    content = _lines({"role": "User", "text": "Go"}, _api("F", {"a": "['Ann']"}, output="ok"))
    (outcome,) = _read(tmp_path, content, "a.jsonl")
    assert outcome.records[0].messages[1].tool_calls[0].arguments == {"a": "['Ann']"}
    assert outcome.repairs == ()


def test_tools_found_by_a_search_are_documented(tmp_path: Path) -> None:
    found = {
        "name": "Add",
        "description": "Adds.",
        "input_parameters": {"n": {"type": "int", "description": "How many"}},
        "output_parameters": {},
    }
    for output in (found, [found]):
        content = _lines(
            {"role": "User", "text": "Go"},
            _api("ToolSearcher", {"keywords": "add"}, input={"keywords": "add"}, output=output),
        )
        (outcome,) = _read(tmp_path, content, "a.jsonl")
        documentation, _ = outcome.records
        (tool,) = documentation.tools
        assert (documentation.kind, tool.name) == ("tool_documentation", "Add")
        assert tool.parameters["properties"] == {
            "n": {"type": "integer", "description": "How many"}
        }


def test_scene_keeps_its_text_and_has_its_calls(tmp_path: Path) -> None:
    text = (
        "Scene: Trip\n\nFirst Utterence: Plan it.\n\nKey Info:\n- Hotel\n\n- API Calls:\n"
        'Token(username="J", n=2): 获取用户令牌\n\nAdd(who=["J"])\n\n'
    )
    record = _record(tmp_path, text, "Trip.txt")
    assert record.text == text
    assert record.messages[0].content == "Plan it."
    assert [(call.name, call.arguments) for call in record.messages[1].tool_calls] == [
        ("Token", {"username": "J", "n": 2}),
        ("Add", {"who": ["J"]}),
    ]


def test_scene_with_a_line_that_is_no_call_has_none(tmp_path: Path) -> None:
    text = "First Utterance: Plan it.\nAPI Call:\nToken(a=1)\nand then wait\n"
    record = _record(tmp_path, text, "Trip.txt")
    assert [each.role for each in record.messages] == ["user"]
    assert "and then wait" in record.text


_HEADER = ["id", "类型", "API名称", "类名", "input_parameters", "api_info"]


def _table(tmp_path: Path, *rows: list[str]) -> list[Outcome]:
    path = tmp_path / "all_apis.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([_HEADER, *rows])
    return list(READER.read(path, path.name))


def test_row_of_the_table_is_a_document(tmp_path: Path) -> None:
    info = (
        'description = "Adds an alarm."\n\ninput_parameters = {\n'
        "    'time': {'type': 'datetime', 'description': 'When'},\n"
        "    'who': {'type': 'List[str]', 'description': 'Whom'}\n}\noutput_parameters = {}\n"
    )
    row = ["19", "对外影响", "设置闹钟", "AddAlarm", "(time: datetime)", info]
    (outcome,) = _table(tmp_path, row)
    (record,) = outcome.records
    (tool,) = record.tools
    assert (tool.name, tool.description) == ("AddAlarm", "Adds an alarm.")
    assert tool.parameters["properties"] == {
        "time": {"type": "string", "x-type": "datetime", "description": "When"},
        "who": {"type": "array", "items": {"type": "string"}, "description": "Whom"},
    }
    assert {name: record.meta[name] for name in _HEADER} == dict(zip(_HEADER, row, strict=True))


@pytest.mark.parametrize("none", ["None", "{\n    None\n}", "{}"])
def test_api_without_parameters_has_none(tmp_path: Path, none: str) -> None:
    info = f"description = 'Today.'\ninput_parameters = {none}\n"
    (outcome,) = _table(tmp_path, ["1", "", "", "GetToday", "()", info])
    assert outcome.records[0].tools[0].parameters["properties"] == {}


def test_api_without_documentation_has_its_signature(tmp_path: Path) -> None:
    (outcome,) = _table(tmp_path, ["40", "", "图像描述", "ImageCaption", "(image: str)", "."])
    (tool,) = outcome.records[0].tools
    assert (tool.name, tool.description) == ("ImageCaption", "")
    assert tool.parameters["properties"] == {"image": {"type": "string"}}
    assert outcome.repairs == ("signature_for_documentation",)


def test_fine_tuning_record_has_the_request_and_the_call(tmp_path: Path) -> None:
    value = {
        "instruction": "Generate an API request.",
        "input": "User: Delete it.\nGenerate API Request: ",
        "output": "API-Request: [Delete(name='a', n=2)]",
    }
    plain = {**value, "output": "API-Request: [Delete(name=a)]"}
    called, spoken = _read(tmp_path, json.dumps([value, plain]), "train.json")
    messages = called.records[0].messages
    assert messages[0].content == f"{value['instruction']}\n{value['input']}"
    assert [(c.name, c.arguments) for c in messages[1].tool_calls] == [
        ("Delete", {"name": "a", "n": 2})
    ]
    assert called.records[0].meta["output"] == value["output"]
    assert spoken.records[0].messages[1].content == plain["output"]
    assert spoken.records[0].messages[1].tool_calls == ()


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        pytest.param("", "a.jsonl", "empty_file", id="empty"),
        pytest.param("\n \n", "a.jsonl", "empty_file", id="blank"),
        pytest.param('{"role": "User", "text": "a"}\n{"role"', "a.jsonl", "truncated", id="cut"),
        pytest.param(
            '{"role": "User", "text": "a", "text": "b"}', "a.jsonl", "duplicate_key", id="dup"
        ),
        pytest.param('{"role": "X", "text": "a"}', "a.jsonl", "unknown_role", id="role"),
        pytest.param('{"role": "API"}', "a.jsonl", "unknown_call", id="call"),
        pytest.param("A story.", "a.txt", "scene_without_request", id="text"),
        pytest.param("类名,api_info\nA,x = f()\n", "a.csv", "invalid_api_info", id="source"),
        pytest.param("a,b\n1,2\n", "a.csv", "unknown_layout", id="other-table"),
        pytest.param("[1]", "a.json", "no_object", id="number"),
        pytest.param('[{"question": "a"}]', "a.json", "unknown_layout", id="other-record"),
    ],
)
def test_what_cannot_be_understood_is_rejected(
    tmp_path: Path, content: str, name: str, reason: str
) -> None:
    (outcome,) = _read(tmp_path, content, name)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


def test_state_of_the_environment_is_left_out(tmp_path: Path) -> None:
    (outcome,) = _read(tmp_path, '{"JohnDoe": {"token": "a"}}', "Account.json")
    assert outcome.dropped == ("state_of_the_environment",)


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/api_bank"
    outcomes = []
    for path in files(READER, root):
        read = list(READER.read(path, path.relative_to(root).as_posix()))
        outcomes += read
        records = [record for outcome in read for record in outcome.records]
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            values: list[Any] = [json.loads(line) for line in text.splitlines() if line.strip()]
        elif path.suffix == ".csv":
            values = list(csv.DictReader(text.splitlines(keepends=True)))
        else:
            values = [text] if records else []
        assert missing_leaves(values, records) == [], path
        assert len(read) == (101 if path.suffix == ".csv" else 1), path
        assert long_leaves(values) or not records or path.suffix == ".jsonl", path
    assert counts(outcomes) == {
        "native": 352,
        "out": 375,
        "repaired argument_as_the_api_took_it": 61,
        "repaired signature_for_documentation": 1,
        "dropped state_of_the_environment": 17,
        "rejected empty_file": 1,
    }


def test_the_expected_answer_comes_before_a_models(tmp_path: Path) -> None:
    value = {
        "instruction": "Call.",
        "input": "User: now",
        "output": "API-Request: [Guess()]",
        "expected_output": "API-Request: [Know(a='1')]",
    }
    record = _record(tmp_path, json.dumps([value]), "tuned.json")
    assert [call.name for call in record.messages[1].tool_calls] == ["Know"]
    assert record.meta["output"] == value["output"]


def test_an_answer_without_words_is_rejected(tmp_path: Path) -> None:
    value = {"instruction": "Call.", "input": "", "output": " "}
    (outcome,) = _read(tmp_path, json.dumps([value]), "tuned.json")
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "no_answer"
