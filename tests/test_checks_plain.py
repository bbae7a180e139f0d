"""What is told without compiling a schema is what the library says."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.checks.plain import surely_fit

_WORDS = ("string", "integer", "number", "boolean", "array", "object", "null", "text", 3)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([2**63, 2**64, -(2**70), 1.0, 0.5, -0.0]),
    st.sampled_from(["", "a", "b", "1"]),
)
_VALUES = st.one_of(
    _SCALARS, st.lists(_SCALARS, max_size=3), st.dictionaries(st.sampled_from("ab"), _SCALARS)
)
_NAMES = st.sampled_from(["a", "b", "$ref", "type", ""])
_ABOUT = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from([*_WORDS, ["string", "null"]]),
            "description": st.sampled_from(["", "words", None]),
            "title": st.sampled_from(["t", 1]),
            "default": _VALUES,
            "enum": st.one_of(st.lists(_SCALARS, max_size=3), st.just("a")),
            "items": st.one_of(
                st.just({}),
                st.just(True),
                st.sampled_from(_WORDS).map(lambda word: {"type": word}),
                st.just({"minLength": 1}),
            ),
            "x-type": st.just("char"),
            "minimum": st.just(1),
        },
    ),
    st.booleans(),
)
_SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "array", ["object"]]),
        "properties": st.one_of(st.dictionaries(_NAMES, _ABOUT, max_size=3), st.just([])),
        "required": st.one_of(st.lists(st.one_of(_NAMES, st.just(1)), max_size=3), st.just(True)),
        "description": st.sampled_from(["d", 1]),
        "additionalProperties": st.booleans(),
    },
)
_ARGUMENTS = st.dictionaries(_NAMES, _VALUES, max_size=3)


@settings(max_examples=1_000, deadline=None)
@given(schema=_SCHEMAS, arguments=_ARGUMENTS)
def test_what_surely_fits_is_valid(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    if surely_fit(arguments, schema):
        assert jsonschema_rs.validator_for(schema).is_valid(arguments)
        assert arguments.keys() <= schema["properties"].keys()


_PLAIN = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Name."},
        "days": {"type": "integer", "default": 3},
        "at": {"type": "number"},
        "unit": {"type": "string", "enum": ["C", "F"]},
        "ids": {"type": "array", "items": {"type": "integer"}},
        "exact": {"type": "boolean"},
    },
    "required": ["city"],
}


@pytest.mark.parametrize(
    "arguments",
    [
        {"city": "Rome"},
        {"city": "", "days": 3, "at": 1, "unit": "F", "ids": [1, 2], "exact": False},
        {"city": "Rome", "at": 0.5, "ids": []},
    ],
)
def test_plain_calls_are_told(arguments: dict[str, Any]) -> None:
    assert surely_fit(arguments, _PLAIN)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"city": 1},
        {"city": "Rome", "days": True},
        {"city": "Rome", "at": False},
        {"city": "Rome", "unit": "K"},
        {"city": "Rome", "ids": [1, "2"]},
        {"city": "Rome", "exact": 0},
        {"city": "Rome", "wind": 1},
    ],
)
def test_what_does_not_fit_is_left_to_the_library(arguments: dict[str, Any]) -> None:
    assert not surely_fit(arguments, _PLAIN)
