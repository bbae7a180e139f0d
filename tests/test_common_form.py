"""Lines made by the extension are those of the readers in Python, whatever a record holds."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from preprocess._rust_ext import CommonForm, NativeRecords
from preprocess.readers import READERS
from preprocess.readers.datasets.openapi import convert as openapi
from preprocess.readers.native import outcome
from preprocess.records import Origin, Written, encode
from preprocess.render import PROPORTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

type Json = Any

DATASETS = ("apigen_xlam60k", "openapi")
CONVERT = {"apigen_xlam60k": READERS["apigen_xlam60k"].convert, "openapi": openapi}
SAMPLES = {"apigen_xlam60k": "apigen_xlam60k/*.json", "openapi": "openapi/**/*.json"}

REQUEST: Json = {
    "id": 7,
    "query": "How <high> is the tide at “Cork”?\nAnd when?",
    "tools": [
        {
            "name": "tides.at",
            "description": "Heights\nof tides.",
            "parameters": {
                "harbour": {"type": "str", "description": "Its name | or code", "default": "Brest"},
                "days": {"type": "int, optional", "description": "How many", "default": "3"},
                "exact": {"type": "bool, optional", "default": True, "description": "Ä\nor not"},
                "class": {"type": "list", "description": ""},
            },
        },
        {"name": "noop", "description": "", "parameters": {}},
    ],
    "answers": [
        {
            "name": "tides.at",
            "arguments": {"harbour": 'C"o\\rk\n', "class": [1.50, None, {"a": 2}]},
        },
        {"name": "noop", "arguments": {}},
    ],
}

DOCUMENT: Json = {
    "openapi": "3.0.1",
    "info": {"title": "Tides", "version": 1.10, "description": "Of\nthe sea."},
    "servers": [{"url": "https://tides.example/v1/"}],
    "tags": [{"name": "sea", "description": "Salty."}, {"name": "lake"}],
    "paths": {
        "/tides/{harbour}": {
            "summary": "One harbour",
            "parameters": [{"$ref": "#/components/parameters/harbour"}],
            "get": {
                "operationId": "tides",
                "summary": "Heights",
                "description": 'Heights of "tides"',
                "parameters": [
                    {"name": "days", "in": "query", "schema": {"type": "integer", "default": 3}},
                    {"name": "days", "in": "header", "schema": {"type": "string"}},
                ],
                "responses": {
                    "200": {
                        "description": "OK",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Tide"}}
                        },
                    },
                    "404": {"$ref": "#/components/responses/none", "x-also": [1]},
                    "default": "odd",
                },
                "x-rate": 0.5,
            },
            "put": {
                "requestBody": {
                    "description": "Heights",
                    "required": True,
                    "content": {
                        "text/plain": {"schema": {"type": "string"}},
                        "application/json": {"schema": {"$ref": "#/components/schemas/Tide"}},
                    },
                },
                "responses": {"204": {"description": "Done"}},
            },
        },
        "/": {"get": {"responses": {"200": {"description": ""}}}},
    },
    "webhooks": {"storm": {"post": {"summary": "A storm"}}},
    "components": {
        "parameters": {"harbour": {"name": "harbour", "in": "path", "required": True}},
        "responses": {"none": {"description": "No such harbour"}},
        "schemas": {
            "Tide": {
                "type": "object",
                "required": ["at", "gone"],
                "properties": {
                    "at": {"type": "string", "format": "date-time", "description": "When"},
                    "height": {"type": "number", "exclusiveMinimum": True, "minimum": 0},
                    "next": {"$ref": "#/components/schemas/Tide"},
                    "moons": {"type": "array", "items": {"$ref": "#/components/schemas/Moon"}},
                    "scan": {"type": "file"},
                    "other": {"$ref": "#/components/schemas/nowhere"},
                },
            },
            "Moon": {"enum": ["new", "full"]},
            "Unused": {"allOf": [{"type": ["string", "null"]}, {"items": {"type": "integer"}}]},
        },
    },
}  # fmt: skip

ODD: tuple[Json, ...] = (
    *(None, True, 0, 2.5, 1e30, 12345678901234567890, -0.0, "", " ", "é", "a|b", "a`b", "1a"),
    *('"""', "back\\slash", 'end"', "two\nlines", "\x1f", "\u2028", "int", "List[int]", "file"),
    *("\n>>> f()", "<tool_call>\n", "#/components/schemas/Tide", "class", "array", [], {}, ["at"]),
    {"type": "file"},
    {"$ref": "#/components/schemas/Tide"},
    {"schema": {"type": "integer", "description": "s"}, "description": "t"},
    {"type": "object", "required": True, "properties": {"$ref": {"type": "file"}}},
)
KEYS = (
    *("type", "$ref", "description", "required", "properties", "items", "default", "enum", "in"),
    *("name", "schema", "content", "summary", "parameters", "responses", "servers", "template"),
    *("meta", "checks", "arguments", "query", "id", "url", "é", "components", "operationId"),
)


def made_of(dataset: str, raw: bytes, record: int) -> bytes | None:
    """Return the lines of a record if it is common; they are those of the reader in Python."""
    reader, convert = READERS[dataset], CONVERT[dataset]
    assert convert is not None
    form = CommonForm(dataset, license=reader.license)
    made = form.lines(raw, path="dir/ä b.json", record=record)
    if made is None:
        return None
    told = outcome(reader, raw, Origin(path="dir/ä b.json", record=record), convert)
    lines, records, text_bytes = made
    assert lines.split(b"\n") == [encode(each) for each in told.records]
    assert records == len(told.records)
    assert text_bytes == sum(len(each.text.encode()) for each in told.records)
    assert not told.repairs
    written = Written(
        lines=lines, records=records, text_bytes=text_bytes,
        source=dataset, kind=reader.kind, license=reader.license,
    )  # fmt: skip
    assert written.outcome().records == told.records
    return lines


def request(value: Json) -> bytes:
    """Return a request whose tools and answers are JSON in strings."""
    inner = {key: json.dumps(value[key]) for key in ("tools", "answers") if key in value}
    return json.dumps({**value, **inner}, ensure_ascii=False).encode()


def document(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


SPELLED = {"apigen_xlam60k": (REQUEST, request), "openapi": (DOCUMENT, document)}


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_template_is_the_same(dataset: str) -> None:
    value, spell = SPELLED[dataset]
    value = copy.deepcopy(value)
    if dataset == "apigen_xlam60k":
        del value["tools"][0]["parameters"]["class"]  # no name in Python
        del value["answers"][0]["arguments"]["class"]
        value["answers"][0]["arguments"]["harbour"] = "Cork"
    else:
        operation = value["paths"]["/tides/{harbour}"]["get"]
        del operation["parameters"][1]  # the other one's name has a blank
        operation["description"] = "Heights."
    found = set()
    for record in range(300):
        lines = made_of(dataset, spell(value), record)
        assert lines is not None
        parsed = map(json.loads, lines.split(b"\n"))
        found |= {each["meta"].get("template") for each in parsed} - {None}
    assert found == set(PROPORTIONS[READERS[dataset].kind])


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_template_that_does_not_fit_gives_way_to_the_same_one(dataset: str) -> None:
    value, spell = SPELLED[dataset]
    for word in ("a b", 'q"', "x`y", '"""', "\n>>> f()", "<tool_call>\n", "a|b", "back\\slash"):
        changed = json.loads(json.dumps(value).replace("eights", json.dumps(word)[1:-1]))
        for record in range(60):
            assert made_of(dataset, spell(changed), record) is not None


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_is_odd_is_left_to_python_or_understood_alike(dataset: str) -> None:
    value, spell = SPELLED[dataset]
    rng = random.Random(6)
    common = 0
    for record in range(1_000):
        changed = copy.deepcopy(value)
        for _ in range(rng.choice((1, 1, 2, 4))):
            _change(changed, rng)
        path = spell(changed) if isinstance(changed, dict) else b"0"
        common += made_of(dataset, path, record) is not None
    assert common > 100


def _change(value: Json, rng: random.Random) -> None:
    """Put something odd at a place of a value."""
    at, key = rng.choice(list(_places(value)))
    drawn = rng.random()
    if drawn < 0.5 or isinstance(at, list):
        at[key] = copy.deepcopy(rng.choice(ODD))
    elif drawn < 0.65:
        del at[key]
    elif drawn < 0.8:
        items = [(rng.choice(KEYS) if name == key else name, each) for name, each in at.items()]
        at.clear()
        at.update(items)
    else:
        at[rng.choice(KEYS)] = copy.deepcopy(rng.choice(ODD))


def _places(value: Json) -> Iterator[tuple[Json, Json]]:
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


@pytest.mark.parametrize(
    "changes",
    [
        {"query": " \u2028"},
        {"answers": []},
        {"answers": [{"name": "tides.at", "arguments": {"harbour": 1, "class": []}}]},
        {"answers": [{"name": "other", "arguments": {}}]},
        {"answers": [{"name": "noop", "arguments": {}, "id": "x"}]},
        {
            "tools": [
                {"name": "noop", "description": "", "parameters": {"a": {"type": "List[int]"}}}
            ]
        },
        {"template": "theirs"},
        {"score": 1e30},
    ],
)
def test_a_request_is_common_only_where_all_is_certain(changes: dict[str, Json]) -> None:
    assert made_of("apigen_xlam60k", request(REQUEST), 0) is not None
    assert made_of("apigen_xlam60k", request({**REQUEST, **changes}), 0) is None


def test_a_key_twice_in_a_string_is_not_common() -> None:
    twice = {**REQUEST, "answers": '[{"name": "noop", "arguments": {"a": 1, "a": 2}}]'}
    raw = json.dumps({**twice, "tools": json.dumps(REQUEST["tools"])}).encode()
    assert made_of("apigen_xlam60k", raw, 0) is None


def test_a_form_has_to_be_known() -> None:
    with pytest.raises(ValueError, match="no common form is known of fireact"):
        CommonForm("fireact", license="MIT")


def test_depth_and_length_are_bounded() -> None:
    deep = b'{"openapi":"3","paths":{},"x":' + b"[" * 400 + b"]" * 400 + b"}"
    long = b'{"openapi":"3","paths":{},"x":"' + b"a" * (9 << 20) + b'"}'
    wide = json.dumps({"openapi": "3", "x": dict.fromkeys(map(str, range(5_000)))}).encode()
    for raw in (deep, long, wide):
        assert made_of("openapi", raw, 0) is None


@pytest.mark.shared
@pytest.mark.parametrize("dataset", DATASETS)
def test_nearly_all_real_records_are_common(dataset: str, shared: Path) -> None:
    natives = common = 0
    paths = sorted((shared / "data/agent").glob(SAMPLES[dataset]))
    for path in (path for path in paths if path.stat().st_size):
        for batch in NativeRecords(path, limit_bytes=1 << 30):
            for raw, reason, _ in batch:
                natives += 1
                common += reason is None and made_of(dataset, raw, natives) is not None
    assert common >= 0.97 * natives > 0
