"""Whole files, rows of CSV, and which files are a dataset's: what several readers share."""

from __future__ import annotations

import gzip
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
import zstandard

from preprocess.readers.csv_rows import read_csv
from preprocess.readers.datasets.react import READER
from preprocess.readers.draft import Draft
from preprocess.readers.lines import NO_LIMIT
from preprocess.readers.names import Named
from preprocess.readers.whole import head_of, read_together, read_whole
from preprocess.records import Outcome, TruncatedInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from preprocess.readers.native import Native

_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
}


def _as_text(native: Native) -> Iterator[Draft]:
    yield Draft(kind="text", text=str(native.value))


def _whole(path: Path, limit_bytes: int = NO_LIMIT) -> list[Outcome]:
    return list(read_whole(READER, path, path.name, limit_bytes, _as_text))


def _reasons(outcomes: list[Outcome]) -> list[str | None]:
    return [each.rejection.reason if each.rejection else None for each in outcomes]


def test_names_are_accepted_in_any_case_and_compressed() -> None:
    accepts = Named(".json", ".jsonl")
    assert all(map(accepts, map(PurePosixPath, ["a.json", "b/A.JSON", "a.jsonl.gz", "a.json.zst"])))
    assert not any(map(accepts, map(PurePosixPath, ["a.txt", "json", "a.json.bz2", "a.json/b"])))


@pytest.mark.parametrize("suffix", _COMPRESS)
def test_whole_file_keeps_every_character(tmp_path: Path, suffix: str) -> None:
    text = "First\r\n\u4e2d\n\n last \n\n"
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(_COMPRESS[suffix](b"\xef\xbb\xbf" + text.encode()))
    (outcome,) = _whole(path)
    assert outcome.records[0].text == text
    assert head_of(path) == b"\xef\xbb\xbf" + text.encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b" \n\n", "empty_file"),
        (b"a\xff", "invalid_utf8"),
        (b"a\0", "nul_byte"),
    ],
)
def test_whole_file_that_is_no_text(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert _reasons(_whole(path)) == [reason]


@pytest.mark.parametrize("suffix", _COMPRESS)
def test_whole_file_over_the_limit_is_not_held(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(_COMPRESS[suffix](b"ab" * 50_000))
    assert _reasons(_whole(path, 100_000)) == [None]
    (outcome,) = _whole(path, 99_999)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "over_memory"
    assert outcome.rejection.raw == b"ab" * 2048


def test_whole_file_that_breaks_off_is_rejected_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(bytes(range(65, 91)) * 9000)[:-12])
    outcomes = read_whole(READER, path, path.name, NO_LIMIT, _as_text)
    first = next(outcomes)
    assert first.rejection is not None
    assert first.rejection.reason == "truncated"
    with pytest.raises(TruncatedInput):
        next(outcomes)
    path.write_bytes(b"no gzip")
    assert head_of(path) == b"no gzip"


def _together(path: Path, limit_bytes: int = NO_LIMIT) -> list[Outcome]:
    def convert(native: Native) -> Iterator[Draft]:
        yield Draft(kind="text", text="x", meta={"values": native.value})

    return list(read_together(READER, path, path.name, limit_bytes, convert))


def test_values_of_a_file_together(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for content in (b'{"a": 1.50}\n\n[2]\r\n', b'[{"a": 1.50},\n [2]]'):
        path.write_bytes(content)
        (outcome,) = _together(path)
        assert outcome.records[0].meta == {"values": [{"a": 1.5}, [2]]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b'{"a": 1}\n{"a"', "truncated"),
        (b'{"a": 1, "a": 2}\n{}', "duplicate_key"),
        (b'{"a": NaN}\n{}', "not_a_number"),
        (b'{}\n{"a": "\0"}\n', "nul_byte"),
        (b'{}\n"\xff"\n', "invalid_utf8"),
        (b"{}\n" + b"[" * 10_000 + b"]" * 10_000, "too_deep"),
    ],
    ids=["empty", "cut", "duplicate", "nan", "nul", "bytes", "deep"],
)
def test_one_broken_value_breaks_the_file(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    (outcome,) = _together(path)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


def test_values_over_the_limit_are_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": "bcdefgh"}\n' * 10_000)
    (outcome,) = _together(path, 50_000)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "over_memory"
    assert len(outcome.rejection.raw) == 4096


def _rows(path: Path, limit_bytes: int = NO_LIMIT) -> list[Outcome]:
    def convert(native: Native) -> Iterator[Draft]:
        yield Draft(kind="text", text="x", meta=native.value)

    return list(read_csv(READER, path, path.name, limit_bytes, convert))


@pytest.mark.parametrize("suffix", _COMPRESS)
def test_rows_have_their_cells_as_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.csv{suffix}"
    content = 'a,b\r\n"x, ""y""\nz",\u00e9\n\n  1,\n'
    path.write_bytes(_COMPRESS[suffix](b"\xef\xbb\xbf" + content.encode()))
    assert [each.records[0].meta for each in _rows(path)] == [
        {"a": 'x, "y"\nz', "b": "\u00e9"},
        {"a": "  1", "b": ""},
    ]


def test_cell_of_a_megabyte_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "x" * 1_000_000 + "\n")
    assert len(_rows(path)[0].records[0].meta["a"]) == 1_000_000


@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        pytest.param(b"a,b\n1\n2,3\n", ["cells_do_not_fit_the_header", None], id="too-few"),
        pytest.param(b"a\n1,2\n", ["cells_do_not_fit_the_header"], id="too-many"),
        pytest.param(b"a,a\n1,2\n", ["cells_do_not_fit_the_header"], id="name-twice"),
        pytest.param(b"a\n\xff\nb\n", ["invalid_utf8", None], id="bytes"),
        pytest.param(b"\xff\nb\nc\n", ["invalid_utf8"] * 2, id="bytes-in-a-name"),
        pytest.param(b"a\nb\0\nc\n", ["nul_byte", None], id="nul"),
        pytest.param(b'a\n1\n"2\n3\n', [None, "invalid_csv"], id="open-quote"),
        pytest.param(b"a\n", [], id="only-names"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_rows_that_are_broken(tmp_path: Path, content: bytes, reasons: list[str | None]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert _reasons(_rows(path)) == reasons


def test_row_over_the_limit_ends_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a\n1\n"' + "line\n" * 100_000)
    outcomes = _rows(path, 10_000)
    assert _reasons(outcomes) == [None, "over_memory"]
    assert outcomes[1].rejection is not None
    assert outcomes[1].rejection.raw.startswith(b'"line\nline')
    assert len(outcomes[1].rejection.raw) == 1024
