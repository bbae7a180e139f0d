"""What every stage keeps: the same bytes, however the work is cut, killed or doubled."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from conftest import Preprocess, write_records

if TYPE_CHECKING:
    from pathlib import Path

WORDS = "the quick brown fox and a lazy dog met some other one near that old river".split()  # noqa: SIM905


def text(number: int) -> str:
    return " ".join(WORDS[(number * each * 7919 + each) % len(WORDS)] for each in range(1, 400))


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    """Five record directories' worth of loose files, some lines unreadable."""
    for number in range(5):
        path = tmp_path / f"in{number}.jsonl"
        write_records(path, [f"{number} {each} {text(each)}" for each in range(600)])
        with path.open("a") as file:
            file.write("no json\n")
    return [f"in{number}.jsonl" for number in range(5)]


@pytest.fixture
def records(preprocess: Preprocess, sources: list[str]) -> list[str]:
    for number, source in enumerate(sources):
        done = preprocess("ingest", source, f"records{number}", "--dataset", "jsonl")
        assert done.returncode == 0, done.stderr
    return [f"records{number}" for number in range(len(sources))]


def content(directory: Path) -> dict[str, bytes]:
    """Every file, the manifest without its seconds."""
    files = {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    manifest = json.loads(files["manifest.json"])
    assert manifest.pop("seconds") >= 0
    files["manifest.json"] = json.dumps(manifest).encode()
    return files


@pytest.mark.parametrize("stage", ["ingest", "tokenize"])
def test_workers_and_tasks_change_no_byte(
    tmp_path: Path, preprocess: Preprocess, records: list[str], tokenizer: Path, stage: str
) -> None:
    if stage == "ingest":
        command = ["ingest", *[f"in{number}.jsonl" for number in range(5)]]
        options: list[str | Path] = ["--dataset", "jsonl"]
    else:
        command = ["tokenize", *records]
        options = ["--tokenizer", tokenizer, "--holdout", "0.2"]
    for name, more in (("one", ["--workers", "1"]), ("two", ["--workers", "2"])):
        done = preprocess(*command, name, *options, *more)
        assert done.returncode == 0, done.stderr
    expected = content(tmp_path / "one")
    assert len(expected) >= 3
    assert content(tmp_path / "two") == expected
    for num_tasks in (1, 3, 7):
        name = f"tasks{num_tasks}"
        for task in reversed(range(num_tasks)):
            share = ["--task", str(task), "--num-tasks", str(num_tasks)]
            done = preprocess(*command, name, *options, *share)
            assert done.returncode == 0, done.stderr
            assert (tmp_path / name / f"tasks/{task}-of-{num_tasks}.json").exists()
            assert not (tmp_path / name / "manifest.json").exists()
        done = preprocess("verify", name, "--complete")
        assert done.returncode == 0, done.stderr + done.stdout
        assert content(tmp_path / name) == expected


def test_a_directory_with_a_missing_task_is_not_complete(
    preprocess: Preprocess, records: list[str], tokenizer: Path
) -> None:
    command = ["tokenize", *records, "out", "--tokenizer", tokenizer, "--num-tasks", "2"]
    assert preprocess(*command, "--task", "1").returncode == 0
    done = preprocess("verify", "out", "--complete")
    assert (done.returncode, done.stderr) == (
        1,
        "preprocess verify: out: expected all 5 units, 3 are not done (the first is 0); run the "
        "tasks that are missing\n",
    )
    done = preprocess("dedup", "out", "unique")
    assert "out: expected a complete directory, but it has no manifest.json" in done.stderr


@pytest.mark.parametrize("stage", ["ingest", "tokenize", "dedup"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(
    tmp_path: Path,
    preprocess: Preprocess,
    records: list[str],
    tokenizer: Path,
    stage: str,
    number: signal.Signals,
) -> None:
    arguments: dict[str, list[str | Path]] = {
        "ingest": [*[f"in{each}.jsonl" for each in range(5)], "OUT", "--dataset", "jsonl"],
        "tokenize": [*records, "OUT", "--tokenizer", tokenizer],
        "dedup": [*records, "OUT", "--allow-loss", "jsonl"],
    }

    def command(name: str, workers: int = 2) -> list[str]:
        given = [name if word == "OUT" else str(word) for word in arguments[stage]]
        return [stage, *given, "--workers", str(workers)]

    assert preprocess(*command("whole")).returncode == 0
    workers = 1 if number == signal.SIGINT else 2  # one reads, works and writes on one thread
    kills, statuses = 0, []
    for delay in (0.0, 0.2, 0.4, 0.6, 0.8):
        process = subprocess.Popen(
            [sys.executable, "-m", "preprocess", *command("killed", workers)],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        journal = tmp_path / "killed/units"
        deadline = time.monotonic() + 60
        while process.poll() is None and not journal.exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        _, message = process.communicate(timeout=60)
        statuses.append(process.returncode)
        if process.returncode == 0:
            if kills:
                break
            shutil.rmtree(tmp_path / "killed")  # it was faster than the signal: once more
            continue
        if number == signal.SIGINT and process.returncode != 130:
            continue  # it came while the interpreter was starting
        kills += 1
        if number == signal.SIGINT:
            expected = "interrupted; run the same command again to go on"
            assert message == f"preprocess {stage}: {expected}\n"
    assert kills, f"the run was never caught at work, it ended with {statuses}"
    done = preprocess(*command("killed", workers))
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.mark.parametrize("stage", ["ingest", "tokenize", "dedup"])
def test_two_equal_runs_at_once_end_in_the_same_bytes(
    tmp_path: Path, preprocess: Preprocess, records: list[str], tokenizer: Path, stage: str
) -> None:
    arguments: dict[str, list[str | Path]] = {
        "ingest": [*[f"in{each}.jsonl" for each in range(5)], "OUT", "--dataset", "jsonl"],
        "tokenize": [*records, "OUT", "--tokenizer", tokenizer],
        "dedup": [*records, "OUT", "--allow-loss", "jsonl"],
    }

    def command(name: str) -> list[str]:
        return [stage, *(name if word == "OUT" else str(word) for word in arguments[stage])]

    assert preprocess(*command("alone")).returncode == 0
    for attempt in range(3):
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "preprocess", *command(f"both{attempt}")],
                cwd=tmp_path,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        messages = [process.communicate(timeout=120)[1] for process in both]
        for process, message in zip(both, messages, strict=True):
            assert process.returncode == 0, message
        assert content(tmp_path / f"both{attempt}") == content(tmp_path / "alone")


def test_a_finished_run_does_nothing_again(
    tmp_path: Path, preprocess: Preprocess, records: list[str], tokenizer: Path
) -> None:
    command = ["tokenize", *records, "out", "--tokenizer", tokenizer]
    assert preprocess(*command).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert preprocess(*command).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_the_held_out_share_is_chosen_by_id_alone(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    import xxhash
    import zstandard

    write_records(tmp_path / "a.jsonl", [f"text {number}" for number in range(4000)])
    done = preprocess("tokenize", "a.jsonl", "out", "--tokenizer", tokenizer, "--holdout", "0.25")
    assert done.returncode == 0, done.stderr
    found = {}
    for series in ("part", "valid"):
        raw = (tmp_path / f"out/{series}-00000.ids.zst").read_bytes()
        found[series] = zstandard.ZstdDecompressor().decompressobj().decompress(raw).split()
    expected = [
        f"hand/a.jsonl#{number}".encode()
        for number in range(4000)
        if xxhash.xxh3_64_intdigest(f"hand/a.jsonl#{number}".encode()) < 0.25 * 2**64
    ]
    assert found["valid"] == expected
    assert 900 < len(expected) < 1100
    assert len(found["part"]) == 4000 - len(expected)


def test_a_group_takes_its_kinds_only(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    write_records(tmp_path / "a.jsonl", ["code"] * 30, kind="code")
    write_records(tmp_path / "b.jsonl", ["call"] * 20, kind="function_call")
    done = preprocess(
        "tokenize", "a.jsonl", "b.jsonl", "out", "--tokenizer", tokenizer, "--group", "agent"
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["counts"]["dropped"] == {"other_group": 30}
    sidecar = json.loads((tmp_path / "out/part-00000.json").read_text())
    assert sidecar["group"] == "agent"


def test_a_blend_refuses_parts_of_different_tokenizers(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    write_records(tmp_path / "a.jsonl", [f"text {number}" for number in range(400)])
    other = json.loads(tokenizer.read_text())
    other["added_tokens"][0]["lstrip"] = True
    (tmp_path / "other.json").write_text(json.dumps(other))
    for name, made_with in (("one", tokenizer), ("two", tmp_path / "other.json")):
        done = preprocess("tokenize", "a.jsonl", name, "--tokenizer", made_with)
        assert done.returncode == 0, done.stderr
    done = preprocess("blend", "agent=one:0.4", "code=two:0.6", "blend.json")
    assert done.returncode == 1
    assert "expected one tokenizer for all parts, but tokenizer is" in done.stderr
    done = preprocess("blend", "agent=one:0.4", "code=one:0.6", "mixes/blend.json")
    assert done.returncode == 0, done.stderr
    blend = json.loads((tmp_path / "mixes/blend.json").read_text())
    assert blend == {
        "train": [
            {"group": "agent", "prefixes": ["../one/part-00000"], "weight": 0.4},
            {"group": "code", "prefixes": ["../one/part-00000"], "weight": 0.6},
        ],
        "valid": [
            {"group": "agent", "prefixes": ["../one/valid-00000"]},
            {"group": "code", "prefixes": ["../one/valid-00000"]},
        ],
        "test": [],
    }


def test_verify_reads_what_stands_beside_the_shards(
    tmp_path: Path, preprocess: Preprocess, records: list[str]
) -> None:
    assert preprocess("dedup", *records, "out", "--allow-loss", "jsonl").returncode == 0
    for path in (tmp_path / "out/clusters.parquet", tmp_path / "records0/rejected.jsonl.zst"):
        directory = path.parent.name
        assert preprocess("verify", directory).returncode == 0
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        failed = preprocess("verify", directory)
        assert (failed.returncode, f"{directory}/{path.name}: expected xxh3" in failed.stdout) == (
            1,
            True,
        )


def test_a_run_that_falls_behind_an_equal_one_goes_on(tmp_path: Path, records: list[str]) -> None:
    """The other run takes our shard to its final name between our writing and our hashing it."""
    from preprocess.inputs import record_files, units_of
    from preprocess.manifest import Counts
    from preprocess.run_directory import RunDirectory
    from preprocess.run_options import RunOptions
    from preprocess.unit_result import UnitResult

    units = units_of(record_files([str(tmp_path / name) for name in records]))
    directory = RunDirectory.begin(tmp_path / "out", "tokenize", {}, units)
    nothing = UnitResult(shards=[], counts=Counts(), inputs=[])
    tried = []

    def fall_behind(unit: object) -> UnitResult:
        index = unit.index  # type: ignore[attr-defined]
        tried.append(index)
        if index == 1:
            (directory.journal / "00001.json").write_bytes(msgspec.json.encode(nothing))
            raise FileNotFoundError(2, "No such file or directory", "units/00001-00000-part.json")
        return nothing

    options = RunOptions(workers=1, memory_bytes=1 << 30)
    directory.run(options, fall_behind)
    assert tried == [0, 1, 2, 3, 4]

    def lose_a_file(_unit: object) -> UnitResult:
        raise FileNotFoundError(2, "No such file or directory", "input.jsonl")

    other = RunDirectory.begin(tmp_path / "other", "tokenize", {}, units)
    with pytest.raises(FileNotFoundError, match=r"input\.jsonl"):
        other.run(options, lose_a_file)
