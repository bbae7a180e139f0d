"""JSON in strings, and what sources wrote in its place."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.readers.native import Native, Unreadable
from preprocess.readers.understand.json_text import loads
from preprocess.records import Origin


def native() -> Native:
    return Native(None, b"", Origin(path="a.json", record=0))


def read(text: str) -> tuple[Any, list[str]]:
    record = native()
    return loads(text, record), record.repairs


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ('{"b": 1, "a": [true, null]}', {"b": 1, "a": [True, None]}, []),
        (
            "{'id': 'x', 'ok': True, 'no': None}",
            {"id": "x", "ok": True, "no": None},
            ["python_literal_for_json"],
        ),
        ("[('a', 1), {2, 3}]", [["a", 1], [2, 3]], ["python_literal_for_json"]),
        ("{'a': true, 'b': null}", {"a": True, "b": None}, ["python_literal_for_json"]),
        ('{"a": 1,}', {"a": 1}, ["python_literal_for_json"]),
        ("[u'caf\\xe9', -1, +2]", ["café", -1, 2], ["python_literal_for_json"]),
        ("['\\d', '''a'b''']", ["\\d", "a'b"], ["python_literal_for_json"]),
        ('{"a": "one\ntwo\t"}', {"a": "one\ntwo\t"}, ["raw_newline_in_json"]),
        (
            "{'a': 'one\r\ntwo', \"b\": None}",
            {"a": "one\r\ntwo", "b": None},
            ["python_literal_for_json", "raw_newline_in_json"],
        ),
        (
            "{1: 'a', None: 'b', True: 'c'}",
            {"1": "a", "null": "b", "true": "c"},
            ["python_literal_for_json", "other_key_for_string"],
        ),
    ],
)
def test_what_is_certain_is_understood_and_noted(
    text: str, value: object, repairs: list[str]
) -> None:
    assert read(text) == (value, repairs)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        '{"base": "USD", "symbols": "symbols": ["EUR", "GBP"]}',
        '{"page": 1-10}',
        '{"a": "cut off in the mid',
        '[{"a": 1}, ...]',
        "{'a': 1, 'a': 2}",
        "['a' 'b']",
        "{'a': 1}  # nearly",
        "{'a': float('nan')}",
        '{"a": NaN}',
        "{'a': b'bytes'}",
        "{'a': 1j}",
        "{(1, 2): 'a'}",
        "__import__('os')",
        "'\\ud800'",
        "-" * 50_000 + "1",
        "[" * 50_000,
        "{'a': 'nul\x00'",
        "[1e99999999999999999999]",
        "1" * 5_000,
    ],
)
def test_what_is_not_certain_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match=r"^invalid_json_in_string$"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        r'{"a\\": 1, "b": 2, "b": 3}',
        r'{"a\\":1,"a\\":2}',
        r'{"a\u005c":1,"a\u005c":2}',
        r'{"a":1,"a":2,"b":"\u003a"}',
        '{"a": 1, "a": 2}',
        '[{"b": ":", "c": {"a": 1, "\\u0061": 2}}]',
        '{"a" :1,"a"\n:1}',
    ],
)
def test_a_key_twice_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match=r"^duplicate_key_in_string$"):
        read(text)


def test_colons_in_strings_are_no_keys() -> None:
    text = '{"a": ": b", "b": "\\": ", "c\\\\": [{"a": ":"}]}'
    assert read(text) == (json.loads(text), [])


@pytest.mark.parametrize("spelled", ["1.10", "0.1", "1e400", "2.00000000000000000000001", "1E+5"])
@pytest.mark.parametrize("form", ['{{"a": {}}}', "{{'a': {}}}"])
def test_digits_are_kept(form: str, spelled: str) -> None:
    value, _ = read(form.format(spelled))
    assert Decimal(str(value["a"])) == Decimal(spelled)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_integers_of_any_length_are_whole(number: int) -> None:
    assert read(f"{{'a': {number}}}")[0] == read(f'{{"a": {number}}}')[0] == {"a": number}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(JSON)
def test_json_is_read_as_it_is(value: object) -> None:
    assert read(json.dumps(value)) == (value, [])


@given(JSON)
def test_printed_python_values_are_read(value: object) -> None:
    assert read(repr(value))[0] == value


@given(st.dictionaries(st.text('ab:"\\{} '), st.text('ab:"\\{} ')))
def test_nasty_strings_hide_no_key_and_feign_none(value: dict[str, str]) -> None:
    assert read(json.dumps(value)) == (value, [])
    assert read(json.dumps(value, separators=(" , ", " : "))) == (value, [])
