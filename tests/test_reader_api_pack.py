"""API Pack: what each stage of its pipeline wrote, from OpenAPI documents to instructions."""

from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import outcome_of, own_meta, record_of, rejected, turns

from preprocess.readers import READERS

READER = READERS["api_pack"]
CALL = 'req, _ := http.NewRequest("GET", "https://a.org/tides", nil)'
CODE = (
    "###Instruction:When is high tide?\n###Output:\n<<<domain>>>:['Tides']\n"
    f"<<<api_call>>>:{CALL}\n<<<lang>>>:go\n<<<code>>>:\n"
)


def final(code: str = CODE) -> dict[str, Any]:
    return {
        "code": code,
        "instruction": {"idx": 4, "candidate": "When is high tide?"},
        "instruction_candidates": [{"idx": 1, "candidate": "Tide?", "gen_tokens_mean": 0.0}],
        "api_data": {"api_name": "Tides", "framework": "a.org", "api_description": "Of the sea"},
        "api_call_data": {
            "api_call": CALL,
            "lang": "go",
            "functionality": "Get tides",
            "api_arguments": {},
            "description": "All of them",
            "domain": ["Tides"],
            "path": "/tides",
        },
    }


def test_a_final_instruction_gives_itself_and_its_endpoint(tmp_path: Path) -> None:
    instruction, documentation = outcome_of(READER, tmp_path, final()).records
    assert (instruction.kind, instruction.text) == ("function_call", CODE)
    answer = CODE.partition("###Output:\n")[2].rstrip()
    assert turns(instruction) == [("user", "When is high tide?"), ("assistant", answer)]
    kept = ("instruction", "instruction_candidates")
    assert instruction.meta == {key: final()[key] for key in kept}
    assert documentation.id == "api_pack/a.json:documentation#0"
    assert documentation.text.startswith("Tides\nOf the sea\n/tides\n\n")
    assert documentation.text.endswith(f"\n\nCall (go):\n```go\n{CALL}\n```")
    (tool,) = documentation.tools
    assert (tool.name, tool.description) == ("/tides", "Get tides\n\nAll of them")
    assert own_meta(documentation) == {
        "api_name": "Tides",
        "framework": "a.org",
        "lang": "go",
        "api_arguments": {},
        "domain": ["Tides"],
        "path": "/tides",
    }


def test_code_in_another_form_is_no_messages(tmp_path: Path) -> None:
    record = outcome_of(READER, tmp_path, final("<<<domain>>>: x")).records[0]
    assert (record.text, record.messages) == ("<<<domain>>>: x", ())


ROW = {
    "api_call": "curl --request GET",
    "api_name": "Tides",
    "api_provider": "a.org",
    "endpoint": "getTides",
    "framework": "a.org",
    "functionality": "Get tides",
    "api_arguments": {"day": {"type": "string", "required": True}},
    "description": "Get tides",
    "path": "/tides/{port}",
    "method": "get",
    "lang": "cURL",
    "domain": ["Tides"],
    "api_description": "",
    "api_license": "",
}


def test_a_row_of_the_database_is_documentation(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, ROW)
    assert record.kind == "tool_documentation"
    assert record.text.startswith("Tides\nGET /tides/{port}\n\n")
    assert "day" in record.text
    assert record.text.endswith("\n\nCall (cURL):\n```bash\ncurl --request GET\n```")
    (tool,) = record.tools
    assert (tool.name, tool.description) == ("getTides", "Get tides")
    assert tool.parameters["required"] == ["day"]
    said = ("api_call", "functionality", "description", "api_description")
    assert own_meta(record) == {key: ROW[key] for key in ROW if key not in said}


def test_arguments_in_another_shape_stand_in_the_text(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, {**ROW, "api_arguments": ["day"]})
    assert record.tools[0].parameters == {"type": "object"}
    assert "\n\nArguments:\n- day\n\nCall (cURL):" in record.text
    assert record.meta["api_arguments"] == ["day"]


@pytest.mark.parametrize(
    ("language", "fence"),
    [("Node", "javascript"), ("libcurl", "c"), ("javascript xhr", "javascript"), ("Perl", "")],
)
def test_languages_are_named_in_fences(tmp_path: Path, language: str, fence: str) -> None:
    record = record_of(READER, tmp_path, {**ROW, "lang": language})
    assert f"\n\nCall ({language}):\n```{fence}\n" in record.text


def test_rows_with_candidates_keep_them(tmp_path: Path) -> None:
    row = {**ROW, "instruction_candidates": [{"idx": 1}], "instruction_prompt": "Write"}
    record = record_of(READER, tmp_path, row)
    assert record.meta["instruction_prompt"] == "Write"
    assert record.meta["instruction_candidates"] == [{"idx": 1}]


def test_example_requests_are_records_of_their_own(tmp_path: Path) -> None:
    examples = [
        {
            "API name": "Tides",
            "functionality": "Get tides",
            "description": "",
            "endpoint": "getTides",
            "output": "Could you show me the tides?",
            "output to refine": "Show tides.",
        }
    ] * 2
    records = outcome_of(READER, tmp_path, {"list": examples}).records
    assert [record.id for record in records] == ["api_pack/a.json:0#0", "api_pack/a.json:1#0"]
    assert records[0].text.startswith("Tides\n\n")
    assert records[0].text.endswith("\n\nRequest:\nCould you show me the tides?")
    assert records[0].meta["output to refine"] == "Show tides."
    assert records[0].tools[0].parameters == {"type": "object"}  # nothing is said of arguments


def test_judgements_keep_keys_with_blanks_and_brackets(tmp_path: Path) -> None:
    value = {
        "group_id": 25,
        "candidate": "How do I sign up?",
        "input_tokens_mean (itm)": -1.727378462,
        "hf ": "G",
        "functionality": "Sign up",
        "description": "Start it.",
        "endpoint": "startSignUp",
        "api_name": "App",
        "mistral-7b score": "**Good.**",
    }
    record = record_of(READER, tmp_path, value)
    assert record.text.endswith("\n\nRequest:\nHow do I sign up?")
    assert record.tools[0].description == "Sign up\n\nStart it."
    assert record.meta["input_tokens_mean (itm)"] == -1.727378462
    assert record.meta["hf "] == "G"


def document(**operation: Any) -> dict[str, Any]:
    port = {"name": "port", "in": "path", "required": True, "schema": {"type": "string"}}
    get = {"operationId": "getTides", "summary": "Get tides", "responses": {}, **operation}
    return {
        "openapi": "3.0.1",
        "info": {"title": "Tides", "version": "1"},
        "paths": {"/tides/{port}": {"parameters": [port], "get": get}},
    }


def test_operations_of_a_document_are_tools_with_their_calls(tmp_path: Path) -> None:
    calls = [
        {"id": "shell_curl", "title": "Shell + Curl", "content": "curl a.org"},
        {"lang": "go", "code": "x()"},
    ]
    operation, whole = outcome_of(READER, tmp_path, document(api_calls=calls)).records
    assert operation.id == "api_pack/a.json:getTides#0"
    assert operation.tools[0].parameters["required"] == ["port"]
    assert operation.text.endswith(
        "\n\nCall (Shell + Curl):\n```bash\ncurl a.org\n```\n\nCall (go):\n```go\nx()\n```"
    )
    assert operation.meta["api_calls"] == [{"id": "shell_curl"}, {}]
    assert operation.license == whole.license == "CC-BY-4.0"


def test_calls_in_another_form_stay_in_meta(tmp_path: Path) -> None:
    calls = [{"title": "Shell", "content": "curl", "cost": 1}]
    operation, _ = outcome_of(READER, tmp_path, document(api_calls=calls)).records
    assert operation.meta["api_calls"] == calls


def test_a_document_as_its_provider_wrote_it_is_public_domain(tmp_path: Path) -> None:
    records = outcome_of(READER, tmp_path, document()).records
    assert {record.license for record in records} == {"CC0-1.0"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"code": " ", "api_call_data": {}}, "unknown_layout"),
        ({"candidate": "", "functionality": "x"}, "no_question"),
        ({"list": []}, "unknown_layout"),
        ({"list": [1]}, "unknown_layout"),
        ({"functionality": " ", "candidate": "x"}, "unknown_layout"),
        ({"openapi": "3.0.0", "paths": []}, "unknown_layout"),
        ({"a": 1}, "unknown_layout"),
    ],
)
def test_what_is_not_certain_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    assert rejected(READER, tmp_path, value) == reason


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/api_pack"
    assert counts(read_all(READER, root, root)) == {"native": 608, "out": 735}
    assert lost_leaves(READER, root, root) == (3289, [])


def test_what_generated_calls_say_beyond_their_source_is_kept(tmp_path: Path) -> None:
    call = {"id": "node-fetch-1", "title": "Node", "content": "fetch(1)"}
    operation = {"responses": {}, "api_calls": [call]}
    info = {"title": "Tides", "version": "1"}
    value = {"openapi": "3.0.0", "info": info, "paths": {"/a": {"get": operation}}}
    records = outcome_of(READER, tmp_path, value).records
    (record,) = [each for each in records if "fetch(1)" in each.text]
    assert record.meta["api_calls"] == [{"id": "node-fetch-1"}]


def test_api_data_that_is_no_object_is_kept(tmp_path: Path) -> None:
    instruction, _ = outcome_of(
        READER, tmp_path, final() | {"api_data": "Tides of the sea"}
    ).records
    assert instruction.meta["api_data"] == "Tides of the sea"


@pytest.mark.parametrize("tags", [5, True, "sea", {"a": 1}])
def test_tags_that_are_no_list_stop_no_run(tmp_path: Path, tags: Any) -> None:
    schema = {"type": "object", "properties": {"b": {"required": [{}], "properties": {"c": {}}}}}
    body = {"content": {"application/json": {"schema": schema}}}
    operation = {"responses": {"200": {"description": "d", **body}}, "requestBody": body}
    info = {"title": "Tides", "version": "1"}
    value = {"openapi": "3.0.0", "info": info, "tags": tags, "paths": {"/a": {"post": operation}}}
    assert outcome_of(READER, tmp_path, value).records
