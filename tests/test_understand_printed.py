"""The quick reading of printed values: what it reads is what the syntax tree says."""

import ast
import time
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from preprocess.exact_json import DECODER
from preprocess.readers.understand.literals import NotLiteral, Reading, parse
from preprocess.readers.understand.printed import as_json

PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4),
    max_leaves=12,
)


def quick(text: str) -> Any:
    respelled = as_json(text)
    return ... if respelled is None else DECODER.decode(respelled)


@given(VALUES)
def test_what_python_prints_is_read_as_it_was(value: Any) -> None:
    try:
        read = quick(str(value) if not isinstance(value, str) else repr(value))
    except msgspec.DecodeError:
        read = ...  # left to the syntax tree: the value is right or not there
    if read is not ...:
        assert read == value
        assert type(read) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        {"a": "it's", "b": 'say "b"', "c": "both ' and \"", "d": "back\\slash\\'"},
        ["\n\t\r", "\x07\x7f\xa0\u2028", "é中\U0001f600", "True", "None of 'them'"],
        [True, False, None, -1.5e300, 0, [], {}, [[]], ""],
    ],
)
def test_most_of_what_is_printed_needs_no_syntax_tree(value: Any) -> None:
    assert quick(repr(value)) == value


@given(st.text("'\"\\ {}[],:aTrueN1.u0xd8\n#b-", max_size=30))
@example("'a' 'b'")
@example("'''a'''")
@example("b'a'")
@example(r"['\ud83d\ude00']")
@example(r"['\N{DIGIT ONE}\x41\101\q']")
@example("['a\nb']")
@example("{'a': 1} # 'b'")
@example("TrueTrue")
def test_no_text_is_read_otherwise_than_by_the_syntax_tree(text: str) -> None:
    try:
        value = quick(text)
    except msgspec.DecodeError:
        return
    if value is ...:
        return
    try:
        json = DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        pass
    else:
        assert value == json
        return
    try:
        tree = parse(text.strip(), "eval")
        assert isinstance(tree, ast.Expression)
        expected = Reading(text.strip(), joins_strings=False).value(tree.body)
    except NotLiteral as refused:
        expected = refused
    if isinstance(expected, NotLiteral):
        assert str(expected) == "one key twice"  # the caller counts keys
    else:
        assert value == expected


@pytest.mark.parametrize("text", ["'" * 200_001, "'\\'" * 100_000, '"\\"' * 100_000, "T" * 300_000])
def test_a_hostile_text_costs_one_pass(text: str) -> None:
    begin = time.process_time()
    as_json(text)
    assert time.process_time() - begin < 2
