"""Dataset `openapi`: operations as tools, schemas that stand alone, nothing of a document lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from leaves import lost_leaves, read_all

from preprocess.readers import READERS

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome, Record

READER = READERS["openapi"]

SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"title": "Boats", "version": "1.2", "description": "Boats of a small harbour."},
    "host": "boats.example",
    "basePath": "/v1",
    "schemes": ["https"],
    "x-made-by": "the harbour master, who wrote this down by hand",
    "parameters": {"Page": {"name": "page", "in": "query", "type": "integer", "minimum": 1}},
    "paths": {
        "/boats/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "type": "string"}],
            "x-note": "of the path itself, which no operation repeats anywhere",
            "get": {
                "operationId": "getBoat",
                "summary": "Find a boat",
                "description": "Find a boat by its id, wherever it lies.",
                "parameters": [{"$ref": "#/parameters/Page"}],
                "responses": {
                    "200": {"description": "The boat.", "schema": {"$ref": "#/definitions/Boat"}},
                    "404": {"description": "No such boat lies here."},
                },
                "deprecated": True,
            },
            "put": {
                "summary": "Change a boat",
                "parameters": [
                    {"name": "id", "in": "query", "type": "integer"},
                    {
                        "name": "boat",
                        "in": "body",
                        "required": True,
                        "description": "What it is to be.",
                        "schema": {"$ref": "#/definitions/NewBoat"},
                    },
                    {"name": "photo", "in": "formData", "type": "file"},
                ],
                "responses": {"default": {"description": "done"}},
            },
        }
    },
    "definitions": {
        "NewBoat": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "As it stands on the bow."},
                "tender": {"$ref": "#/definitions/NewBoat"},
                "owner": {"$ref": "#/definitions/Owner"},
            },
        },
        "Owner": {"type": "object", "properties": {"since": {"type": "string", "format": "date"}}},
        "Boat": {
            "type": "object",
            "description": "A boat as it lies in the harbour.",
            "properties": {
                "length": {"type": "number", "exclusiveMinimum": True, "minimum": 0},
                "crew": {"type": "array", "items": {"$ref": "#/definitions/Owner"}},
            },
        },
    },
}

YAML = """
openapi: 3.0.0
info: {title: Tides, version: 1.10}
servers: [{url: "https://tides.example/api/"}]
paths:
  /tides:
    post:
      requestBody:
        required: true
        description: When, and where.
        content:
          application/json:
            schema: {$ref: "#/components/schemas/Query"}
            example: {day: 2024-01-02, at: 12:30:45}
          text/plain: {schema: {type: string}}
      responses:
        200:
          description: Heights.
          content:
            application/json: {schema: {type: array, items: {type: number}}}
components:
  schemas:
    Query:
      type: object
      properties:
        day: {type: string, default: 2024-01-02}
        on: {type: boolean, description: yes}
  securitySchemes:
    key: {type: apiKey, name: k, in: header}
"""


def read(path: Path) -> list[Outcome]:
    return list(READER.read(path, path.name))


def records_of(path: Path) -> dict[str, Record]:
    (outcome,) = read(path)
    assert outcome.rejection is None, outcome.rejection
    return {record.id.partition(":")[2]: record for record in outcome.records}


@pytest.fixture
def boats(tmp_path: Path) -> dict[str, Record]:
    path = tmp_path / "boats.json"
    path.write_text(json.dumps(SWAGGER))
    return records_of(path)


def test_each_operation_is_a_tool_with_a_schema_of_its_own(boats: dict[str, Record]) -> None:
    assert list(boats) == ["getBoat#0", "put /boats/{id}#0", "schema Boat#0", "document#0"]
    (get,) = boats["getBoat#0"].tools
    assert get.name == "getBoat"
    assert get.description == "Find a boat by its id, wherever it lies."
    assert get.parameters == {
        "type": "object",
        "properties": {"id": {"type": "string"}, "page": {"type": "integer", "minimum": 1}},
        "required": ["id"],
    }
    (put,) = boats["put /boats/{id}#0"].tools
    assert put.parameters["required"] == ["id", "boat"]
    assert put.parameters["properties"]["boat"] == {
        "$ref": "#/$defs/NewBoat",
        "description": "What it is to be.",
    }
    assert put.parameters["properties"]["photo"] == {"type": "string", "format": "binary"}
    assert list(put.parameters["$defs"]) == ["NewBoat", "Owner"]
    assert boats["put /boats/{id}#0"].meta["locations"] == {
        "id": "path", "id (query)": "query", "boat": "body", "photo": "formData",
    }  # fmt: skip


def test_the_schema_of_a_tool_judges_arguments(boats: dict[str, Record]) -> None:
    validator = jsonschema_rs.validator_for(boats["put /boats/{id}#0"].tools[0].parameters)
    good = {"id": "7", "boat": {"name": "Ida", "tender": {"name": "Mo"}}}
    assert validator.is_valid(good)
    assert not validator.is_valid({"id": "7", "boat": {"tender": {"name": "Mo"}}})
    assert not validator.is_valid({**good, "id": 7})


def test_the_text_says_where_what_and_what_comes_back(boats: dict[str, Record]) -> None:
    text = boats["getBoat#0"].text
    assert text.startswith("Boats 1.2\nGET https://boats.example/v1/boats/{id}\n")
    assert "- 200: The boat.\n  - body (#/definitions/Boat)" in text
    assert "- 404: No such boat lies here." in text
    assert boats["getBoat#0"].meta["deprecated"] is True
    schema = boats["schema Boat#0"].text
    assert "- length (number)\n  - exclusiveMinimum: true\n  - minimum: 0" in schema
    assert "- crew (array of #/definitions/Owner)" in schema
    document = boats["document#0"]
    assert "- PUT /boats/{id}: Change a boat" in document.text
    assert document.meta["x-made-by"] == SWAGGER["x-made-by"]
    assert document.meta["paths"]["/boats/{id}"] == {
        "x-note": SWAGGER["paths"]["/boats/{id}"]["x-note"]
    }


def test_yaml_is_read_as_json_would_be(tmp_path: Path) -> None:
    path = tmp_path / "tides.yaml"
    path.write_text(YAML)
    records = records_of(path)
    assert list(records) == ["post /tides#0", "document#0"]
    post = records["post /tides#0"]
    assert post.text.startswith("Tides 1.10\nPOST https://tides.example/api/tides\n")
    assert post.tools[0].parameters == {
        "type": "object",
        "properties": {"body": {"$ref": "#/$defs/Query", "description": "When, and where."}},
        "required": ["body"],
        "$defs": {
            "Query": {
                "type": "object",
                "properties": {
                    "day": {"type": "string", "default": "2024-01-02"},
                    "on": {"type": "boolean", "description": "yes"},
                },
            }
        },
    }
    assert post.meta["requestBody"] == {
        "application/json": {"example": {"day": "2024-01-02", "at": "12:30:45"}},
        "text/plain": {"schema": {"type": "string"}},
    }
    assert "- 200: Heights.\n  - application/json (array of number)" in post.text
    assert "securitySchemes" in records["document#0"].meta["components"]


BOMB = "openapi: 3.0.0\na: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.yaml", "", "empty_file"),
        ("a.yaml", "a: [1", "invalid_yaml"),
        ("a.yaml", "swagger: '2.0'\nswagger: '2.0'\n", "duplicate_key"),
        ("a.yaml", BOMB, "alias_bomb"),
        ("a.yaml", "openapi: 3.0.0\na: !!python/object/apply:os.getcwd []\n", "invalid_yaml"),
        ("a.yaml", "openapi: 3.0.0\na: " + "[" * 3000 + "]" * 3000, "too_deep"),
        ("a.yaml", "- swagger\n", "not_openapi"),
        ("a.json", '{"paths": {}}', "not_openapi"),
        ("a.json", '["swagger"]', "not_openapi"),
    ],
)
def test_what_is_no_document_is_rejected_with_the_reason(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    (tmp_path / name).write_text(content)
    assert [each.rejection and each.rejection.reason for each in read(tmp_path / name)] == [reason]


@pytest.mark.parametrize(
    "change",
    [
        {"paths": None},
        {"paths": []},
        {"paths": {"/a": None, "/b": {"get": "text"}, "/c": {"get": {}}}},
        {"definitions": [1]},
        {"info": "Boats"},
        {"paths": {"/a": {"get": {"parameters": [{"in": "query"}, 3], "responses": []}}}},
        {"paths": {"/a": {"get": {"parameters": [{"$ref": "#/nowhere"}]}}}},
        {"paths": {"/a": {"$ref": "#/paths/~1a"}}},
    ],
)
def test_odd_documents_lose_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({**SWAGGER, **change}))
    records = records_of(path)
    assert "document#0" in records


def test_paths_without_operations_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    paths = {"/a": {"parameters": [{"name": "x", "in": "query"}]}, "/b": {"get": "text"}}
    path.write_text(json.dumps({**SWAGGER, "paths": paths}))
    assert records_of(path)["document#0"].meta["paths"] == paths


def test_a_schema_of_very_many_definitions_is_cut_where_it_says_so(tmp_path: Path) -> None:
    chain = {
        f"D{n}": {"type": "object", "properties": {"next": {"$ref": f"#/definitions/D{n + 1}"}}}
        for n in range(99)
    }
    body = {"name": "b", "in": "body", "schema": {"$ref": "#/definitions/D0"}}
    path = tmp_path / "deep.json"
    paths = {"/a": {"post": {"parameters": [body]}}}
    path.write_text(
        json.dumps({**SWAGGER, "paths": paths, "definitions": {**chain, "D99": {"type": "string"}}})
    )
    records = records_of(path)
    schema = records["post /a#0"].tools[0].parameters
    assert len(schema["$defs"]) == 64
    assert schema["$defs"]["D63"]["properties"]["next"] == {"x-schema": "D64"}
    jsonschema_rs.validator_for(schema)
    assert {"schema D64#0", "schema D99#0"} <= set(records)


@pytest.mark.shared
def test_all_real_documents_are_read_and_nothing_of_them_is_lost(shared: Path) -> None:
    root = shared / "data/agent/openapi"
    outcomes = read_all(READER, root / "apis_guru", root)
    assert [each.rejection for each in outcomes if each.rejection] == []
    assert sum(len(each.records) for each in outcomes) > 5000
    files = [path for path in sorted((root / "mermade_openapi3").rglob("*")) if path.is_file()]
    found = [list(READER.read(path, path.name)) for path in files]
    assert all(len(each) == 1 for each in found)
    reasons = [each.rejection.reason for (each,) in found if each.rejection]
    assert sorted(reasons) == ["empty_file"] * 6 + ["not_openapi"] * 2
    total, lost = lost_leaves(READER, root / "apis_guru", root)
    # What a tool's schema brings along is renamed: `#/definitions/X` stands there as `#/$defs/X`.
    assert {each for each in lost if not each.startswith("#/")} == set()
    assert len(lost) < 0.02 * total
