"""TaskBench's requests, solutions, tools and graphs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from leaves import counts, lost_leaves, read_all

from preprocess.readers.datasets.taskbench import READER

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome


def _read(tmp_path: Path, value: Any) -> Outcome:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(value))
    (outcome,) = READER.read(path, path.name)
    return outcome


def test_request_alone(tmp_path: Path) -> None:
    (record,) = _read(tmp_path, {"id": "13590101", "user_request": "Play it"}).records
    assert record.kind == "function_call"
    assert [(each.role, each.content) for each in record.messages] == [("user", "Play it")]
    assert record.meta["id"] == "13590101"


def test_solution_in_json_strings_is_steps_and_calls(tmp_path: Path) -> None:
    nodes = [
        {"task": "play_movie", "arguments": [{"name": "title", "value": "Up"}]},
        {"task": "wait", "arguments": []},
    ]
    value = {
        "id": "1",
        "user_request": "Play it",
        "task_steps": json.dumps(["Step 1: Find it", "Step 2: Wait"]),
        "task_nodes": json.dumps(nodes),
        "type": "chain",
    }
    (record,) = _read(tmp_path, value).records
    said = record.messages[1]
    assert said.content == "Step 1: Find it\nStep 2: Wait"
    assert [(call.id, call.name, call.arguments) for call in said.tool_calls] == [
        ("call_0", "play_movie", {"title": "Up"}),
        ("call_1", "wait", {}),
    ]
    assert {name: record.meta[name] for name in ("task_steps", "task_nodes", "type")} == {
        name: value[name] for name in ("task_steps", "task_nodes", "type")
    }


def test_calls_without_names_of_arguments_stay_json(tmp_path: Path) -> None:
    nodes = [{"task": "Image-to-Text", "arguments": ["a.jpg"]}]
    value = {"id": "1", "instruction": "Read it", "tool_steps": "['Read']", "tool_nodes": nodes}
    outcome = _read(tmp_path, value)
    (record,) = outcome.records
    assert record.messages[1].tool_calls == ()
    assert record.messages[1].content == 'Read\n[{"task":"Image-to-Text","arguments":["a.jpg"]}]'
    assert outcome.repairs == ("python_literal_for_json",)


def test_each_tool_is_a_document_with_its_links(tmp_path: Path) -> None:
    parameters = [
        {"name": "place", "type": "string", "desc": "Where"},
        {"name": "day", "type": "date", "desc": "When"},
    ]
    link = {"source": "get_weather", "target": "Translation", "type": "complete"}
    value = {
        "nodes": [
            {"id": "get_weather", "desc": "The weather", "parameters": parameters},
            {"id": "Translation", "desc": "", "input-type": ["text"], "output-type": ["text"]},
        ],
        "links": [link],
    }
    weather, translation = _read(tmp_path, value).records
    assert [weather.id, translation.id] == ["taskbench/data.json:0#0", "taskbench/data.json:1#0"]
    (tool,) = weather.tools
    assert (tool.name, tool.description) == ("get_weather", "The weather")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "place": {"type": "string", "description": "Where"},
            "day": {"type": "string", "x-type": "date", "description": "When"},
        },
        "required": [],
    }
    assert weather.meta["links"] == [link]
    assert translation.tools[0].parameters == {"type": "object"}
    assert translation.meta["input-type"] == ["text"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param({"id": 1}, "unknown_layout", id="unknown"),
        pytest.param([[]], "no_object", id="no-object"),
        pytest.param({"user_request": ""}, "request_without_text", id="blank"),
        pytest.param({"nodes": []}, "no_tool", id="no-tool"),
        pytest.param(
            {"nodes": [{"id": "a"}], "links": [{"source": {}}]},
            "link_from_unknown_tool",
            id="source",
        ),
        pytest.param({"nodes": [{"desc": ""}]}, "tool_without_name", id="no-name"),
        pytest.param(
            {"nodes": [{"id": "a", "desc": "", "parameters": {}}]}, "invalid_parameters", id="map"
        ),
        pytest.param(
            {"nodes": [{"id": "a", "desc": ""}], "links": [{"source": "b"}]},
            "link_from_unknown_tool",
            id="link",
        ),
        pytest.param(
            {"user_request": "a", "task_nodes": "[{'task'"}, "invalid_json_in_string", id="cut"
        ),
    ],
)
def test_what_cannot_be_understood_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    outcome = _read(tmp_path, value)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/taskbench"
    assert counts(read_all(READER, root, root)) == {"native": 1376, "out": 1576}
    total, lost = lost_leaves(READER, root, root)
    assert (total, lost) == (1562, [])
