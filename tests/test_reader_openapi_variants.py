"""OpenAPI documents as they are in the wild: nothing of them is lost, and none stops a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from preprocess.readers.datasets.openapi import READER, convert
from preprocess.readers.native import outcome
from preprocess.records import Origin, Outcome, Record, encode

if TYPE_CHECKING:
    from pathlib import Path

BASE = {"openapi": "3.1.0", "info": {"title": "Locks", "version": "1"}}


def made_of(document: dict[str, Any]) -> dict[str, Record]:
    raw = json.dumps({**BASE, **document}).encode()
    made = outcome(READER, raw, Origin(path="a.json", record=0), convert)
    assert made.rejection is None, made.rejection
    return {record.id.split(":")[1].split("#")[0]: record for record in made.records}


def operation(**fields: Any) -> dict[str, Any]:
    return {"paths": {"/locks/{id}": {"get": {"operationId": "lock", **fields}}}}


def schemas(**those: Any) -> dict[str, Any]:
    return {"components": {"schemas": those}}


def body(**fields: Any) -> dict[str, Any]:
    return operation(requestBody=fields)


JSON = "application/json"


@pytest.mark.parametrize(
    "document",
    [
        operation(responses={"200": {"content": {JSON: {"schema": {"title": "KEPT"}}}}}),
        operation(responses={"200": {"schema": {"title": "KEPT"}}}),
        operation(responses={"200": {"$ref": "other.yaml#/KEPT"}}),
        operation(responses={"200": {"$ref": "#/components/responses/R", "summary": "KEPT"}})
        | {"components": {"responses": {"R": {"description": "There."}}}},
        operation(responses={"200": {"description": "There.", "content": ["KEPT"]}}),
        operation(responses={"200": {"description": "There.", "content": {JSON: "KEPT"}}}),
        operation(responses={"200": {"description": "There.", "schema": "KEPT"}}),
        operation(responses=["KEPT"]),
        operation(parameters={"name": "KEPT"}),
        operation(parameters=[{"name": "q", "description": "Of the lock.", "schema": {
            "description": "KEPT"}}]),
        operation(parameters=[{"name": "q", "example": 1, "schema": {"example": "KEPT"}}]),
        operation(parameters=[{"name": "q", "schema": "KEPT"}]),
        operation(parameters=[{"name": "q", "required": "KEPT"}]),
        operation(parameters=[{"name": "q", "content": {JSON: {"example": "KEPT"}}}]),
        operation(parameters=[{"name": "q", "description": "KEPT"}, {"name": "q"}]),
        operation(parameters=[{"$ref": "#/components/parameters/P", "description": "KEPT"}])
        | {"components": {"parameters": {"P": {"name": "q", "in": "query"}}}},
        body(description="The lock.", content={JSON: {"schema": {"description": "KEPT"}}}),
        body(content={JSON: {"schema": "KEPT"}}),
        body(content={JSON: {}, "text/plain": "KEPT"}),
        body(content={JSON: {}}, required="KEPT"),
        {"paths": {"/locks": {"parameters": [{"name": "KEPT", "in": "query"}]}}},
        {"paths": {"/locks": {"get": "KEPT"}}},
        {"paths": ["KEPT"]},
        {"paths": {"/a": {"$ref": "#/paths/~1b", "summary": "KEPT"}, "/b": {"get": {}}}},
        {"components": ["KEPT"]},
        schemas(**{}) | {"definitions": {"Lock": {"title": "KEPT"}}},
        {"components": {"schemas": ["KEPT"]}},
        {"webhooks": {"opened": {"post": {"summary": "KEPT"}}}},
        schemas(Lock={"type": ["array", "null"], "items": {"$ref": "#/components/KEPT"}}),
        schemas(Lock={"items": {"type": "KEPT"}}),
        schemas(Lock={"type": "array", "items": [{"title": "KEPT"}]}),
        schemas(Lock={"type": "KEPT", "$ref": "#/components/schemas/Gate"}),
        schemas(Lock={"properties": ["KEPT"]}),
        schemas(Lock={"required": "KEPT"}),
        schemas(Lock={"properties": {}, "required": [["KEPT"]]}),
        schemas(Lock={"$ref": {"title": "KEPT"}}),
        *({"tags": tags} for tags in (["KEPT"], "KEPT", {"KEPT": 1}, [["KEPT"]])),
    ],
)  # fmt: skip
def test_what_is_oddly_written_stays(document: dict[str, Any]) -> None:
    made = made_of(document)
    assert "KEPT" in "".join(encode(record).decode() for record in made.values())


def test_tags_that_are_none_do_not_stop_it() -> None:
    assert made_of({"tags": 5})["document"].meta["tags"] == 5


def test_an_operation_stands_where_it_is_served() -> None:
    own, of_path = [{"url": "https://own.example/"}], [{"url": "https://path.example"}]
    made = made_of(
        {
            "servers": [{"url": "https://{region}.example"}],
            "paths": {
                "/a": {"servers": of_path, "get": {}, "post": {"servers": own}},
                "/b": {"get": {}},
            },
        }
    )
    assert "\nGET https://path.example/a\n" in made["get /a"].text
    assert made["get /a"].origin.url == "https://path.example/a"
    assert "\nPOST https://own.example/a\n" in made["post /a"].text
    assert "\nGET https://{region}.example/b\n" in made["get /b"].text
    assert made["get /b"].origin.url is None  # what the region is depends on the user


def test_a_property_may_be_called_as_a_keyword() -> None:
    refer = {"$ref": "#/components/schemas/Size"}
    gate = {"type": "object", "properties": {"default": refer, "enum": refer, "required": refer}}
    made = made_of(
        body(content={JSON: {"schema": gate}}) | schemas(Size={"type": "integer"}, Unused={})
    )
    (tool,) = made["lock"].tools
    local = {"$ref": "#/$defs/Size"}
    of_body = tool.parameters["properties"]["body"]["properties"]
    assert of_body == {"default": local, "enum": local, "required": local}
    assert tool.parameters["$defs"] == {"Size": {"type": "integer"}}


@pytest.mark.parametrize(
    "reference", ["#/components/parameters/a%20key", "#/paths/~1gates/parameters/0"]
)
def test_references_are_followed_as_addresses_are(reference: str) -> None:
    parameter = {"name": "q", "in": "query", "schema": {"type": "string"}}
    document = operation(parameters=[{"$ref": reference}])
    document["paths"]["/gates"] = {"parameters": [parameter]}
    made = made_of(document | {"components": {"parameters": {"a key": parameter}}})
    assert made["lock"].tools[0].parameters["properties"] == {"q": {"type": "string"}}


def test_webhooks_are_listed() -> None:
    made = made_of({"webhooks": {"opened": {"post": {"summary": "A lock opened."}}}})
    assert made["document"].text.endswith("Webhooks:\n- POST opened: A lock opened.")


def of_yaml(path: Path, value: str) -> Outcome:
    path.write_text(f"openapi: 3.0.0\nbase: &base {{one: 1, two: 2}}\nx: {value}\n")
    (made,) = READER.read(path, path.name)
    for record in made.records:
        encode(record)
    return made


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("!!int one", "invalid_number"),
        ("!!float one", "invalid_number"),
        ("1e99999999999999999999", "invalid_number"),
        ("9" * 5000, "invalid_number"),
        ("!!bool one", "invalid_yaml"),
        ("!!map [one]", "invalid_yaml"),
        ("!!set {one, two}", "invalid_yaml"),  # would be in another order each time
        ("!!timestamp one", "invalid_yaml"),
        ("{[one]: two}", "key_is_no_scalar"),
        ("{<<: 5}", "invalid_merge_key"),
        ("[" * 100_000 + "]" * 100_000, "too_deep"),
        ("\n" + "".join(f"{' ' * each} a:\n" for each in range(3000)), "too_deep"),
        ("- " * 3000, "invalid_yaml"),
        ("\n" + "- " * 3000 + "1", "too_deep"),
    ],
)
def test_yaml_that_says_nothing_certain_is_rejected(
    tmp_path: Path, value: str, reason: str
) -> None:
    rejection = of_yaml(tmp_path / "a.yaml", value).rejection
    assert rejection is not None
    assert rejection.reason == reason


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("{<<: *base, two: 3}", {"one": 1, "two": 3}),
        ("{two: 3, <<: *base}", {"one": 1, "two": 3}),
        ("{<<: [{one: 0}, *base]}", {"one": 0, "two": 2}),
        ('{"<<": 5}', {"<<": 5}),
        ("2020-01-01", "2020-01-01"),
    ],
)
def test_yaml_merges_maps(tmp_path: Path, value: str, read: Any) -> None:
    (record,) = of_yaml(tmp_path / "a.yaml", value).records
    assert msgspec.to_builtins(record.meta["x"]) == read
