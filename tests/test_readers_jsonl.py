"""JSON Lines of anything, plain and compressed, whole and broken."""

import gzip
import json
from pathlib import Path, PurePosixPath

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from preprocess.readers import READERS
from preprocess.records import Outcome, TruncatedInput, encode

READER = READERS["jsonl"]


def read(path: Path, **options: str) -> list[Outcome]:
    return list(READER.read(path, path.name, options))


def write(folder: Path, data: bytes, name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def reasons(outcomes: list[Outcome]) -> list[str]:
    return [o.rejection.reason if o.rejection else "" for o in outcomes]


def test_other_fields_go_to_meta_as_they_are_spelled(tmp_path: Path) -> None:
    line = b'{"n": 1.10, "text": "h\xc3\xa9", "o": {"z":1, "a":123456789012345678901234}}\r\n'
    (outcome,) = read(write(tmp_path, line))
    assert encode(outcome.records[0]).decode() == (
        '{"id":"jsonl/a.jsonl#0","text":"hé","kind":"text","source":"jsonl","license":"unknown",'
        '"origin":{"path":"a.jsonl","record":0},'
        '"meta":{"n":1.10,"o":{"z":1, "a":123456789012345678901234}}}'
    )


def test_the_text_field_can_be_another_and_a_url_is_the_origin(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"body": "b", "url": "https://x.org/1"}\n')
    (outcome,) = read(path, text_field="body")
    assert json.loads(encode(outcome.records[0])) == {
        "id": "jsonl/a.jsonl#0",
        "text": "b",
        "kind": "text",
        "source": "jsonl",
        "license": "unknown",
        "origin": {"path": "a.jsonl", "record": 0, "url": "https://x.org/1"},
        "meta": {"url": "https://x.org/1"},
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xff"}', "invalid_utf8"),
        (b"{text: 1}", "invalid_json"),
        (b'{"text": "a", "x": NaN}', "invalid_json"),
        (b'{"text": "a", "x": "\\ud800"}', "invalid_json"),
        (b'{"text": "a", "x": 1e999}', "invalid_json"),
        (b'{"text": "a"} {}', "invalid_json"),
        (b'{"text": "a", "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "invalid_json"),
        (b'{"other": "a"}', "no_text"),
        (b'{"text": 7}', "no_text"),
        (b'{"text": null}', "no_text"),
        (b'["text"]', "no_text"),
        (b"3", "no_text"),
        (b'{"text": ""}', "empty_text"),
        (b'{"text": " \\n"}', "empty_text"),
    ],
)
def test_a_bad_line_is_rejected_whole_and_its_neighbours_are_read(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    path = write(tmp_path, b'{"text":"a"}\n' + line + b'\n{"text":"c"}')
    outcomes = read(path)
    assert reasons(outcomes) == ["", reason, ""]
    assert outcomes[1].rejection is not None
    assert outcomes[1].rejection.raw == line
    assert outcomes[2].records[0].id == "jsonl/a.jsonl#2"


def test_blank_lines_and_a_byte_order_mark_are_no_records(tmp_path: Path) -> None:
    path = write(tmp_path, b'\n\xef\xbb\xbf{"text":"a"}\n \r\n\n{"text":"b"}\n\n')
    assert [o.records[0].id for o in read(path)] == ["jsonl/a.jsonl#0", "jsonl/a.jsonl#1"]
    assert read(write(tmp_path, b"")) == []


LINES = b"".join(b'{"text":"record %d %s"}\n' % (i, b"x" * (i * 7 % 300)) for i in range(2000))


def compress(name: str, data: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(data, mtime=0)
    return zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_compressed_files_read_as_plain_ones_also_in_several_members(
    tmp_path: Path, name: str
) -> None:
    half = len(LINES) // 2
    plain = read(write(tmp_path, LINES))
    members = compress(name, LINES[:half]) + compress(name, LINES[half:])
    texts = [o.records[0].text for o in read(write(tmp_path, members, name))]
    assert texts == [o.records[0].text for o in plain]
    assert len(texts) == 2000


def test_zero_padding_after_a_gzip_member_is_no_damage(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(LINES) + bytes(10_000), "a.jsonl.gz")
    assert len(read(path)) == 2000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_cut_file_yields_all_that_can_be_read_and_then_raises(tmp_path: Path, name: str) -> None:
    import random

    noise = random.Random(0).randbytes(600_000).hex().encode()
    lines = b"".join(b'{"text":"%s"}\n' % noise[i : i + 600] for i in range(0, len(noise), 600))
    data = compress(name, lines)
    path = write(tmp_path, data[: len(data) // 2], name)
    outcomes: list[Outcome] = []
    with pytest.raises(TruncatedInput, match=rf"{name}: the compressed stream ends early, after "):
        outcomes.extend(READER.read(path, name))  # extends by all that comes before it raises
    assert set(reasons(outcomes[:-1])) == {""}
    assert reasons(outcomes[-1:]) == ["truncated"]
    assert len(outcomes) > 500
    assert [o.records[0].text for o in outcomes[:3]] == [
        noise[i : i + 600].decode() for i in (0, 600, 1200)
    ]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_an_empty_or_damaged_compressed_file_raises(tmp_path: Path, name: str) -> None:
    with pytest.raises(TruncatedInput, match="ends early, after 0 bytes"):
        read(write(tmp_path, b"", name))
    with pytest.raises(TruncatedInput, match="is damaged before byte 9"):
        read(write(tmp_path, b"not so \xff\xff", name))


def test_json_and_parquet_files_are_accepted_in_a_directory() -> None:
    names = ["a.jsonl", "d/a.json.gz", "a.parquet", "a.txt", "a.jsonl.bz2", "jsonl"]
    assert [READER.accepts(PurePosixPath(n)) for n in names] == [True, True, True, *[False] * 3]


def test_an_option_that_the_reader_does_not_take_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dataset jsonl: no option 'field', it takes: text_field"):
        read(write(tmp_path, b""), field="x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), JSON, max_size=5), st.text(min_size=1))
def test_every_field_comes_back_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, object], text: str
) -> None:
    if text.isspace():
        return
    native = {**fields, "text": text}
    path = write(tmp_path_factory.mktemp("j"), json.dumps(native).encode())
    (outcome,) = read(path)
    line = json.loads(encode(outcome.records[0]))
    assert line["text"] == text
    del native["text"]
    assert line.get("meta", {}) == native
