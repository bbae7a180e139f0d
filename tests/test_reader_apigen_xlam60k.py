"""APIGen's requests: tools and answers are JSON in strings, parameters words of Python."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import outcome_of, own_meta, record_of, rejected, turns

from preprocess.readers import READERS

READER = READERS["apigen_xlam60k"]
TOOLS = [
    {
        "name": "tide_times",
        "description": "python",
        "parameters": {
            "harbour": {"description": "Name of a harbour", "type": "str", "default": "Brest"},
            "days": {"description": "How many", "type": "int, optional", "default": "3"},
            "levels": {"description": "In metres", "type": "List[float]"},
        },
    }
]


def native(**fields: Any) -> dict[str, Any]:
    answers = [
        {"name": "tide_times", "arguments": {"harbour": "Cork", "levels": [1.5]}},
        {"name": "tide_times", "arguments": {"harbour": "Vigo", "levels": []}},
    ]
    given = {"id": 7, "query": "When is high tide?", "answers": json.dumps(answers)}
    return {**given, "tools": json.dumps(TOOLS), **fields}


def test_a_function_may_be_called_twice_in_one_answer(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, native())
    assert record.kind == "function_call"
    assert turns(record) == [
        ("user", "When is high tide?"),
        (
            "assistant",
            "",
            'call_0 tide_times {"harbour": "Cork", "levels": [1.5]}',
            'call_1 tide_times {"harbour": "Vigo", "levels": []}',
        ),
    ]
    assert own_meta(record) == {"id": 7}
    assert record.license == "CC-BY-4.0"


def test_words_of_python_become_a_schema_and_defaults_keep_their_type(tmp_path: Path) -> None:
    (tool,) = record_of(READER, tmp_path, native()).tools
    assert (tool.name, tool.description) == ("tide_times", "python")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "harbour": {"description": "Name of a harbour", "type": "string", "default": "Brest"},
            "days": {"description": "How many", "type": "integer", "default": "3"},
            "levels": {
                "description": "In metres",
                "type": "array",
                "items": {"type": "number"},
            },
        },
        "required": ["harbour", "levels"],
    }
    assert list(tool.parameters["properties"]["days"]) == ["description", "type", "default"]


def test_python_literals_are_understood_and_counted(tmp_path: Path) -> None:
    answers = "[{'name': 'tide_times', 'arguments': {'harbour': 'Cork', 'levels': None}}]"
    outcome = outcome_of(READER, tmp_path, native(answers=answers))
    assert outcome.repairs == ("python_literal_for_json",)
    call = outcome.records[0].messages[1].tool_calls[0]
    assert call.arguments == {"harbour": "Cork", "levels": None}


def test_tools_need_not_be_in_strings(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, native(tools=TOOLS, answers=[]))
    assert record.tools[0].name == "tide_times"
    assert [turn.role for turn in record.messages] == ["user"]
    assert own_meta(record) == {"id": 7, "answers": []}


def test_what_is_not_certain_is_rejected(tmp_path: Path) -> None:
    assert rejected(READER, tmp_path, native(answers="[{'name': ")) == "invalid_json_in_string"
    assert rejected(READER, tmp_path, native(answers='[{"name": 1}]')) == "invalid_call"
    assert rejected(READER, tmp_path, native(tools='[{"title": "x"}]')) == (
        "invalid_function_document"
    )
    assert rejected(READER, tmp_path, native(query="")) == "no_question"
    assert rejected(READER, tmp_path, {"id": 1}) == "unknown_layout"
    twice = '[{"name": "f", "arguments": {"a": 1, "a": 2}}]'
    assert rejected(READER, tmp_path, native(answers=twice)) == "duplicate_key_in_string"


def test_other_fields_of_calls_and_tools_stay_in_meta(tmp_path: Path) -> None:
    answers = [{"name": "f", "arguments": {}, "score": 0.5}]
    tools = [{"name": "f", "description": "d", "parameters": {}, "cost": 2}]
    value = native(answers=json.dumps(answers), tools=json.dumps(tools))
    record = record_of(READER, tmp_path, value)
    assert own_meta(record) == {
        "id": 7,
        "tools": [{"name": "f", "cost": 2}],
        "answers": answers,
    }


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/apigen_xlam60k"
    assert counts(read_all(READER, root, root)) == {"native": 6, "out": 6}
    assert lost_leaves(READER, root, root) == (24, [])
