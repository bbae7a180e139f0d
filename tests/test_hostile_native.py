"""Native JSON that is broken: one clear rejection, and every other record as if nothing were."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
import zstandard

from preprocess._rust_ext import NativeRecords
from preprocess.readers import READERS
from preprocess.readers.draft import Draft
from preprocess.readers.native import Native, read_json
from preprocess.readers.reader import Options, Reader
from preprocess.records import Outcome, TruncatedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Preprocess

LIMIT = 64 << 20
LARGEST_SAMPLE = 1 << 20
MOST_RECORDS = 8

BREAKS = {
    "nan": (b', "x": NaN}', "not_a_number"),
    "infinity": (b', "x": [-Infinity]}', "not_a_number"),
    "a key twice": (b', "x": 1, "x": 1}', "duplicate_key"),
    "a key twice, escaped": (b', "x": 1, "\\u0078": 2}', "duplicate_key"),
    "deep lists": (b', "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_deep"),
    "deep objects": (b', "x": ' + b'{"x":' * 10_000 + b"1" + b"}" * 10_001, "too_deep"),
    "a NUL byte": (b', "x": "\0"}', "nul_byte"),
    "half a surrogate pair": (b', "x": "\\ud83d"}', "lone_surrogate"),
    "no UTF-8": (b', "x": "caf\xe9"}', "invalid_utf8"),
    "a comma too many": (b",}", "invalid_json"),
    "single quotes": (b", 'x': 1}", "invalid_json"),
    "a comment": (b" // all\n}", "invalid_json"),
    "no value": (b', "x": }', "invalid_json"),
    "a tabulator": (b', "x": "\t"}', "invalid_json"),
    "an escape": (b', "x": "\\x41"}', "invalid_json"),
    "a leading zero": (b', "x": 01}', "invalid_json"),
}
"""What a sound object is broken with, in the place of its last brace, and the reason given."""


def convert(native: Native) -> Iterator[Draft]:
    yield Draft(kind="text", text=json.dumps(native.value))


def read_file(path: Path, relative: str, _options: Options, limit_bytes: int) -> Iterator[Outcome]:
    return read_json(PLAIN, path, relative, limit_bytes, convert)


PLAIN = Reader(
    name="plain",
    kind="text",
    license="unknown",
    published="",
    layout="",
    unit="",
    accepts=lambda _: True,
    read_file=read_file,
    streams=True,
)


def read(reader: Reader, path: Path, relative: str) -> tuple[list[Outcome], bool]:
    """Return the outcome of each native record, and whether the file broke off."""
    outcomes: list[Outcome] = []
    is_cut = False
    try:
        outcomes += reader.read(path, relative, limit_bytes=LIMIT)
    except TruncatedInput:
        is_cut = True
    return outcomes, is_cut


def texts(outcomes: list[Outcome]) -> list[list[tuple[str, str]]]:
    """Return what records say, of each native record, without what its place gives them."""
    return [[(record.kind, record.text) for record in outcome.records] for outcome in outcomes]


def reasons(outcomes: list[Outcome]) -> list[str | None]:
    return [each.rejection and each.rejection.reason for each in outcomes]


def natives(path: Path) -> list[bytes]:
    found = [each for batch in NativeRecords(path, limit_bytes=LIMIT) for each in batch]
    return [raw for raw, reason, _ in found if reason is None and raw.startswith(b"{")]


@pytest.mark.parametrize("layout", ["array", "lines", "values"])
@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_record_is_rejected_and_its_neighbours_are_read(
    tmp_path: Path, layout: str, broken: str
) -> None:
    end, reason = BREAKS[broken]
    bad = b'{"n": 1' + end
    if layout == "lines":
        bad = bad.replace(b"\n", b" ")
    records = [b'{"n": 0}', bad, b'{"n": 2, "s": "[,{"}']
    before, between, behind = {
        "array": (b"[\n  ", b",\n  ", b"\n]"),
        "lines": (b"", b"\n", b"\n"),
        "values": (b"\n\n", b"\n\n", b""),
    }[layout]
    path = tmp_path / ("a.jsonl" if layout == "lines" else "a.json")
    path.write_bytes(before + between.join(records) + behind)
    outcomes, is_cut = read(PLAIN, path, path.name)
    assert reasons(outcomes) == [None, reason, None]
    rejected = outcomes[1].rejection
    assert rejected is not None
    assert rejected.raw.strip() == bad
    assert [r.origin.record for each in outcomes for r in each.records] == [0, 2]
    assert not is_cut


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_compressed_file_that_breaks_off_gives_what_was_whole(
    tmp_path: Path, name: str, suffix: str
) -> None:
    import random

    choice = random.Random(0)
    records = [{"n": n, "noise": choice.randbytes(300).hex()} for n in range(5_000)]
    content = (
        "\n".join(map(json.dumps, records)) if name == "a.jsonl" else json.dumps(records)
    ).encode()
    whole = gzip.compress(content) if suffix == ".gz" else zstandard.compress(content)
    path = tmp_path / (name + suffix)
    path.write_bytes(whole[: len(whole) // 2])
    outcomes, is_cut = read(PLAIN, path, path.name)
    assert is_cut
    *before, last = reasons(outcomes)
    assert last == "truncated"
    assert before == [None] * len(before)
    assert 1_000 < len(before) < 4_000


def test_numbers_keep_the_digits_that_matter(tmp_path: Path) -> None:
    spelled = (
        "[0.1, 1e400, 3.14159265358979311600, 12345678901234567890123, 1.50, 0.30000000000000004]"
    )
    path = tmp_path / "a.json"
    path.write_text(f'{{"n": {spelled}}}')
    found: list[str] = []

    def keep(native: Native) -> Iterator[Draft]:
        found.extend(str(number) for number in native.value["n"])
        yield Draft(kind="text", text="x")

    list(read_json(PLAIN, path, "a.json", LIMIT, keep))
    assert found == [
        "0.1", "1E+400", "3.14159265358979311600", "12345678901234567890123", "1.5",
        "0.30000000000000004",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("where", ["a string", "many numbers", "nothing closed"])
def test_a_record_of_300_mb_is_rejected_in_bounded_memory(tmp_path: Path, where: str) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.write(b'[{"text": "one two three"}, {"text": "')
        block = {"a string": b"x" * (1 << 20), "many numbers": b"1, " * (1 << 18)}
        if where == "many numbers":
            file.write(b'", "n": [')
        for _ in range(300 << 20 >> 20):
            file.write(block.get(where, b'", "n": [[{"m": "' * (1 << 16)))
        if where == "a string":
            file.write(b'"}, {"text": "four five six"}]')
        elif where == "many numbers":
            file.write(b'1]}, {"text": "four five six"}]')
    run = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.returncode)"
    )
    command = [
        *(sys.executable, "-c", run, sys.executable, "-m", "preprocess", "ingest", str(path)),
        *(str(tmp_path / "out"), "--dataset", "jsonl", "--workers", "1", "--memory", "128MiB"),
        *("--max-rejected", "1"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "out/manifest.json").read_text())["counts"]
    sound = 1 if where == "nothing closed" else 2
    assert counts["out"] == sound
    assert counts["rejected"] == {"over_memory": 1}
    assert int(done.stdout.split()[-1]) << 10 < (128 + 100) << 20


def samples(directory: Path, reader: Reader) -> Iterator[tuple[Path, str]]:
    """Yield a dataset's smaller JSON files, the ones of each extension and folder first."""
    seen: set[tuple[str, str]] = set()
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        kind = (relative.parts[0], path.suffix)
        is_json = path.suffix.lower() in (".json", ".jsonl", ".traj") and path.is_file()
        if not is_json or kind in seen or not reader.accepts(PurePosixPath(relative)):
            continue
        if 0 < path.stat().st_size <= LARGEST_SAMPLE and natives(path):
            seen.add(kind)
            yield path, str(relative)


DATASETS = sorted(set(READERS) - {"python_api", "source_code", "package_text", "web", "jsonl"})


@pytest.mark.shared
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_reader_rejects_broken_variants_of_its_own_records(
    shared: Path, tmp_path: Path, dataset: str
) -> None:
    reader = READERS[dataset]
    for path, relative in samples(shared / "data/agent" / dataset, reader):
        is_array = path.read_bytes().lstrip()[:1] == b"["
        records = natives(path)[:MOST_RECORDS]
        is_one = len(read(reader, path, relative)[0]) == 1  # a file of lines may be one dialogue
        if is_one and not is_array:
            _break_whole_file(reader, tmp_path, path, relative)
        else:
            _break_one_of(reader, tmp_path, records, relative, is_array=is_array)
        _break_file(reader, tmp_path, path.read_bytes(), relative)


def _write(folder: Path, relative: str, content: bytes) -> Path:
    path = folder / Path(relative).name
    path.write_bytes(content)
    return path


def _break_one_of(
    reader: Reader, folder: Path, records: list[bytes], relative: str, *, is_array: bool
) -> None:
    def content(each: list[bytes]) -> bytes:
        if is_array:
            return b"[" + b",\n".join(each) + b"]"
        return b"".join(b" ".join(record.splitlines()) + b"\n" for record in each)

    whole, _ = read(reader, _write(folder, relative, content(records)), relative)
    assert len(whole) == len(records), relative
    middle = len(records) // 2
    for broken, (end, reason) in BREAKS.items():
        bad = records[middle].rstrip()[:-1].rstrip() + end
        if not is_array:
            bad = b" ".join(bad.split(b"\n"))
        path = _write(folder, relative, content([*records[:middle], bad, *records[middle:]]))
        outcomes, is_cut = read(reader, path, relative)
        assert not is_cut
        assert len(outcomes) == len(whole) + 1, (relative, broken)
        fate = outcomes.pop(middle)
        assert fate.repairs or reasons([fate]) == [reason], (relative, broken)
        assert reasons(outcomes) == reasons(whole), (relative, broken)
        assert texts(outcomes[:middle]) == texts(whole[:middle]), (relative, broken)


def _break_whole_file(reader: Reader, folder: Path, path: Path, relative: str) -> None:
    content = path.read_bytes().rstrip()
    for broken, (end, _reason) in BREAKS.items():
        bad = _write(folder, relative, content[:-1].rstrip() + end)
        outcomes, is_cut = read(reader, bad, relative)
        assert not is_cut
        assert len(outcomes) == 1, (relative, broken)
        assert outcomes[0].rejection is not None, (relative, broken)


def _break_file(reader: Reader, folder: Path, content: bytes, relative: str) -> None:
    """Break the file as a whole; the rejected one is the last, what came before is read."""
    cut = _write(folder, relative, content[: len(content) * 2 // 3])
    outcomes, _ = read(reader, cut, relative)
    assert outcomes, relative
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        wide = _write(folder, relative, content.decode("utf-8-sig").encode(encoding))
        outcomes, is_cut = read(reader, wide, relative)
        assert not is_cut
        assert reasons(outcomes) == ["invalid_utf8"], (relative, encoding)
    for junk in (b"", b"\0" * 5_000, b" \n", b"<html>", b"[", b"{", b"[[[[" * 50_000, b'"' * 9):
        outcomes, is_cut = read(reader, _write(folder, relative, junk), relative)
        assert not is_cut
        assert len(outcomes) == 1, (relative, junk[:20])
        assert outcomes[0].rejection is not None, (relative, junk[:20])


@pytest.mark.parametrize("name", ["a.json", "a.jsonl.gz"])
def test_a_run_counts_what_is_broken_and_ends(
    tmp_path: Path, preprocess: Preprocess, name: str
) -> None:
    records = [b'{"text": "good %d"}' % n for n in range(5)]
    records += [b'{"text": "bad"' + end.replace(b"\n", b" ") for end, _ in BREAKS.values()]
    is_lines = name.startswith("a.jsonl")
    content = b"\n".join(records) if is_lines else b"[" + b",\n".join(records) + b"]"
    (tmp_path / name).write_bytes(gzip.compress(content) if is_lines else content)
    done = preprocess("ingest", name, "out", "--dataset", "jsonl", "--max-rejected", "1")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    counts = json.loads((tmp_path / "out/manifest.json").read_text())["counts"]
    assert counts["native"] == len(records)
    assert counts["in"] == counts["out"] + sum(counts["dropped"].values())
    with zstandard.open(tmp_path / "out/rejected.jsonl.zst", "rb") as rejected:
        lines = rejected.read().splitlines()
    assert counts["out"] + len(lines) == len(records)
    if not is_lines:
        assert counts["out"] == 5
