"""ToolBench: requests, documents of tools, shapes of responses, and all real files."""

from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from toolbench_records import QUERY, READER, read, turns

from preprocess.readers import READERS
from preprocess.readers.datasets.toolbench.apis import function_name

API = {
    "category_name": "Weather",
    "tool_name": "Weather | World",
    "api_name": "5 Day (free)",
    "api_description": "The forecast of the next five days for any place of the world",
    "required_parameters": [
        {"name": "city", "type": "STRING", "description": "A place", "default": "Rome"}
    ],
    "optional_parameters": [
        {"name": "day", "type": "DATE (YYYY-MM-DD)", "description": "", "default": ""},
        {"name": "deep", "type": "BOOLEAN", "description": "", "default": False},
    ],
    "method": "GET",
    "template_response": '{"sky": "str", "temperature": "float"}',
}


def test_a_request_gives_its_apis_and_itself(tmp_path: Path) -> None:
    relevant = [["Weather | World", "5 Day (free)"]]
    native = {"api_list": [API], "query": QUERY, "relevant APIs": relevant, "query_id": 43}
    documentation, request = read(tmp_path, [native]).records
    assert (documentation.id, documentation.kind, documentation.messages) == (
        "toolbench/a.json:documentation#0",
        "tool_documentation",
        (),
    )
    (tool,) = documentation.tools
    assert tool.name == "5_day_free_for_weather_world"
    assert tool.description == API["api_description"]
    assert tool.parameters["required"] == ["city"]
    assert tool.parameters["properties"]["city"] == {
        "type": "string",
        "description": "A place",
        "default": "Rome",
    }
    assert tool.parameters["properties"]["deep"]["type"] == "boolean"
    assert tool.parameters["properties"]["day"]["x-type"] == "DATE (YYYY-MM-DD)"
    kept = {"category_name", "tool_name", "api_name", "method", "template_response"}
    assert documentation.meta["api_list"] == [{key: API[key] for key in API if key in kept}]
    assert (request.id, request.kind, turns(request)) == (
        "toolbench/a.json:0#0",
        "function_call",
        [("user", QUERY)],
    )
    assert request.tools == documentation.tools
    assert {"relevant APIs": relevant, "query_id": 43}.items() <= request.meta.items()


@pytest.mark.parametrize("apis", [None, [], [{"tool_name": "Quotes", "api_name": "Love"}]])
def test_a_request_whose_apis_are_only_named_is_itself_alone(tmp_path: Path, apis: Any) -> None:
    native = {"query": QUERY, "query_id": 1} | ({} if apis is None else {"api_list": apis})
    (request,) = read(tmp_path, [native]).records
    assert request.id == "toolbench/a.json#0"
    assert request.tools == ()
    assert request.meta.get("api_list") == apis


@pytest.mark.parametrize(
    ("tool", "api", "name"),
    [
        ("Kick.com | Kick", "Chat User (like chat)", "chat_user_like_chat_for_kick_com_kick"),
        ("SQUAKE", "Checkhealth", "checkhealth_for_squake"),
        ("transitaires", "/id/", "is_id_for_transitaires"),
        ("A__b", "c - _d", "c_d_for_a_b"),
        ("t", "x" * 80, "x" * 58 + "_for_t"),
    ],
)
def test_functions_have_the_names_that_answers_call(tool: str, api: str, name: str) -> None:
    assert function_name(tool, api) == name


def test_a_document_of_a_tool_gives_its_apis(tmp_path: Path) -> None:
    api = {
        "name": "5 Day",
        "url": "https://w/5",
        "description": "Five days",
        "method": "GET",
        "required_parameters": [{"name": "q", "type": "NUMBER", "description": "", "default": "1"}],
        "optional_parameters": [],
        "code": "import requests",
    }
    native = {"tool_name": "Weather", "tool_description": "All weather", "api_list": [api]}
    (record,) = read(tmp_path, native, "tools/Weather/weather.json").records
    assert [tool.name for tool in record.tools] == ["5_day_for_weather"]
    assert record.tools[0].parameters["properties"]["q"]["type"] == "number"
    assert record.meta["tool_description"] == "All weather"
    assert record.meta["api_list"][0]["code"] == "import requests"


def test_shapes_of_responses_are_named_after_their_file(tmp_path: Path) -> None:
    schema = {"data": [{"ipAddress": "str"}], "total": "int"}
    native = {
        "api_list": [{"name": "CHECK", "schema": schema}, {"name": "/b/{id}", "schema": "str"}]
    }
    (record,) = read(tmp_path, native, "Business/abuse_ip_check.json").records
    assert record.kind == "tool_documentation"
    assert record.text == (
        "Responses of the APIs of abuse_ip_check\n"
        'CHECK: {"data":[{"ipAddress":"str"}],"total":"int"}\n/b/{id}: str'
    )


@pytest.mark.parametrize(
    ("value", "reason"), [({"api_list": []}, "no_apis"), ({"588": 0, "608": 1}, "index")]
)
def test_what_holds_nothing_is_dropped(tmp_path: Path, value: Any, reason: str) -> None:
    assert read(tmp_path, value).dropped == (reason,)


def test_an_empty_file_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "acrosuite_oauther.json"
    path.write_bytes(b"")
    assert counts(read_all(READER, path, tmp_path)) == {
        "native": 1,
        "out": 0,
        "rejected empty_file": 1,
    }


@pytest.mark.shared
def test_every_real_record_of_toolbench_is_read_and_loses_nothing(shared: Path) -> None:
    root = shared / "data/agent/toolbench"
    assert counts(read_all(READER, root, root)) == {
        "native": 41,
        "out": 79,
        "dropped no_apis": 6,
        "rejected empty_file": 1,
        "repaired python_literal_for_json": 2,
    }
    assert lost_leaves(READER, root, root) == (1843, [])


@pytest.mark.shared
def test_every_real_record_of_stabletoolbench_is_read_and_loses_nothing(shared: Path) -> None:
    root = shared / "data/agent/stabletoolbench"
    reader = READERS["stabletoolbench"]
    outcomes = read_all(reader, root, root)
    assert counts(outcomes) == {"native": 116, "out": 229}
    assert lost_leaves(reader, root, root) == (1288, [])
    records = [record for each in outcomes for record in each.records]
    assert {record.source for record in records} == {"stabletoolbench"}


@pytest.mark.shared
def test_tools_of_real_requests_are_those_that_real_answers_call(shared: Path) -> None:
    root = shared / "data/agent/stabletoolbench"
    reader = READERS["stabletoolbench"]
    queries = root / "solvable_queries/test_instruction/G1_instruction.json"
    asked = {
        record.meta["query_id"]: record
        for each in read_all(reader, queries, root)
        for record in each.records
        if "query_id" in record.meta
    }
    for query in (588, 608):
        path = (
            root
            / f"data_example/answer/virtual_chatgpt_dfs/G1_instruction/{query}_DFS_woFilter_w2.json"
        )
        (outcome,) = read_all(reader, path, root)
        named = {tool.name for tool in outcome.records[0].tools} - {"Finish"}
        assert named
        assert {tool.name for tool in asked[query].tools} == named


@pytest.mark.shared
def test_every_real_call_is_answered_by_its_function(shared: Path) -> None:
    root = shared / "data/agent/toolbench/data_example/answer"
    records = [record for each in read_all(READER, root, root) for record in each.records]
    calls = [call for record in records for turn in record.messages for call in turn.tool_calls]
    answers = [turn for record in records for turn in record.messages if turn.role == "tool"]
    assert len(records) == 15
    assert len(calls) > 50
    assert all(turn.tool_call_id for turn in answers)
    assert sum(record.meta.get("truncated_observations", 0) for record in records) == 10


def test_an_api_may_be_described_twice(tmp_path: Path) -> None:
    api = {"tool_name": "Tides", "api_name": "Height", "api_description": "Of the tide."}
    native = {"query": QUERY, "api_list": [{**api, "description": "In metres."}]}
    documented, _ = read(tmp_path, native).records
    assert documented.tools[0].description == "Of the tide."
    assert documented.meta["api_list"][0]["description"] == "In metres."
