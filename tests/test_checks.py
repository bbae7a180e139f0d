"""Invariants of function calls."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from preprocess.checks import REQUIREMENTS, check_calls
from preprocess.checks.arguments import FAULTS
from preprocess.checks.calls import MOST_FAULTS
from preprocess.checks.plain import surely_fit
from preprocess.checks.schemas import validator_of
from preprocess.records import Message, Origin, Record, Tool, ToolCall

WEATHER = Tool(
    name="weather",
    description="Forecast of a city.",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "maximum": 14, "x-type": "int"},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "places": {
                "type": "array",
                "items": {"type": "object", "properties": {"lat": {}}, "required": ["lat"]},
            },
        },
        "required": ["city"],
    },
)


def call(name: str = "weather", identifier: str = "call_0", /, **arguments: Any) -> ToolCall:
    return ToolCall(id=identifier, name=name, arguments=arguments)


def said(*calls: ToolCall) -> Message:
    return Message(role="assistant", content="", tool_calls=calls)


def answer(identifier: str | None) -> Message:
    return Message(role="tool", content="sunny", tool_call_id=identifier)


def tool(parameters: dict[str, Any], name: str = "f") -> Tool:
    return Tool(name=name, description="", parameters=parameters)


def faults(tools: list[Tool], *messages: Message) -> list[tuple[str, Any]]:
    checks = check_calls(tools, messages)
    assert checks is not None
    assert checks["valid"] is ("faults" not in checks)
    return [(fault["fault"], fault.get("at")) for fault in checks.get("faults", [])]


def test_valid_calls_are_valid() -> None:
    messages = [
        Message(role="user", content="?"),
        said(call(city="Paris", days=3, unit="C"), call("weather", "b", city="Rome", days=2.0)),
        answer("b"),
        answer("call_0"),
    ]
    assert check_calls([WEATHER], messages) == {"calls": 2, "valid": True}


def test_a_record_without_calls_has_no_checks() -> None:
    assert check_calls([WEATHER], [Message(role="user", content="?"), answer(None)]) is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [("missing_argument", "city")]),
        ({"city": 3}, [("wrong_type", "city")]),
        ({"city": None}, [("wrong_type", "city")]),
        ({"city": "a", "days": "3"}, [("wrong_type", "days")]),
        ({"city": "a", "days": True}, [("wrong_type", "days")]),
        ({"city": "a", "days": Decimal("1.50000000000000000001")}, [("wrong_type", "days")]),
        ({"city": "a", "days": 15}, [("invalid_value", "days")]),
        ({"city": "a", "days": 10**30}, [("invalid_value", "days")]),
        ({"city": "a", "unit": "K"}, [("not_in_enum", "unit")]),
        ({"city": "a", "town": "b"}, [("unknown_argument", "town")]),
        ({"city": "a", "places": [{"lat": 1}, {}]}, [("missing_argument", "places/1/lat")]),
        (
            {"days": "x", "when": 1, "unit": 3},
            [
                ("missing_argument", "city"),
                ("wrong_type", "days"),
                ("not_in_enum", "unit"),
                ("wrong_type", "unit"),
                ("unknown_argument", "when"),
            ],
        ),
    ],
)
def test_arguments_that_do_not_fit(
    arguments: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert (
        faults([WEATHER], said(ToolCall(id="0", name="weather", arguments=arguments))) == expected
    )


WORDS = ["string", "integer", "number", "boolean", "array", "object", "null"]
VALUES: list[Any] = [None, True, 0, 1, 2.0, 1.5, Decimal("0.5"), "a", "", [], ["a"], [1], {}]
PLAIN = st.fixed_dictionaries(
    {"type": st.sampled_from(WORDS)},
    optional={
        "description": st.just("A word."),
        "default": st.sampled_from(VALUES),
        "enum": st.just(["a", ""]),
        "items": st.sampled_from([{"type": "string"}, {"type": "integer"}]),
        "x-type": st.just("int"),
    },
)
ODD = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "dict", ["string", "null"], None, 3]),
        "description": st.just(3),
        "enum": st.sampled_from([[1, True], "a", []]),
        "items": st.sampled_from([{"type": "x"}, {"type": "string", "minLength": 1}, {}, [], True]),
        "minimum": st.just(1),
    },
)
SCHEMAS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["object"] * 8 + ["string", 1]),
        "properties": st.dictionaries(
            st.sampled_from("ab"), st.one_of(PLAIN, PLAIN, PLAIN, ODD | st.just(True))
        ),
    },
    optional={
        "required": st.sampled_from([[], [], ["a"], ["a", "a"], ["a", 1], "a", True]),
        "optional": st.just(["b"]),
    },
)


@settings(max_examples=1000, deadline=None)
@given(SCHEMAS, st.dictionaries(st.sampled_from("aabbc"), st.sampled_from(VALUES)))
def test_what_is_seen_at_a_glance_is_what_the_validator_says(
    schema: dict[str, Any], arguments: dict[str, Any]
) -> None:
    glance = surely_fit(arguments, schema)
    event(f"fits at a glance: {glance}")
    if glance:
        assert arguments.keys() <= schema["properties"].keys()
        assert validator_of(schema).is_valid(arguments)


def test_plain_calls_are_seen_at_a_glance() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "description": "", "enum": ["x"], "x-type": "ENUM"},
            "b": {"type": "array", "items": {"type": "integer"}, "default": "[]"},
            "c": {"type": "number"},
        },
        "required": ["a"],
    }
    assert surely_fit({"a": "x", "b": [1], "c": 1}, schema)
    for wrong in (
        {},
        {"a": "y"},
        {"a": "x", "b": ["1"]},
        {"a": "x", "c": True},
        {"a": "x", "e": 1},
    ):
        assert not surely_fit(wrong, schema)


def test_a_fault_names_its_call_among_all_of_the_record() -> None:
    messages = [said(call(city="a")), said(call("weather", "1", city="b"), call("weather", "2"))]
    assert check_calls([WEATHER], messages) == {
        "calls": 3,
        "valid": False,
        "faults": [{"call": 2, "fault": "missing_argument", "at": "city"}],
    }


def test_calls_without_tools() -> None:
    messages = [said(call(), call("f", "1"))]
    assert check_calls([], messages) == {
        "calls": 2,
        "valid": False,
        "faults": [{"call": 0, "fault": "no_tools"}],
    }


def test_a_function_that_is_not_declared() -> None:
    assert faults([WEATHER], said(call("Weather"))) == [("unknown_function", "Weather")]


def test_arguments_that_are_no_object() -> None:
    broken = ToolCall(id="0", name="weather", arguments="{'city': ")  # type: ignore[arg-type]
    assert faults([WEATHER], said(broken)) == [("arguments_not_object", None)]


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"allOf": [{"properties": {"a": {}}}, {"anyOf": [{"properties": {"b": {}}}]}]},
        {"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"b": {}}}}},
        {"properties": {"a": {}}, "allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {}}},
    ],
)
def test_arguments_that_the_schema_leaves_open(parameters: dict[str, Any]) -> None:
    assert faults([tool(parameters)], said(call("f", "0", a=1, b=2))) == []


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        {"anyOf": [{"properties": {"a": {}}}, True]},
    ],
)
def test_arguments_that_the_schema_does_not_name(parameters: dict[str, Any]) -> None:
    assert ("unknown_argument", "b") in faults([tool(parameters)], said(call("f", "0", a=1, b=2)))


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "dict"},
        {"properties": {"a": {"type": "strng"}}},
        {"properties": {"a": {"type": "string", "required": True}}},
        {"properties": []},
        {"required": "a"},
        {"properties": {"a": {"pattern": "("}}},
        {"$ref": "#/nowhere"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/hostname"},
        {"$schema": "http://127.0.0.1:9/draft"},
    ],
)
def test_an_invalid_schema_is_a_fault_of_its_tool(parameters: dict[str, Any]) -> None:
    for _ in range(2):  # compiled, and from memory
        assert faults([tool(parameters)], said(call("f"))) == [("invalid_schema", "f")]


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"properties": {"a": {"items": [{"type": "string"}]}}}, [3]),
        ({"properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}}, 1),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": False}}, 1),
    ],
)
def test_older_drafts_are_understood(parameters: dict[str, Any], wrong: object) -> None:
    declared = [tool(parameters)]
    assert faults(declared, said(call("f"))) == []
    found = faults(declared, said(call("f", "0", a=wrong)))
    assert len(found) == 1
    assert found[0][0] != "invalid_schema"


def test_of_two_declarations_one_must_fit() -> None:
    declared = [
        tool({"properties": {"a": {"type": "string"}}}),
        tool({"properties": {"a": {"type": "integer"}}}),
    ]
    assert faults(declared, said(call("f", "0", a=1))) == []
    assert faults(declared, said(call("f", "0", a=None))) == [("wrong_type", "a")]


def test_ids_and_answers() -> None:
    messages = [
        answer("0"),
        said(call("f", "0"), call("f", "1"), call("f", "1")),
        answer("0"),
        answer("0"),
        answer("2"),
        answer(None),
    ]
    assert check_calls([tool({})], messages) == {
        "calls": 3,
        "valid": False,
        "faults": [
            {"message": 0, "fault": "observation_without_call", "at": "0"},
            {"call": 2, "fault": "duplicate_call_id", "at": "1"},
            {"message": 3, "fault": "call_answered_twice", "at": "0"},
            {"message": 4, "fault": "observation_without_call", "at": "2"},
            {"message": 5, "fault": "observation_without_call", "at": ""},
        ],
    }


def test_many_faults_are_counted() -> None:
    checks = check_calls([WEATHER], [said(*(call("weather", str(n)) for n in range(40)))])
    assert checks is not None
    assert len(checks["faults"]) == MOST_FAULTS
    assert checks["num_faults"] == 40


def test_the_documentation_names_every_fault() -> None:
    root = Path(__file__).parents[1]
    source = "".join(path.read_text() for path in (root / "preprocess" / "checks").glob("*.py"))
    page = (root / "docs" / "checks.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)`", page, flags=re.MULTILINE))
    given = set(re.findall(r'"fault": "(\w+)"|return "(\w+)"|"(invalid_\w+)"', source))
    assert {name for names in given for name in names if name} | set(FAULTS.values()) == documented


def test_deep_arguments_do_not_crash() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    schema = {
        "properties": {"a": {"$ref": "#/$defs/x"}},
        "$defs": {"x": {"items": {"$ref": "#/$defs/x"}}},
    }
    assert faults([tool(schema)], said(call("f", "0", a=deep))) == []


def test_required_valid_calls_drop_the_others_with_their_first_fault() -> None:
    def reason(*messages: Message) -> str | None:
        checks = check_calls([WEATHER], messages)
        meta = {} if checks is None else {"checks": checks}
        record = Record(
            id="a/b#0",
            text="x",
            kind="function_call",
            source="a",
            license="MIT",
            origin=Origin(path="b", record=0),
            messages=messages,
            meta=meta,
        )
        return REQUIREMENTS["valid-calls"](record)

    assert reason(Message(role="user", content="?")) is None
    assert reason(said(call(city="Paris"))) is None
    assert reason(said(call())) == "invalid_calls_missing_argument"


def test_a_field_of_that_name_which_is_not_ours_says_nothing() -> None:
    record = Record(
        id="a/b#0",
        text="x",
        kind="text",
        source="a",
        license="MIT",
        origin=Origin(path="b", record=0),
        meta={"checks": "passed"},
    )
    assert REQUIREMENTS["valid-calls"](record) is None
