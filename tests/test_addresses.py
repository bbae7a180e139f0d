"""Inputs at addresses: listed, fetched while they are read, named as they were given."""

from __future__ import annotations

import functools
import http.server
import json
import sys
import threading
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import fsspec
import pytest

from preprocess.addresses import is_address
from preprocess.dedup import DedupConfig, dedup
from preprocess.errors import UserError
from preprocess.ingest import IngestConfig, ingest
from preprocess.inputs import is_record_file, record_files, resolve
from preprocess.measure import measure
from preprocess.run_options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.manifest import Manifest

LINES = b'{"text": "one two three"}\n{"text": "four five six"}\n'


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    yield files
    for path in files.find("/"):
        files.rm(path)


def options() -> RunOptions:
    return RunOptions(workers=1, memory_bytes=1 << 30)


def read(inputs: list[str], output: Path) -> Manifest:
    manifest = ingest(inputs, output, IngestConfig(dataset="jsonl"), options())
    assert manifest is not None
    return manifest


def ids(directory: Path) -> list[str]:
    import zstandard

    (shard,) = directory.glob("part-*.jsonl.zst")
    reader = zstandard.ZstdDecompressor().stream_reader(shard.read_bytes(), read_across_frames=True)
    content = reader.read()
    return [json.loads(line)["id"] for line in content.splitlines()]


def test_what_is_an_address(tmp_path: Path) -> None:
    for address in ("s3://b/a.jsonl", "hf://datasets/x", "memory://a", "zip::file.zip"):
        assert is_address(address)
    (tmp_path / "a:b").touch()
    for path in ("a.jsonl", "/a/b://c", "C:\\a", str(tmp_path / "a:b"), "./s3://x"):
        assert not is_address(path)


def test_a_directory_at_an_address_gives_its_files(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    memory.pipe("/corpus/b.jsonl", LINES)
    memory.pipe("/corpus/a/c.jsonl", LINES)
    memory.pipe("/corpus/.hidden/d.jsonl", LINES)
    memory.pipe("/corpus/notes.txt", b"no records")
    manifest = read(["memory://corpus"], tmp_path / "out")
    assert ids(tmp_path / "out") == [
        f"jsonl/{p}#{n}" for p in ("a/c.jsonl", "b.jsonl") for n in (0, 1)
    ]
    assert [entry.path for entry in manifest.inputs] == [
        "memory:///corpus/a/c.jsonl",
        "memory:///corpus/b.jsonl",
    ]
    assert not list((tmp_path / "out").rglob("fetched-*"))


def test_an_address_gives_the_bytes_that_a_path_gives(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        memory.pipe(f"/corpus/{name}", LINES * 3_000)
        (tmp_path / "in" / name).write_bytes(LINES * 3_000)
    for each, given in (("local", str(tmp_path / "in")), ("remote", "memory://corpus/*.jsonl")):
        read([given], tmp_path / each)
    shard = "part-00000.jsonl.zst"
    assert (tmp_path / "local" / shard).read_bytes() == (tmp_path / "remote" / shard).read_bytes()


def test_dedup_reads_records_at_an_address(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    records = [{"id": f"a/{n}#0", "text": f"word{n % 3} " * 20} for n in range(6)]
    memory.pipe("/in/a.json", json.dumps(records, indent=1).encode())
    manifest = dedup(["memory://in/a.json"], tmp_path / "out", DedupConfig(), options())
    assert manifest is not None
    assert (manifest.counts.native, manifest.counts.out) == (6, 3)
    assert not list((tmp_path / "out").rglob("fetched-*"))


def test_the_shards_of_a_stage_at_an_address(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    memory.pipe("/in/a.jsonl", LINES)
    read(["memory://in"], tmp_path / "made")
    for path in (tmp_path / "made").iterdir():
        if path.is_file():
            memory.pipe(f"/made/{path.name}", path.read_bytes())
    (file,) = record_files(["memory://made"])
    assert file.is_hashed
    assert file.relative == "part-00000.jsonl.zst"
    manifest = dedup(["memory://made"], tmp_path / "out", DedupConfig(), options())
    assert manifest is not None
    assert manifest.counts.out == 2
    memory.rm("/made/manifest.json")
    with pytest.raises(UserError, match="expected a complete directory"):
        record_files(["memory://made"])


def test_an_output_inside_of_a_file_address_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_bytes(LINES)
    with pytest.raises(UserError, match=r"expected a place outside of the input"):
        read([f"file://{tmp_path}/in"], tmp_path / "in/out")
    assert read([f"file://{tmp_path}/in"], tmp_path / "out").counts.out == 2


def test_a_file_in_an_archive_and_a_file_address(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("in/a.jsonl", LINES)
        archive.writestr("in/b.jsonl", LINES)
    (tmp_path / "c.jsonl").write_bytes(LINES)
    archived = f"zip://in/*.jsonl::file://{tmp_path / 'x.zip'}"
    manifest = read([archived, f"file://{tmp_path / 'c.jsonl'}"], tmp_path / "out")
    assert manifest.counts.out == 6
    assert manifest.inputs[-1].path == str(tmp_path / "c.jsonl")
    assert manifest.inputs[0].path == f"zip://in/a.jsonl::file://{tmp_path / 'x.zip'}"


def test_a_truncated_file_is_named_by_its_address(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    import zstandard

    whole = zstandard.compress(LINES * 100_000)
    memory.pipe("/in/a.jsonl.zst", whole[: len(whole) // 2])
    with pytest.raises(UserError) as caught:
        read(["memory://in/a.jsonl.zst"], tmp_path / "out")
    assert str(caught.value).startswith("memory://in/a.jsonl.zst: the compressed stream ends early")
    assert "fetched-" not in str(caught.value)


def test_whatever_is_wrong_with_a_copy_is_said_of_its_address(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    said = []
    twin = b'{"id": "a/a#0", "text": "one two three"}\n'
    head = b"WARC/1.0\r\nWARC-Type: %s\r\nContent-Length: 4\r\n\r\n"
    inputs = {
        "twins": {"a.jsonl": twin, "b (1).jsonl": twin},
        "pages": {"a.warc": head % b"response" + b"page\r\n\r\n"},
        "cut": {"a.wet": (head % b"conversion" + b"text\r\n\r\n") * 2 + head[:30]},
    }
    for name, files in inputs.items():
        for file, content in files.items():
            memory.pipe(f"/{name}/{file}", content)
        with pytest.raises(UserError) as caught:
            dedup([f"memory://{name}"], tmp_path / name, DedupConfig(), options())
        said.append(str(caught.value))
    assert not [message for message in said if "fetched-" in message]
    twins, pages, cut = said
    assert " memory:///twins/a.jsonl (record 0)" in twins
    assert " memory:///twins/b (1).jsonl (record 0)" in twins
    assert pages.startswith("memory:///pages/a.warc: expected texts (WET")
    assert cut.startswith("memory:///cut/a.wet: expected a whole WARC file")


def test_a_corpus_at_an_address_is_measured_whatever_its_format(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file of that name here is another one.
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text("[]")
    records = [{"source": "s", "text": "one"}, {"source": "s", "text": "two"}]
    memory.pipe("/in/a.json", json.dumps(records, indent=1).encode())
    measured = measure(["memory://in/a.json"], None)
    assert (measured.sources["s"].records, measured.unreadable) == (2, 0)
    memory.pipe(
        "/in/b.warc", b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 1\r\n\r\na\r\n\r\n"
    )
    with pytest.raises(UserError, match=r"memory://in/b.warc: expected texts \(WET"):
        measure(["memory://in/b.warc"], None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("memory://nowhere/a.jsonl", "found nothing there"),
        ("memory://nowhere/*.jsonl", "found none"),
        ("nothing://a", "an address that fsspec knows"),
        ("zip://a.jsonl::/nowhere.zip", "found nothing there"),
    ],
)
def test_what_is_not_there_is_one_line(given: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        record_files([given])
    message = str(caught.value)
    assert expected in message
    assert given in message
    assert "\n" not in message


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match=r"s3://bucket/a: expected the package .* s3fs"):
        record_files(["s3://bucket/a"])


def test_a_file_that_changed_after_it_was_listed_is_refused(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/in/a.jsonl", LINES)
    files = resolve(["memory://in"], is_record_file, "records")
    memory.pipe("/in/a.jsonl", LINES * 2)
    monkeypatch.setattr("preprocess.ingest.resolve", lambda *_: files)
    with pytest.raises(UserError, match="has changed or broke off"):
        read(["memory://in"], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("fetched-*"))


def test_files_of_a_web_server(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads https:// with aiohttp")
    (tmp_path / "a.jsonl").write_bytes(LINES)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a.jsonl?download=true"
        manifest = read([address], tmp_path / "out")
        with pytest.raises(UserError, match="found nothing there"):
            record_files([address.replace("a.jsonl", "b.jsonl")])
        server.shutdown()
    assert ids(tmp_path / "out") == ["jsonl/a.jsonl#0", "jsonl/a.jsonl#1"]
    assert manifest.inputs[0].path == address


def test_json_that_describes_other_files_is_no_input(tmp_path: Path) -> None:
    for name in ("a.json", "manifest.json", "run.json", "set.json", "set.idx", "x.wet.gz"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    assert not is_record_file(PurePosixPath("manifest.json"))
    (tmp_path / "in" / "manifest.json").unlink()
    (tmp_path / "in" / "run.json").unlink()
    found = resolve([str(tmp_path / "in")], is_record_file, "records")
    assert [file.relative for file in found] == ["a.json", "x.wet.gz"]
