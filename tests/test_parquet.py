"""Parquet in: the same records give the same bytes as from lines of JSON."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocess import _rust_ext

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess

WORDS = ["the", "quick", '"and"', "a\tlazy", "dög\nmet", "中文", "other\\", "\x01", "near", "😀"]


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"hand/a#{number}",
            "text": " ".join(
                WORDS[(number * each + each) % len(WORDS)] for each in range(number % 90)
            ),
            "kind": "code" if number % 3 else "text",
            "source": f"s{number % 5}",
        }
        for number in range(count)
    ]


def write_json(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


def tokenized(tokenizer: _rust_ext.Tokenizer, path: Path, journal: Path) -> Any:
    """Encode one file as a unit of several shards, and return its summary."""
    raw = _rust_ext.tokenize_unit(
        tokenizer,
        [(path, "a")],
        journal=journal,
        unit=0,
        text_field="text",
        kinds=(),
        eod_id=0,
        holdout=0.1,
        shard_text_bytes=100_000,
        workers=2,
        memory_bytes=1 << 26,
    )
    return json.loads(raw)


def datasets(directory: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(directory.iterdir())
        if path.name not in ("manifest.json", "run.json", "rejected.jsonl.zst")
    }


WRITERS: dict[str, dict[str, Any]] = {
    "plain": {"compression": "none", "use_dictionary": False},
    "snappy": {"compression": "snappy"},
    "gzip": {"compression": "gzip", "row_group_size": 7},
    "zstd": {"compression": "zstd", "row_group_size": 1000, "data_page_size": 100},
    "lz4": {"compression": "lz4", "data_page_version": "2.0"},
    "brotli": {"compression": "brotli", "data_page_version": "2.0", "data_page_size": 512},
    "delta lengths": {"use_dictionary": False, "column_encoding": "DELTA_LENGTH_BYTE_ARRAY"},
    "delta": {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary", "string_view"])
def test_rows_and_lines_give_the_same_shards(
    tmp_path: Path, tokenizer: Path, writer: str, kind: str
) -> None:
    loaded = _rust_ext.Tokenizer.load(tokenizer)
    records = rows(1_500)
    write_json(tmp_path / "a.jsonl", records)
    types = {
        "string": pa.string(),
        "large_string": pa.large_string(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
        "string_view": pa.string_view(),
    }
    text = pa.array([record["text"] for record in records], pa.string()).cast(types[kind])
    table = pa.table(
        {
            "meta": pa.array([{"text": [1, 2]}] * len(records)),
            "id": [record["id"] for record in records],
            "number": list(range(len(records))),
            "text": text,
            "kind": [record["kind"] for record in records],
            "source": [record["source"] for record in records],
        }
    )
    options = dict(WRITERS[writer])
    if encoding := options.pop("column_encoding", None):
        options["column_encoding"] = dict.fromkeys(("id", "text", "kind", "source"), encoding)
    pq.write_table(table, tmp_path / "a.parquet", **options)
    summaries = []
    for name in ("jsonl", "parquet"):
        (tmp_path / name).mkdir()
        summaries.append(tokenized(loaded, tmp_path / f"a.{name}", tmp_path / name))
    assert summaries[0]["shards"] == summaries[1]["shards"]
    assert len(summaries[0]["shards"]) > 2
    assert sum(shard["native"] for shard in summaries[1]["shards"]) == 1_500
    assert datasets(tmp_path / "jsonl") == datasets(tmp_path / "parquet")


def test_a_killed_run_goes_on_in_the_middle_of_a_file(tmp_path: Path, tokenizer: Path) -> None:
    loaded = _rust_ext.Tokenizer.load(tokenizer)
    pq.write_table(pa.Table.from_pylist(rows(3_000)), tmp_path / "a.parquet", row_group_size=500)

    def run() -> dict[str, bytes]:
        tokenized(loaded, tmp_path / "a.parquet", tmp_path / "out")
        return datasets(tmp_path / "out")

    (tmp_path / "out").mkdir()
    expected = run()
    for name in expected:
        if name >= "00000-00002":
            (tmp_path / "out" / name).unlink()
    assert run() == expected


def test_nulls_are_fields_that_are_absent(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    table = pa.table(
        {
            "text": ["a", None, "", "b\n"],
            "id": ["x", "y", "z", None],
            "kind": pa.array([None] * 4, pa.string()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    done = preprocess(
        "tokenize", "a.parquet", "out", "--tokenizer", tokenizer, "--max-rejected", "0.3",
        "--holdout", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "out/manifest.json").read_text())["counts"]
    assert (counts["dropped"], counts["rejected"]) == ({"empty_text": 1}, {"no_text": 1})
    shown = preprocess("inspect", "out", "--record", "1", "--tokenizer", tokenizer)
    assert "id: a.parquet#3" in shown.stdout
    rejected = preprocess("inspect", "out/rejected.jsonl.zst")
    assert json.loads(rejected.stdout)["raw"] == '{"id":"y"}'
    assert preprocess("verify", "out").returncode == 0


def test_bytes_that_are_no_text_are_rejected(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    table = pa.table({"text": pa.array([b"fine", b"a\xff"] * 2, pa.binary())})
    pq.write_table(table, tmp_path / "a.parquet")
    done = preprocess(
        "tokenize", "a.parquet", "out", "--tokenizer", tokenizer, "--max-rejected", "1"
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "out/manifest.json").read_text())["counts"]
    assert (counts["out"], counts["rejected"]) == (2, {"invalid_utf8": 2})


def test_a_file_without_the_column_is_refused_with_those_it_has(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    pq.write_table(pa.table({"content": ["a"], "text": [1]}), tmp_path / "a.parquet")
    done = preprocess("tokenize", "a.parquet", "out", "--tokenizer", tokenizer)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        'preprocess tokenize: a.parquet: expected a column of strings named "text", found '
        "content (BYTE_ARRAY), text (INT64); name it with --text-field",
    )
    done = preprocess(
        "tokenize", "a.parquet", "other", "--tokenizer", tokenizer, "--text-field", "content"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("fault", ["cut", "no parquet", "empty file", "damaged page"])
def test_what_is_no_whole_file_is_a_problem_and_what_came_before_is_kept(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path, fault: str
) -> None:
    path = tmp_path / "b.parquet"
    table = pa.Table.from_pylist(rows(3_000))
    pq.write_table(table, path, compression="zstd", row_group_size=1_000)
    content = path.read_bytes()
    if fault == "cut":
        content = content[:-100]
    elif fault == "no parquet":
        content = b"a,b,c\n" * 100
    elif fault == "empty file":
        content = b""
    else:
        at = pq.read_metadata(path).row_group(1).column(1).data_page_offset
        content = content[:at] + b"\xff" * 20 + content[at + 20 :]
    path.write_bytes(content)
    write_json(tmp_path / "a.jsonl", rows(10))
    done = preprocess("tokenize", "a.jsonl", "b.parquet", "out", "--tokenizer", tokenizer)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("preprocess tokenize: b.parquet: expected a whole Parquet file"), last
    counts = json.loads((tmp_path / "out/manifest.json").read_text())["counts"]
    assert counts["native"] == (1_010 if fault == "damaged page" else 10)


def test_a_file_of_no_rows_has_no_records(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    done = preprocess("tokenize", "a.parquet", "out", "--tokenizer", tokenizer)
    assert "expected records, none is left of 0 in the input" in done.stderr


def test_a_text_over_the_memory_is_rejected_by_name_and_its_neighbours_stay(
    tmp_path: Path, tokenizer: Path
) -> None:
    texts = ["before", "x" * 300_000, "behind"]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    (tmp_path / "out").mkdir()
    raw = _rust_ext.tokenize_unit(
        _rust_ext.Tokenizer.load(tokenizer),
        [(tmp_path / "a.parquet", "a")],
        journal=tmp_path / "out",
        unit=0,
        text_field="text",
        kinds=(),
        eod_id=0,
        holdout=0.0,
        shard_text_bytes=None,
        workers=1,
        memory_bytes=100_000,
    )
    [shard] = json.loads(raw)["shards"]
    assert (shard["native"], shard["rejected"]) == (3, {"over_memory": 1})


def test_dedup_inspect_and_train_tokenizer_read_rows_too(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    records = [{**record, "license": "MIT"} for record in rows(300) if record["text"]]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write_json(tmp_path / "a/a.jsonl", records)
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "b/a.parquet")
    kept = []
    for name in ("a", "b"):
        done = preprocess("dedup", name, f"unique-{name}")
        assert done.returncode == 0, done.stderr
        manifest = json.loads((tmp_path / f"unique-{name}/manifest.json").read_text())
        kept.append(manifest["counts"])
        assert preprocess("verify", f"unique-{name}").returncode == 0
    assert kept[0] == kept[1]
    assert 0 < kept[0]["out"] < len(records)
    shown = json.loads(preprocess("inspect", "b/a.parquet", "--record", "5").stdout)
    assert shown == records[5]
    shown = json.loads(preprocess("inspect", "unique-b", "--record", "2").stdout)
    assert shown["license"] == "MIT"
    made = []
    for name in ("a", "b"):
        done = preprocess("train-tokenizer", name, f"tok-{name}", "--vocab-size", "280")
        assert done.returncode == 0, done.stderr
        made.append((tmp_path / f"tok-{name}/tokenizer.json").read_bytes())
    assert made[0] == made[1]


def conversation(number: int) -> list[dict[str, Any]]:
    """Return messages that share their system prompt and nothing else."""
    said = " ".join(f"{WORDS[number % 3]}{number} w{each}" for each in range(30))
    system = " ".join(f"rule{each}" for each in range(300))
    return [{"role": "system", "content": system}, {"role": "user", "content": said}]


def test_messages_in_a_column_of_json_are_what_records_are_compared_by(tmp_path: Path) -> None:
    from test_dedup import run

    records = []
    for number in range(8):
        messages = conversation(number * 1_000)
        text = "\n".join(message["content"] for message in messages)
        records.append({"id": str(number), "text": text, "messages": messages})
    write_json(tmp_path / "a.jsonl", records)
    for indent in (None, 1):  # the second has line ends between its values
        column = [json.dumps(record["messages"], indent=indent) for record in records]
        columns: dict[str, Any] = {
            name: [record[name] for record in records] for name in ("id", "text")
        }
        pq.write_table(pa.table({**columns, "messages": column}), tmp_path / "b.parquet")
        read = json.loads(_rust_ext.read_line(tmp_path / "b.parquet", 3))
        assert read == records[3]
        manifest = run([tmp_path / "b.parquet"], tmp_path / f"out-{indent}")
        assert (
            manifest.counts.out == run([tmp_path / "a.jsonl"], tmp_path / f"as-{indent}").counts.out
        )
        assert manifest.counts.out == 8, "by their texts alone they are alike"
    # What is no list is a string, as in a line.
    columns["messages"] = ["[1", "said", "{}", "", "[]", None, '["a\\n"]', " [2]"]
    pq.write_table(pa.table(columns), tmp_path / "c.parquet")
    lines = [json.loads(_rust_ext.read_line(tmp_path / "c.parquet", at)) for at in range(8)]
    found = [line.get("messages") for line in lines]
    assert found == ["[1", "said", "{}", "", [], None, ["a\n"], [2]]


def test_nested_messages_are_refused_by_dedup_alone(tmp_path: Path, preprocess: Preprocess) -> None:
    table = pa.table({"text": ["a", "b"], "messages": [conversation(0), conversation(1)]})
    pq.write_table(table, tmp_path / "a.parquet")
    done = preprocess("dedup", "a.parquet", "out")
    assert done.returncode == 1
    assert "a.parquet: expected messages as a column of strings, a list of JSON each" in done.stderr
    assert "write it so, or the records as lines of JSON" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(_rust_ext.read_line(tmp_path / "a.parquet", 1)) == {"text": "b"}


def test_numbers_are_read_and_decide_what_stays(tmp_path: Path) -> None:
    from test_dedup import run, survivors

    from preprocess.dedup import DedupConfig

    scores = [1.5, None, -2.0, float("nan"), 1e300, float("inf"), 0.0]
    types: dict[str, tuple[pa.DataType, list[Any]]] = {
        "i8": (pa.int8(), [-128, None, 3, 4, 5, 6, 7]),
        "u16": (pa.uint16(), [65535, None, 3, 4, 5, 6, 7]),
        "i32": (pa.int32(), [-(2**31), None, 3, 4, 5, 6, 7]),
        "u32": (pa.uint32(), [2**32 - 1, None, 3, 4, 5, 6, 7]),
        "i64": (pa.int64(), [-(2**63), None, 3, 4, 5, 6, 7]),
        "u64": (pa.uint64(), [2**64 - 1, None, 3, 4, 5, 6, 7]),
        "f32": (pa.float32(), [0.1, None, 3.5, float("nan"), 1e10, 6.0, 7.0]),
        "f64": (pa.float64(), scores),
    }
    columns = {name: pa.array(values, kind) for name, (kind, values) in types.items()}
    left_out = {
        "day": pa.array([1, None, 2, 3, 4, 5, 6], pa.date32()),
        "time": pa.array([1, None, 2, 3, 4, 5, 6], pa.timestamp("ns")),
        "flag": pa.array([True, None, False, True, True, True, True]),
    }
    ids = [str(number) for number in range(7)]
    table = pa.table({"id": ids, "text": ["the same"] * 7, **columns, **left_out})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    for at in range(7):
        line = json.loads(_rust_ext.read_line(tmp_path / "a.parquet", at))
        given = {name: values[at] for name, (_, values) in types.items()}
        infinite = (float("inf"), -float("inf"))
        expected = {
            name: value
            for name, value in given.items()
            if value is not None and value == value and value not in infinite
        }
        assert line == {"id": str(at), "text": "the same", **expected}
    for rule, survivor in [("highest:f64", "4"), ("lowest:f64", "2"), ("highest:i8", "6")]:
        output = tmp_path / rule.replace(":", "-")
        manifest = run([tmp_path / "a.parquet"], output, DedupConfig(keep=(rule,)))
        assert [record["id"] for record in survivors(output)] == [survivor]
        assert manifest.notices == []


def test_numbers_called_as_what_must_be_strings_are_left_out(tmp_path: Path) -> None:
    from test_dedup import run, survivors

    columns: dict[str, Any] = {name: [7, 8] for name in ("id", "kind", "source")}
    columns |= {"text": ["one text", "another"], "meta_id": [7, 8]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert run([tmp_path / "a.parquet"], tmp_path / "out").counts.rejected == {}
    left = [{"text": "one text", "meta_id": 7}, {"text": "another", "meta_id": 8}]
    assert survivors(tmp_path / "out") == left


def test_a_long_list_behind_many_nulls_is_looked_at_once(tmp_path: Path) -> None:
    rows = 10_000
    messages = [*[None] * rows, json.dumps(conversation(0) * 8_000)]
    assert len(messages[-1] or "") > 16_000_000
    table = pa.table({"text": ["a"] * (rows + 1), "messages": messages})
    pq.write_table(table, tmp_path / "a.parquet")
    started = time.process_time()
    assert json.loads(_rust_ext.read_line(tmp_path / "a.parquet", rows - 1)) == {"text": "a"}
    read = json.loads(_rust_ext.read_line(tmp_path / "a.parquet", rows))
    assert time.process_time() - started < 5, "each null of a block cost a look at the list"
    assert read["messages"] == conversation(0) * 8_000


def test_a_text_field_called_messages_is_a_column_of_strings(tmp_path: Path) -> None:
    texts = ["[1, 2]", "said"]
    pq.write_table(pa.table({"messages": texts}), tmp_path / "a.parquet")
    scanned = json.loads(_rust_ext.scan_records(tmp_path / "a.parquet", text_field="messages"))
    assert scanned["records"] == 2
    assert scanned["text_bytes"] == sum(map(len, texts))
