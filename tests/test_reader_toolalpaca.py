"""ToolAlpaca: an API with its requests, calls and conversations; the lists beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, missing_leaves, read_all

from preprocess.readers import READERS
from preprocess.records import Outcome, Record

READER = READERS["toolalpaca"]
OPENAPI = {
    "openapi": "3.0.0",
    "info": {"title": "Ponds"},
    "paths": {
        "/ponds/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True}],
            "get": {
                "operationId": "getPond",
                "summary": "One pond",
                "description": "Returns a pond by its number, café included",
                "parameters": [
                    {"$ref": "#/components/parameters/units"},
                    {"name": "depth", "in": "query", "schema": {"type": "integer"}},
                ],
            },
        },
        "/ponds": {
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/P"}}},
                }
            }
        },
    },
    "components": {
        "parameters": {
            "units": {
                "name": "units",
                "in": "query",
                "description": "Metres or feet",
                "schema": {"type": "string", "enum": ["m", "ft"]},
            }
        },
        "schemas": {
            "P": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "next": {"$ref": "#/components/schemas/P"},
                },
                "required": ["name"],
            }
        },
    },
}
API: dict[str, Any] = {
    "Name": "Ponds",
    "Description": "Everything on ponds",
    "Category": "Nature",
    "Functions": "1. Name: getPond",
    "Documentation": json.dumps(OPENAPI, ensure_ascii=False),
    "NLDocumentation": "getPond: One pond",
    "Function_Description": {"getPond": "One pond", "components": ""},
    "Function_Projection": {"getPond": ["/ponds/{id}", "get"]},
    "Instructions": [],
}
REQUEST = "How deep is pond 7, the one behind the old mill of the village?"


def read(folder: Path, value: Any) -> Outcome:
    path = folder / "data.json"
    path.write_text(json.dumps([value] if "entries" not in value else value))
    (outcome,) = read_all(READER, path, folder)
    return outcome


def golden(folder: Path, *answers: Any) -> Outcome:
    return read(
        folder, {**API, "Instructions": [REQUEST] * len(answers), "Golden_Answers": answers}
    )


def test_operations_become_tools_with_one_flat_object_of_arguments(tmp_path: Path) -> None:
    (record,) = read(tmp_path, API).records
    assert (record.id, record.kind) == (
        "toolalpaca/data.json:documentation#0",
        "tool_documentation",
    )
    pond, post = record.tools
    assert pond.name == "getPond"
    assert pond.description == "One pond\nReturns a pond by its number, café included"
    assert pond.parameters == {
        "type": "object",
        "properties": {
            "id": {},
            "units": {"type": "string", "enum": ["m", "ft"], "description": "Metres or feet"},
            "depth": {"type": "integer"},
        },
        "required": ["id"],
    }
    assert post.name == "ponds_post"
    assert list(post.parameters["properties"]) == ["name", "next"]
    assert post.parameters["required"] == ["name"]
    assert record.meta["Documentation"] == API["Documentation"]
    assert missing_leaves(API, [record]) == []


def test_a_circle_of_references_ends(tmp_path: Path) -> None:
    (record,) = read(tmp_path, API).records
    assert '"$ref"' in json.dumps(record.tools[1].parameters)


def test_references_that_multiply_are_not_followed_for_ever(tmp_path: Path) -> None:
    schemas: dict[str, Any] = {
        f"S{n}": {
            "type": "object",
            "properties": {f"p{i}": {"$ref": f"#/components/schemas/S{n + 1}"} for i in range(20)},
        }
        for n in range(10)
    }
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}
    document = {
        "paths": {"/a": {"post": {"requestBody": body}}},
        "components": {"schemas": schemas},
    }
    (record,) = read(tmp_path, {**API, "Documentation": json.dumps(document)}).records
    assert len(json.dumps(record.tools[0].parameters)) < 10_000_000


@pytest.mark.parametrize("documentation", ["not written", "", None, '{"openapi": "3.0.0", "paths'])
def test_an_api_without_openapi_is_documented_in_words(
    tmp_path: Path, documentation: str | None
) -> None:
    (record,) = read(tmp_path, {**API, "Documentation": documentation}).records
    assert record.tools == ()
    assert record.text.startswith("Ponds\n\nEverything on ponds\n\ngetPond: One pond")


def test_a_golden_answer_becomes_the_calls_of_a_request(tmp_path: Path) -> None:
    calls = [
        {"Action": "getPond", "Action_Input": '{"id": 7, "depth": 1.50}'},
        {"Action": "getDetails", "Action_Input": "{}"},
    ]
    outcome = golden(tmp_path, calls)
    documentation, record = outcome.records
    assert record.kind == "function_call"
    assert record.id == "toolalpaca/data.json:0#0"
    assert [turn.role for turn in record.messages] == ["user", "assistant"]
    assert record.messages[0].content == REQUEST
    assert [(call.id, call.name, call.arguments) for call in record.messages[1].tool_calls] == [
        ("call_0", "getPond", {"id": 7, "depth": 1.5}),
        ("call_1", "getDetails", {}),
    ]
    assert record.tools == documentation.tools
    assert "Instructions" not in documentation.meta


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("getPond", '{"id": ${id from searchPonds}}', "invalid_action_input"),
        ("getPond", '{"symbols": "symbols": ["EUR", "GBP"]}', "invalid_action_input"),
        ("getPond", '{"id": 7} or {"id": 8}', "invalid_action_input"),
        ("getPond", "7", "invalid_action_input"),
        ("[Optional]getPond", "{}", "invalid_action"),
    ],
)
def test_an_answer_that_is_no_certain_call_is_dropped_and_kept_beside_the_api(
    tmp_path: Path, name: str, given: str, reason: str
) -> None:
    answer = [{"Action": name, "Action_Input": given}]
    good = [{"Action": "getPond", "Action_Input": '{"id": 7}'}]
    outcome = golden(tmp_path, answer, good)
    assert outcome.dropped == (reason,)
    documentation, record = outcome.records
    assert documentation.meta["unreadable_answers"] == [
        {"Instruction": REQUEST, "Golden_Answer": answer}
    ]
    assert record.id == "toolalpaca/data.json:1#0"


def test_requests_without_answers_stay_with_the_api(tmp_path: Path) -> None:
    functions = {"getPond": "One pond"}
    outcome = read(tmp_path, {**API, "Functions": functions, "Instructions": [REQUEST]})
    (record,) = outcome.records
    assert record.meta["Instructions"] == [REQUEST]
    assert record.meta["Functions"] == functions


def test_requests_whose_answers_are_null_stay_with_the_api(tmp_path: Path) -> None:
    (record,) = read(tmp_path, {**API, "Instructions": [REQUEST], "Golden_Answers": None}).records
    assert record.meta["Instructions"] == [REQUEST]


LOG = " I look at the pond.\nASSISTANT Action: getPond\nASSISTANT Action Input: {'id': 7}"
INSTANCE = {
    "input": REQUEST,
    "output": "Pond 7 is two metres deep, says the documentation of the village.",
    "Final Thought": "I know the depth and can respond.",
    "intermediate_steps": [
        [["getPond", "{'id': 7}", LOG], 'Status Code: 200. Response: {"depth": 2}'],
        [["getPond", "seven", "Again.\nAction: getPond\nAction Input: seven"], "Error: no JSON"],
    ],
}


def told(folder: Path, *instances: Any) -> Outcome:
    return read(folder, {**API, "Instructions": [REQUEST], "Instances": list(instances)})


def test_an_instance_is_a_conversation_with_the_simulated_api(tmp_path: Path) -> None:
    outcome = told(tmp_path, INSTANCE)
    _, record = outcome.records
    assert (record.kind, record.id) == ("trajectory", "toolalpaca/data.json:instance-0#0")
    assert [(turn.role, turn.content, turn.tool_call_id) for turn in record.messages] == [
        ("user", REQUEST, None),
        ("assistant", "I look at the pond.", None),
        ("tool", 'Status Code: 200. Response: {"depth": 2}', "call_0"),
        ("assistant", "Again.\nAction: getPond\nAction Input: seven", None),
        ("tool", "Error: no JSON", None),
        ("assistant", f"{INSTANCE['Final Thought']}\n{INSTANCE['output']}", None),
    ]
    assert record.messages[1].tool_calls[0].arguments == {"id": 7}
    assert record.meta["malformed_calls"] == 1
    assert outcome.repairs == ("python_literal_for_json",)
    assert missing_leaves(INSTANCE, [record]) == []


def test_an_instance_that_is_no_conversation_is_dropped_and_kept(tmp_path: Path) -> None:
    broken: list[Any] = ["the agent's output as text", {"error": "timeout"}, {}]
    outcome = told(tmp_path, *broken, INSTANCE)
    assert outcome.dropped == ("no_conversation",) * 3
    documentation, record = outcome.records
    assert documentation.meta["unreadable_instances"] == broken[:2]
    assert record.id == "toolalpaca/data.json:instance-3#0"


def test_the_list_of_public_apis_gives_each_api(tmp_path: Path) -> None:
    entry = {
        "API": "Ponds",
        "Description": "Everything on ponds",
        "Auth": "",
        "HTTPS": True,
        "Cors": "no",
        "Link": "https://ponds.example/",
        "Category": "Nature",
    }
    outcome = read(tmp_path, {"count": 2, "entries": [entry, {**entry, "API": "Lakes"}]})
    ponds, lakes = outcome.records
    assert ponds.text == (
        "API: Ponds\nDescription: Everything on ponds\nHTTPS: yes\nCors: no\n"
        "Link: https://ponds.example/\nCategory: Nature"
    )
    assert ponds.origin.url == "https://ponds.example/"
    assert lakes.id == "toolalpaca/data.json:1#0"
    assert ponds.meta == {"count": 2, **entry}


def test_evaluations_are_told_and_empty_ones_dropped(tmp_path: Path) -> None:
    good = {
        "input": [{"role": "user", "content": "## Task Instruction\nGo"}],
        "output": "## Results\nProcess Correctness: Yes",
        "process_correctness": "Yes",
    }
    value = {"Bíblia/1": [good, {"input": "", "output": ""}], "statistics": {"num": 2}}
    path = tmp_path / "ToolAlpaca13b.json"
    path.write_text(json.dumps(value))
    (outcome,) = read_all(READER, path, tmp_path)
    (record,) = outcome.records
    assert record.id == "toolalpaca/ToolAlpaca13b.json:Bíblia/1/0#0"
    assert [turn.role for turn in record.messages] == ["user", "assistant"]
    assert {"api": "Bíblia/1", "process_correctness": "Yes"}.items() <= record.meta.items()
    assert outcome.dropped == ("empty_evaluation", "statistics")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Golden_Answers": [[]]}, "not_one_answer_per_request"),
        ({"Golden_Answers": "none"}, "invalid_golden_answers"),
        ({"Instances": {"a": 1}}, "invalid_instances"),
        ({"Instructions": [REQUEST], "Golden_Answers": [["getPond"]]}, "invalid_golden_answer"),
    ],
)
def test_what_is_not_as_published_is_rejected(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    outcome = read(tmp_path, {**API, **changes})
    assert outcome.rejection
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_every_real_api_is_read_and_loses_nothing(shared: Path) -> None:
    root = shared / "data/agent/toolalpaca"
    assert counts(read_all(READER, root, root)) == {
        "native": 27,
        "out": 1673,
        "dropped invalid_action_input": 25,
        "dropped invalid_action": 1,
        "dropped empty_evaluation": 2,
        "dropped statistics": 1,
    }
    assert lost_leaves(READER, root, root) == (2287, [])


@pytest.mark.shared
def test_golden_calls_name_tools_of_the_real_documentation(shared: Path) -> None:
    root = shared / "data/agent/toolalpaca"
    records = [
        record
        for name in ("eval_real", "eval_simulated")
        for each in read_all(READER, root / f"data/{name}.json", root)
        for record in each.records
        if record.kind == "function_call"
    ]
    unknown = {name for record in records for name in _unknown(record)}
    # Not in the documents: a tool of the simulation, and paths that one document lacks.
    assert len(records) == 148
    assert unknown <= {
        "getDetails",
        "preferred-routes_search_get",
        "vatsim_pilots_get",
        "vatsim_controllers_get",
        "weather_metar_get",
        "weather_taf_get",
    }


def _unknown(record: Record) -> set[str]:
    called = {call.name for turn in record.messages for call in turn.tool_calls}
    return called - {tool.name for tool in record.tools}
