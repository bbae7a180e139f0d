"""Datasets `web`, `text`, `api_docs` and the files that `jsonl` reads."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from preprocess.readers import READERS
from preprocess.readers.documents import split_front_matter
from preprocess.records import TruncatedInput

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome, Record

SENTENCES = "".join(
    f"<p>On day {n} the river rose again, and those who lived near it counted the steps.</p>"
    for n in range(9)
)
PAGE = (
    "<html><head><title>The river</title></head><body><nav><a href='/'>Home</a></nav>"
    f"<article><h1>The river</h1>{SENTENCES}<p>Straße, naïve, 東京.</p></article>"
    "<footer>Imprint</footer></body></html>"
)


def write_archive(path: Path, *pages: tuple[str, str, bytes]) -> None:
    """Write what a crawler does: a record about the archive, then the responses."""
    whole = [warc("warcinfo", "", "application/warc-fields", b"software: test\r\n")]
    for number, (status, kind, body) in enumerate(pages):
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\n".encode()
        address = f"http://a.example/{number}"
        whole.append(warc("response", address, "application/http; msgtype=response", head + body))
    pack = gzip.compress if path.suffix == ".gz" else bytes
    path.write_bytes(b"".join(map(pack, whole)))


def warc(kind: str, address: str, content: str, body: bytes) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\n"
        + (f"WARC-Target-URI: {address}\r\n" if address else "")
        + "WARC-Date: 2026-01-02T03:04:05Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
        + f"Content-Type: {content}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


PAGES = (
    ("200 OK", "text/html; charset=utf-8", PAGE.encode()),
    ("404 Not Found", "text/html", b"<p>gone</p>"),
    ("200 OK", "image/png", b"\x89PNG"),
    ("200 OK", "text/plain", b"Plain text.\n"),
    ("200 OK", "text/html", b"<html><body></body></html>"),
    ("200 OK", "text/html; charset=iso-8859-1", PAGE.replace("東京", "").encode("latin-1")),
)


def read(name: str, path: Path, **options: str) -> list[Outcome]:
    return list(READERS[name].read(path, path.name, options))


def records(outcomes: list[Outcome]) -> list[Record]:
    return [record for outcome in outcomes for record in outcome.records]


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst"])
def test_pages_of_an_archive_each_have_a_fate(tmp_path: Path, name: str) -> None:
    write_archive(tmp_path / "a.warc.gz" if name == "a.warc.gz" else tmp_path / "a.warc", *PAGES)
    path = tmp_path / name
    if name.endswith(".zst"):
        path.write_bytes(zstandard.compress((tmp_path / "a.warc").read_bytes()))
    outcomes = read("web", path)
    assert [each.dropped for each in outcomes] == [
        (), ("http_status_404",), ("not_html",), (), ("no_main_text",), (),
    ]  # fmt: skip
    page, plain, latin = records(outcomes)
    assert "On day 3 the river rose again" in page.text
    assert "Straße, naïve, 東京." in page.text
    assert "Imprint" not in page.text
    assert "Straße, naïve" in latin.text
    assert plain.text == "Plain text."
    assert (page.origin.url, page.meta["title"]) == ("http://a.example/0", "The river")
    assert (page.kind, page.id) == ("web", f"web/{name}#0")


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
@pytest.mark.parametrize("cut", [0.3, 0.6, 0.97])
def test_an_archive_that_breaks_off_is_told(tmp_path: Path, name: str, cut: float) -> None:
    path = tmp_path / name
    write_archive(path, *PAGES)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    found: list[Outcome] = []
    with pytest.raises(TruncatedInput, match=name):
        found.extend(READERS["web"].read(path, name))
    assert all(each.rejection is None or each.rejection.reason == "truncated" for each in found)


def test_a_page_that_is_too_long_is_kept_aside_by_its_head(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    write_archive(path, ("200 OK", "text/html", b"<p>" + b"x" * 300_000), PAGES[0])
    found = list(READERS["web"].read(path, "a.warc", limit_bytes=100_000))
    assert [each.rejection and each.rejection.reason for each in found] == ["over_memory", None]


def test_wet_text_is_taken_as_it_is(tmp_path: Path) -> None:
    body = "Titel\nEin Satz über den Fluss.".encode()
    path = tmp_path / "a.warc.wet.gz"
    path.write_bytes(gzip.compress(warc("conversion", "https://b.example/", "text/plain", body)))
    (record,) = records(read("web", path))
    assert record.text == "Titel\nEin Satz über den Fluss."
    assert record.meta == {"crawled": "2026-01-02T03:04:05Z"}


def test_a_page_in_a_file_is_a_record(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE, encoding="utf-8")
    (record,) = records(read("web", tmp_path / "a.html"))
    assert "On day 8" in record.text


@pytest.mark.parametrize(
    ("page", "text", "front"),
    [
        ("---\ntitle: The Tool\nauthors: [a]\n---\nUse it.", "# The Tool\n\nUse it.", True),
        ("---\ntitle: 'It''s \"it\"'\n---\n\n\nUse.", '# It\'s "it"\n\nUse.', True),
        ("---\ntitle: The Tool\n---\n# The Tool\nUse.", "# The Tool\nUse.", True),
        ("---\n\ndate: 2015-01-02\n---\nUse.", "Use.", True),
        ("---\n: no [yaml\n---\nUse.", "Use.", True),
        ("# A\n\n---\n\nno front matter\n---\n", "# A\n\n---\n\nno front matter\n---\n", False),
        ("---\nnever closed\n", "---\nnever closed\n", False),
        ("---\nA paragraph\nof two.\n---\nUse.", "---\nA paragraph\nof two.\n---\nUse.", False),
        pytest.param(f"---\na: {'[' * 200_000}\n---\nUse.", "Use.", True, id="deep"),
        pytest.param(f"---\n{'- ' * 200_000}\n---\nUse.", "Use.", True, id="deep-lists"),
    ],
)
def test_front_matter_is_told_from_the_text(page: str, text: str, *, front: bool) -> None:
    assert split_front_matter(page)[0] == text
    assert bool(split_front_matter(page)[1]) is front


def test_a_document_a_file_or_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\n\nTwo words\n\xff\n")
    assert [each.rejection.reason for each in read("text", path) if each.rejection] == [
        "invalid_utf8"
    ]
    outcomes = read("text", path, per="line")
    assert [record.text for record in records(outcomes)] == ["one\n", "Two words"]
    assert [each.rejection is not None for each in outcomes] == [False, False, True]
    (tmp_path / "b.mdx").write_text("---\ntitle: T\n---\nimport X from 'x'\n\nText.")
    (record,) = records(read("api_docs", tmp_path / "b.mdx"))
    assert (record.kind, record.meta) == ("tool_documentation", {"front_matter": "title: T\n"})


ROWS: list[dict[str, Any]] = [
    {"text": "one", "n": 3, "list": [1, 2], "none": None},
    {"text": "two", "n": 4, "list": [], "none": "x"},
]


def test_arrays_and_rows_are_read_as_lines_are(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([*ROWS, "three", 4, {"text": ""}]))
    outcomes = read("jsonl", tmp_path / "a.json")
    assert [record.text for record in records(outcomes)] == ["one", "two", "three"]
    reasons = [each.rejection.reason for each in outcomes if each.rejection]
    assert reasons == ["no_text", "empty_text"]
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    one, two = records(read("jsonl", tmp_path / "a.parquet"))
    meta = {key: json.loads(bytes(value)) for key, value in one.meta.items()}
    assert (one.text, meta, two.text) == ("one", {"n": 3, "list": [1, 2]}, "two")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["text", "api_docs"])
def test_all_real_documents_are_accounted_for(name: str, shared: Path) -> None:
    root = shared / "data/agent" / name
    reader = READERS[name]
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    found = [path for path in files if reader.accepts(path.relative_to(root))]  # type: ignore[arg-type]
    outcomes = [list(reader.read(path, str(path.relative_to(root)))) for path in found]
    assert all(len(each) == 1 for each in outcomes)
    kept = sum(bool(each[0].records) for each in outcomes)
    empty = sum(each[0].dropped == ("empty",) for each in outcomes)
    assert (kept + empty, kept > 200) == (len(found), True)


@pytest.mark.parametrize("name", ["undefined", "idna", "punycode", "raw_unicode_escape", "hex"])
def test_a_page_may_claim_any_character_set(tmp_path: Path, name: str) -> None:
    page = PAGE.replace("naïve", "na\\ud800ive").replace("<head>", f'<head><meta charset="{name}">')
    write_archive(
        tmp_path / "a.warc",
        ("200 OK", f"text/html; charset={name}", page.encode()),
        ("200 OK", "text/html", PAGE.encode()),
    )
    outcomes = read("web", tmp_path / "a.warc")
    assert len(outcomes) == 2  # and what follows is still read
    assert all("Straße" in record.text and "東京" in record.text for record in records(outcomes))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_the_mark_at_a_page_s_beginning_counts_most(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.html").write_bytes(f"\ufeff{PAGE}".encode(encoding))
    (record,) = records(read("web", tmp_path / "a.html"))
    assert "Straße, naïve, 東京." in record.text


@pytest.mark.parametrize(
    ("column", "fates"),
    [
        (pa.array([1, 2**62], pa.timestamp("ns")), ["1970-01-01 00:00:00.000000001", "2116-"]),
        (
            pa.array([1, 2**62], pa.timestamp("us")),
            ["1970-01-01T00:00:00.000001", "<value out of range: 46116860"],
        ),
        (pa.array([1, 2], pa.timestamp("s", tz="No/Where")), ["value_out_of_range"] * 2),
    ],
)
def test_times_beyond_those_of_python(tmp_path: Path, column: Any, fates: list[str]) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "at": column}), tmp_path / "a.parquet")
    read_as = [
        each.rejection.reason if each.rejection else bytes(each.records[0].meta["at"]).decode()
        for each in read("jsonl", tmp_path / "a.parquet")
    ]
    assert [fate in each for fate, each in zip(fates, read_as, strict=True)] == [True, True]


@pytest.mark.parametrize("name", ["jsonl", "agentinstruct"])
def test_rows_that_are_none_are_rejected_and_kept(tmp_path: Path, name: str) -> None:
    raw = pa.array([b"whole", b"\xff\xfe"])
    text = pa.Array.from_buffers(pa.string(), 2, [None, *raw.buffers()[1:]])
    pq.write_table(pa.table({"text": text}), tmp_path / "bytes.parquet")
    twice = pa.Table.from_arrays([pa.array(["one"]), pa.array(["two"])], names=["text", "text"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    rejections = [each.rejection for each in read(name, tmp_path / "bytes.parquet")]
    assert rejections[1] is not None
    assert rejections[1].reason == "invalid_utf8"
    assert b"\xff\xfe" in rejections[1].raw
    (of_two,) = read(name, tmp_path / "twice.parquet")
    assert of_two.rejection is not None
    assert of_two.rejection.reason == "duplicate_column"
    assert b"one" in of_two.rejection.raw
    assert b"two" in of_two.rejection.raw


def test_a_row_over_the_limit_is_rejected(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a" * 999, "b"]}), tmp_path / "a.parquet")
    long, short = READERS["jsonl"].read(tmp_path / "a.parquet", "a.parquet", limit_bytes=500)
    assert long.rejection is not None
    assert long.rejection.reason == "over_memory"
    assert short.records
