"""Types and parameters by other names, as JSON Schema."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from preprocess.readers.native import Unreadable
from preprocess.readers.understand.schemas import (
    json_schema,
    python_parameters,
    rapidapi_parameters,
)


def python(word: object) -> Any:
    return python_parameters({"p": {"type": word}})["properties"]["p"]


def bfcl(word: object) -> Any:
    schema = {"type": "dict", "properties": {"p": {"type": word}}, "required": []}
    return json_schema(schema)["properties"]["p"]


@pytest.mark.parametrize(
    ("word", "schema"),
    [
        ("str", {"type": "string"}),
        ("bool, optional", {"type": "boolean"}),
        ("List[int]", {"type": "array", "items": {"type": "integer"}}),
        ("list(str)", {"type": "array", "items": {"type": "string"}}),
        ("Dict[str, Any]", {"type": "object"}),
        ("Dict[str, float]", {"type": "object", "additionalProperties": {"type": "number"}}),
        (
            "Dict[int, str]",
            {
                "type": "object",
                "x-type": "Dict[int, str]",
                "additionalProperties": {"type": "string"},
            },
        ),
        ("Union[int, str]", {"type": ["integer", "string"]}),
        ("Union[Any, str]", {}),
        ("int | None", {"type": ["integer", "null"]}),
        (
            "Optional[List[str]]",
            {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        ),
        ("Literal['a', 2]", {"enum": ["a", 2]}),
        (
            "Tuple[int, str]",
            {
                "type": "array",
                "x-type": "Tuple[int, str]",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (
            "Tuple[float, ...]",
            {"type": "array", "x-type": "Tuple[float, ...]", "items": {"type": "number"}},
        ),
        ("set", {"type": "array", "x-type": "set"}),
        ("Callable[[float], float]", {"x-type": "Callable[[float], float]"}),
        ("np.ndarray", {"x-type": "np.ndarray"}),
        ("int, default 5", {"type": "integer", "default": 5, "x-type": "int, default 5"}),
        (
            "str, optional, default: 5",
            {"type": "string", "default": "5", "x-type": "str, optional, default: 5"},
        ),
        ("", {"x-type": ""}),
        ("a b " * 30_000, {"x-type": "a b " * 30_000}),
        ("[" * 30_000, {"x-type": "[" * 30_000}),
        (7, {"x-type": 7}),
        (None, {}),
    ],
)
def test_python_types(word: object, schema: dict[str, Any]) -> None:
    assert python(word) == schema


@pytest.mark.parametrize(
    ("word", "schema"),
    [
        ("dict", {"type": "object"}),
        ("float", {"type": "number"}),
        ("double", {"type": "number"}),
        ("tuple", {"type": "array", "x-type": "tuple"}),
        ("any", {}),
        ("String", {"type": "string"}),
        ("Array", {"type": "array"}),
        ("HashMap", {"type": "object", "x-type": "HashMap"}),
        ("ArrayList", {"type": "array", "x-type": "ArrayList"}),
        ("long", {"type": "integer", "x-type": "long"}),
        ("char", {"type": "string", "x-type": "char"}),
        ("", {"x-type": ""}),
        ("HTMLElement", {"x-type": "HTMLElement"}),
        (["String", "null"], {"type": ["string", "null"]}),
        (["String", "Dataframe"], {"x-type": ["String", "Dataframe"]}),
    ],
)
def test_bfcl_types(word: object, schema: dict[str, Any]) -> None:
    assert bfcl(word) == schema


def test_types_are_mapped_at_every_depth_and_nothing_else_changes() -> None:
    schema = {
        "type": "dict",
        "required": ["a"],
        "properties": {
            "a": {
                "type": "array",
                "items": {
                    "type": "dict",
                    "properties": {"type": {"type": "float", "default": 0.5, "description": ""}},
                },
                "optional": True,
            },
            "b": {"type": "object", "additionalProperties": {"type": "String"}},
            "c": {
                "anyOf": [{"type": "float"}, {"type": "null"}],
                "example_value": {"type": "dict"},
            },
        },
        "optional": [],
    }
    before = copy.deepcopy(schema)
    mapped = json_schema(schema)
    assert schema == before
    assert list(mapped) == ["type", "required", "properties", "optional"]
    assert mapped["properties"] == {
        "a": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"type": {"type": "number", "default": 0.5, "description": ""}},
            },
            "optional": True,
        },
        "b": {"type": "object", "additionalProperties": {"type": "string"}},
        "c": {"anyOf": [{"type": "number"}, {"type": "null"}], "example_value": {"type": "dict"}},
    }


def test_an_array_s_enum_of_scalars_is_that_of_its_items() -> None:
    schema = {"properties": {"p": {"type": "array", "items": {"type": "str"}, "enum": ["a", "b"]}}}
    assert json_schema(schema)["properties"]["p"] == {
        "type": "array",
        "items": {"type": "string", "enum": ["a", "b"]},
    }
    whole = {"properties": {"p": {"type": "array", "enum": [["a"], ["b"]]}}}
    assert json_schema(whole)["properties"] == whole["properties"]


@pytest.mark.parametrize("nothing", [None, {}, []])
def test_no_parameters_are_an_object_without_properties(nothing: object) -> None:
    assert json_schema(nothing) == {"type": "object", "properties": {}}


def test_a_flat_map_gets_its_object() -> None:
    flat = {"type": {"type": "any"}, "n": {"type": "Number"}, "required": ["n"]}
    assert json_schema(flat) == {
        "type": "object",
        "properties": {"type": {}, "n": {"type": "number"}},
        "required": ["n"],
    }


def test_required_beside_the_schema_and_in_properties() -> None:
    assert json_schema({"properties": {"a": {}}}, ["a"])["required"] == ["a"]
    marked = {"properties": {"a": {"type": "int", "required": True}, "b": {"required": False}}}
    assert json_schema(marked) == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {}},
        "required": ["a"],
    }


@pytest.mark.parametrize("schema", ["text", 3, ["a"]])
def test_what_is_no_schema_is_refused(schema: object) -> None:
    with pytest.raises(Unreadable, match=r"^invalid_parameters$"):
        json_schema(schema)


def test_python_parameters_are_required_unless_optional() -> None:
    schema = python_parameters(
        {
            "q": {"description": "python", "type": "str", "default": "Pulp Fiction"},
            "n": {"type": "int", "default": "40"},
            "page": {"description": "From 1.", "type": "int, optional", "default": "1"},
        }
    )
    assert schema == {
        "type": "object",
        "properties": {
            "q": {"description": "python", "type": "string", "default": "Pulp Fiction"},
            "n": {"type": "integer", "default": "40"},
            "page": {"description": "From 1.", "type": "integer", "default": "1"},
        },
        "required": ["q", "n"],
    }


def test_marks_in_python_parameters_say_what_is_required() -> None:
    flat = {"a": {"type": "str", "required": True}, "b": {"type": "str"}, "c": "words"}
    schema = python_parameters(flat)
    assert schema["required"] == ["a"]
    assert schema["properties"] == {
        "a": {"type": "string"},
        "b": {"type": "string"},
        "c": {"description": "words"},
    }
    assert python_parameters(flat, ["b"])["required"] == ["b"]


@pytest.mark.parametrize("flat", [[], "text", {"a": 3}])
def test_what_is_no_flat_map_is_refused(flat: Any) -> None:
    with pytest.raises(Unreadable, match=r"^invalid_parameters$"):
        python_parameters(flat)


def test_rapidapi_parameters_keep_their_order_and_every_key() -> None:
    required = [{"name": "id", "type": "STRING", "description": "", "default": ""}]
    optional: list[dict[str, Any]] = [
        {"name": "n", "type": "NUMBER", "description": "How many.", "default": "5", "x": 1},
        {"name": "kind", "type": "ENUM", "default": "a"},
        {"name": "day", "type": "DATE (YYYY-MM-DD)"},
        {"name": "id", "type": "NUMBER"},
        {"name": "n", "type": "NUMBER", "description": "How many.", "default": "5", "x": 1},
    ]
    assert rapidapi_parameters(required, optional) == {
        "type": "object",
        "properties": {
            "id": {
                "type": "string",
                "description": "",
                "default": "",
                "x-also": [{"type": "number"}],
            },
            "n": {"type": "number", "description": "How many.", "default": "5", "x": 1},
            "kind": {"x-type": "ENUM", "default": "a"},
            "day": {"type": "string", "x-type": "DATE (YYYY-MM-DD)"},
        },
        "required": ["id"],
    }


@pytest.mark.parametrize("parameters", [[{"type": "STRING"}], ["id"], [{"name": 3}]])
def test_rapidapi_parameters_need_names(parameters: Any) -> None:
    with pytest.raises(Unreadable, match=r"^invalid_parameters$"):
        rapidapi_parameters(parameters, [])
