"""The same records in every format give the same stages the same answers."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
import zstandard

from preprocess.dedup import DedupConfig, dedup
from preprocess.readers.record_lines import read_record_lines
from preprocess.records import TruncatedInput
from preprocess.run_options import RunOptions
from preprocess.train_tokenizer import TrainTokenizerConfig, train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess

TEXTS = [f'the {n % 7} fox \n jumps "over" dog number {n % 7} é' * 5 for n in range(30)]
RECORDS = [{"id": f"a/{n}#0", "meta": {"n": [1, 2]}, "text": text} for n, text in enumerate(TEXTS)]


def wet(texts: list[str]) -> bytes:
    header = (
        "WARC/1.0\r\nWARC-Type: {}\r\nWARC-Target-URI: http://a/{}\r\nContent-Length: {}\r\n\r\n"
    )
    records = [header.format("warcinfo", "", 4).encode() + b"a: b\r\n\r\n"]
    for number, text in enumerate(texts):
        body = text.encode()
        records.append(header.format("conversion", number, len(body)).encode() + body + b"\r\n\r\n")
    return b"".join(records)


def write(directory: Path, name: str) -> Path:
    lines = "".join(json.dumps(record) + "\n" for record in RECORDS)
    content = {
        ".jsonl": lines,
        ".json": json.dumps(RECORDS, indent=2),
        "lines.json": lines,
    }
    kind = "lines.json" if name == "lines.json" else f".{name.split('.')[1]}"
    data = wet(TEXTS) if kind in (".wet", ".warc") else content[kind].encode()
    if name.endswith(".gz"):
        data = gzip.compress(data)
    if name.endswith(".zst"):
        data = zstandard.compress(data)
    path = directory / name
    path.write_bytes(data)
    return path


def options() -> RunOptions:
    return RunOptions(workers=2, memory_bytes=1 << 30)


@pytest.mark.parametrize(
    "name",
    [
        "a.jsonl",
        "a.json",
        "lines.json",
        "a.json.gz",
        "a.json.zst",
        "a.wet",
        "a.warc.gz",
        "a.wet.zst",
    ],
)
def test_dedup_finds_the_same_copies(tmp_path: Path, name: str) -> None:
    manifest = dedup([str(write(tmp_path, name))], tmp_path / "out", DedupConfig(), options())
    assert manifest is not None
    counts = manifest.counts
    assert (counts.native, counts.out) == (30, 7)
    assert counts.dropped == {"exact_duplicate": 23}
    with zstandard.open(tmp_path / "out/part-00000.jsonl.zst", "rb") as shard:
        records = [json.loads(line) for line in shard.read().splitlines()]
    assert [record["text"] for record in records] == TEXTS[:7]


def test_survivors_of_an_array_are_lines_that_say_the_same(tmp_path: Path) -> None:
    write(tmp_path, "a.json")
    dedup([str(tmp_path / "a.json")], tmp_path / "out", DedupConfig(format="jsonl"), options())
    lines = (tmp_path / "out/part-00000.jsonl").read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == RECORDS[:7]


def test_python_and_the_core_read_the_same_lines(tmp_path: Path) -> None:
    expected = [record["text"] for record in RECORDS]
    for name in ("a.jsonl", "a.json.zst", "a.warc.gz"):
        lines = read_record_lines(write(tmp_path, name), "text")
        assert [json.loads(line.data)["text"] for line in lines] == expected


def test_a_tokenizer_is_trained_on_an_array(tmp_path: Path) -> None:
    trained = []
    for name in ("a.jsonl", "a.json"):
        (tmp_path / name[2:]).mkdir()
        config = TrainTokenizerConfig(vocab_size=270)
        output = tmp_path / f"{name}.out"
        train_tokenizer([str(write(tmp_path / name[2:], name))], output, config, options())
        trained.append((output / "tokenizer.json").read_bytes())
    assert trained[0] == trained[1]


@pytest.mark.shared
def test_tokenize_makes_the_same_tokens(
    tmp_path: Path, shared: Path, preprocess: Preprocess
) -> None:
    made = []
    for name in ("a.jsonl", "a.json"):
        write(tmp_path, name)
        done = preprocess(
            "tokenize", name, f"{name}.out", "--tokenizer", shared / "tokenizers/gpt2",
            "--holdout", "0",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        made.append((tmp_path / f"{name}.out/part-00000.bin").read_bytes())
    assert made[0] == made[1]


def test_pages_are_refused_in_one_line(tmp_path: Path, preprocess: Preprocess) -> None:
    (tmp_path / "a.warc").write_bytes(wet(TEXTS).replace(b"conversion", b"response"))
    done = preprocess("dedup", "a.warc", "out")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "expected texts (WET" in line
    assert "preprocess ingest --dataset web" in line


def test_a_broken_array_is_accounted_for(tmp_path: Path, preprocess: Preprocess) -> None:
    good = json.dumps(RECORDS[0])
    bad = '{"text": "two"'
    (tmp_path / "a.json").write_text(
        f"[{good}, {{'text': 'one'}}, {good.replace('0#', '1#')}, {bad}"
    )
    done = preprocess("dedup", "a.json", "out", "--max-rejected", "1")
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "out/manifest.json").read_text())["counts"]
    assert counts["native"] == 4
    assert counts["rejected"] == {"invalid_json": 1, "truncated": 1}
    assert counts["out"] == 1


def test_a_cut_wet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wet"
    path.write_bytes(wet(TEXTS)[:-40])
    lines = read_record_lines(path, "text")
    with pytest.raises(TruncatedInput, match=r"a\.wet: expected a whole WARC file"):
        list(lines)
