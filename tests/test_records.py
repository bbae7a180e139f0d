"""Records, rejections and outcomes as bytes."""

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.records import (
    GROUPS,
    KINDS,
    Message,
    Origin,
    Outcome,
    Record,
    Rejection,
    Tool,
    ToolCall,
    encode,
    escape_surrogates,
    portable_path,
    record_id,
)

ORIGIN = Origin(path="a/b.py", record=3)


def make(**changes: object) -> Record:
    fields: dict[str, object] = {
        "id": "source_code/a/b.py#3",
        "text": "x = 1\n",
        "kind": "code",
        "source": "source_code",
        "license": "MIT",
        "origin": ORIGIN,
    }
    return Record(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_record_without_optional_fields_has_six_keys_in_the_order_of_the_table() -> None:
    assert encode(make()) == (
        b'{"id":"source_code/a/b.py#3","text":"x = 1\\n","kind":"code","source":"source_code",'
        b'"license":"MIT","origin":{"path":"a/b.py","record":3}}'
    )


def test_a_full_record_keeps_order_and_characters() -> None:
    call = ToolCall(id="c1", name="f", arguments={"z": "é", "a": 1.5})
    record = make(
        origin=Origin(path="a/b.py", record=3, url="https://x.org/ü"),
        tools=(Tool(name="f", description="", parameters={"type": "object"}),),
        messages=(
            Message(role="user", content="hi", loss=False),
            Message(role="assistant", content="", tool_calls=(call,), loss=True),
            Message(role="tool", content="1", tool_call_id="c1"),
        ),
        meta={"reward": 0, "big": 2**70, "digits": msgspec.Raw(b"1.10")},
    )
    line = encode(record).decode()
    assert line.partition('"origin":')[2] == (
        '{"path":"a/b.py","record":3,"url":"https://x.org/ü"},'
        '"tools":[{"name":"f","description":"","parameters":{"type":"object"}}],'
        '"messages":[{"role":"user","content":"hi","loss":false},'
        '{"role":"assistant","content":"",'
        '"tool_calls":[{"id":"c1","name":"f","arguments":{"z":"é","a":1.5}}],"loss":true},'
        '{"role":"tool","content":"1","tool_call_id":"c1"}],'
        '"meta":{"reward":0,"big":1180591620717411303424,"digits":1.10}}'
    )


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000"])
def test_empty_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^record 'source_code/a/b.py#3': text is empty$"):
        encode(make(text=text))


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown kind 'poem', known: tool_documentation, traj"):
        encode(make(kind="poem"))


@pytest.mark.parametrize(
    "bad",
    [
        "a/b.py#3",  # another source's
        "source_code/a/b.py",
        "source_code/a/b.py#",
        "source_code/a/b.py#x",
        "source_code/#3",
        "source_code/a\nb.py#3",
        "source_code/a/b.py#3\n",
        "source_code/a\rb.py#3",
    ],
)
def test_an_id_of_another_form_is_refused_on_one_line(bad: str) -> None:
    with pytest.raises(ValueError, match="expected an id of the form source_code/") as caught:
        encode(make(id=bad))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"text": "a\ud800b"}, {"meta": {"k": "\udfff"}}, {"license": "\udc80"}]
)
def test_a_lone_surrogate_anywhere_cannot_be_written(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"lone surrogate '\\ud[8f8c]\w+' cannot be written"):
        encode(make(**changes))


def test_a_rejection_keeps_text_as_text_and_other_bytes_as_base64() -> None:
    text = Rejection(origin=ORIGIN, reason="syntax_error", raw="def é(".encode())
    assert text.encode().decode() == (
        '{"origin":{"path":"a/b.py","record":3},"reason":"syntax_error","raw":"def é("}'
    )
    binary = Rejection(origin=ORIGIN, reason="invalid_utf8", raw=b"\xff\x00")
    assert json.loads(binary.encode()) == {
        "origin": {"path": "a/b.py", "record": 3},
        "reason": "invalid_utf8",
        "raw": "/wA=",
        "raw_encoding": "base64",
    }


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_long_rejection_keeps_its_head_and_its_length(letter: str) -> None:
    raw = b"y" + letter.encode() * (1 << 20)
    content = json.loads(Rejection(origin=ORIGIN, reason="r", raw=raw).encode())
    assert content["raw"] == "y" + letter * (((1 << 16) - 1) // len(letter.encode()))
    assert content["raw_bytes"] == len(raw)
    assert "raw_encoding" not in content
    binary = json.loads(Rejection(origin=ORIGIN, reason="r", raw=b"\xff" * (2 << 20)).encode())
    assert len(base64.b64decode(binary["raw"])) == 1 << 16


def test_an_outcome_is_either_records_or_one_rejection() -> None:
    rejection = Rejection(origin=ORIGIN, reason="r", raw=b"")
    Outcome(records=(make(),), dropped=("empty",))
    Outcome(rejection=rejection)
    with pytest.raises(ValueError, match="gives records or one rejection, got 0 records"):
        Outcome()
    with pytest.raises(ValueError, match="got 1 records and rejection Rejection"):
        Outcome(dropped=("empty",), rejection=rejection)


def test_every_kind_is_in_exactly_one_group() -> None:
    assert sorted(kind for kinds in GROUPS.values() for kind in kinds) == sorted(KINDS)


@given(st.text(st.characters(codec=None), max_size=20))
def test_any_file_name_gives_an_id_that_can_be_written(name: str) -> None:
    origin = Origin(path=portable_path(f"d/{name}"), record=0)
    line = encode(make(id=record_id("source_code", origin), origin=origin))
    assert json.loads(line)["origin"]["path"].startswith("d/")
    assert b"\n" not in line


def test_ordinary_paths_are_unchanged_and_others_are_escaped() -> None:
    assert portable_path("a b/ü#1%.py") == "a b/ü#1%.py"
    assert portable_path("a\nb\udcff\x85") == "a\\x0ab\\udcff\x85"
    assert escape_surrogates("é\ud800") == "é\\ud800"
