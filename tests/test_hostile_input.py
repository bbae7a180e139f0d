"""Input and directories that somebody has meddled with: a line each, and never a wrong dataset."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zstandard
from conftest import Preprocess, write_records

from preprocess.dedup import DedupConfig, dedup
from preprocess.errors import UserError
from preprocess.inputs import resolve, units_of
from preprocess.manifest import Counts, InputEntry, Manifest, Shard, write_manifest
from preprocess.merge import merge
from preprocess.run_directory import RunDirectory
from preprocess.run_options import RunOptions
from preprocess.tokenize import TokenizeConfig, tokenize
from preprocess.unit_result import FileSummary, UnitResult, UnitShard, file_summary

GOOD = '{"id": "a", "text": "the fox"}\n'


def run_of(directory: Path, units: int = 2) -> RunDirectory:
    """Begin a run of units that hold one shard of two files and one rejected line each."""
    source = directory / "in"
    source.mkdir(exist_ok=True)
    for unit in range(units):
        (source / f"{unit}.jsonl").write_text(GOOD)
    files = resolve([str(source)], lambda path: path.suffix == ".jsonl", "records")
    cut = [unit for file in files for unit in units_of([file])]
    numbered = [
        type(unit)(index=index, files=unit.files, is_shard=False) for index, unit in enumerate(cut)
    ]
    return RunDirectory.begin(directory / "out", "test", {"a": 1}, numbered)


def do(run: RunDirectory) -> None:
    def make(unit: object) -> UnitResult:
        index = unit.index  # type: ignore[attr-defined]
        files: dict[str, FileSummary] = {}
        for extension in (".bin", ".idx"):
            path = run.shard_path(index, 0, "part", extension)
            path.write_bytes(f"unit {index} {extension}".encode())
            files[extension] = file_summary(path)
        run.rejected_path(index, 0).write_bytes(zstandard.compress(f"line {index}\n".encode()))
        shard = UnitShard(shard=0, series="part", records=1, text_bytes=7, files=files)
        counts = Counts(native=2, in_=1, out=1, rejected={"invalid_json": 1})
        entry = InputEntry(path="in", bytes=1, records=1, xxh3="0" * 16)
        return UnitResult(shards=[shard], counts=counts, inputs=[entry])

    run.run(RunOptions(workers=1, memory_bytes=1 << 20), make)


def content(directory: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
    manifest = json.loads(files.pop("manifest.json"))
    del manifest["seconds"]
    return {**files, "manifest.json": json.dumps(manifest).encode()}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def test_a_kill_between_any_two_renames_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    whole = run_of(tmp_path / "whole")
    do(whole)
    whole.complete()
    for steps in range(20):
        place = tmp_path / f"killed-{steps}"
        place.mkdir()
        run = run_of(place)
        do(run)
        left = steps

        def dying(source: Path, target: Path) -> Path:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            os.rename(source, target)  # noqa: PTH104 - the methods of Path are this function
            return Path(target)

        with monkeypatch.context() as patch:
            for name in ("rename", "replace"):
                patch.setattr(Path, name, dying)
            try:
                run.complete()
            except Killed:
                assert not (run.path / "manifest.json").exists()
            else:
                assert steps > 4, "no rename was killed"
                assert content(run.path) == content(whole.path)
                break
        again = run_of(place)
        do(again)
        again.complete()
        assert content(run.path) == content(whole.path)
    else:
        pytest.fail("completing never ended")


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_shard_that_was_cut_by_hand_is_noticed(tmp_path: Path, *, is_moved: bool) -> None:
    run = run_of(tmp_path)
    do(run)
    path = run.shard_path(1, 0, "part", ".bin")
    path.write_bytes(path.read_bytes()[:-1])
    if is_moved:
        path = path.rename(run.path / "part-00001.bin")
    with pytest.raises(
        UserError, match=r"expected the 11 bytes that were written, found 10; remove"
    ):
        run.complete()
    assert run.manifest() is None


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    do(run)
    (run.journal / "00001.json").write_text('{"shards": [')
    with pytest.raises(UserError, match=r"00001.json: expected what this stage wrote, but"):
        run.complete()


def test_rejected_lines_that_an_equal_run_is_removing_are_not_gathered_in_part(
    tmp_path: Path,
) -> None:
    run = run_of(tmp_path)
    do(run)
    other = run_of(tmp_path)
    run.complete()
    whole = content(run.path)
    run.journal.mkdir()
    other.rejected_path(1, 0).write_bytes(b"what is left of them")
    other._gather_rejected(2)
    assert content(run.path) == whole


def test_many_small_files_are_dealt_in_linear_time(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD)
    files = resolve([str(tmp_path / "a.jsonl")], lambda _: True, "records") * 60_000
    started = time.monotonic()
    assert len(units_of(files)) == 1
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("stage", ["tokenize", "dedup"])
def test_deep_nesting_is_rejected_and_a_byte_order_mark_passed_over(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path, stage: str
) -> None:
    deep = "[" * 200_000
    (tmp_path / "a.jsonl").write_text(
        "\ufeff" + GOOD + f'{{"id": "b", "text": "b", "meta": {deep}\n{deep}\n', encoding="utf-8"
    )
    more = ["--tokenizer", tokenizer, "--holdout", "0"] if stage == "tokenize" else []
    done = preprocess(stage, "a.jsonl", "out", *more, "--max-rejected", "1")
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]
    assert (counts["out"], counts["rejected"]) == (1, {"too_deep": 2})


def test_a_file_given_twice_is_refused(tmp_path: Path, preprocess: Preprocess) -> None:
    (tmp_path / "in" / "below").mkdir(parents=True)
    (tmp_path / "in" / "below" / "a.jsonl").write_text(GOOD)
    assert preprocess("dedup", "in", "records").returncode == 0
    for inputs in (["in", "in/below/a.jsonl"], ["records", "in/../records"]):
        done = preprocess("dedup", *inputs, "out")
        assert done.returncode == 1
        assert "expected each file once, it is among the inputs twice" in done.stderr
        assert not (tmp_path / "out").exists()


def test_an_output_below_its_input_is_refused(tmp_path: Path, preprocess: Preprocess) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(GOOD)
    done = preprocess("dedup", "in", "in/out")
    assert (done.returncode, done.stderr) == (
        1,
        "preprocess dedup: in/out: expected a place outside of the input, found it below in; "
        "choose another\n",
    )


def test_a_pipe_is_refused(tmp_path: Path, preprocess: Preprocess) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    done = preprocess("dedup", "a.jsonl", "out", timeout=60)
    assert (done.returncode, done.stderr) == (
        1,
        "preprocess dedup: a.jsonl: expected a file, found a device or a pipe; store it first\n",
    )


def test_names_that_are_not_utf_8_or_hold_line_ends(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in (b"\xff x.jsonl", b"a\nb.jsonl"):
        Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name)).write_text('{"text": "x"}\n')
    done = preprocess("tokenize", "in", "out", "--tokenizer", tokenizer, "--holdout", "0")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "part-00000.ids.zst").open("rb") as file:
        ids = zstandard.ZstdDecompressor().stream_reader(file).read()
    assert ids == b"a\\x0ab.jsonl#0\n\\udcff x.jsonl#0\n"
    assert preprocess("verify", "out").returncode == 0


def test_a_text_that_gives_the_end_of_document_is_rejected(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "b"}\n{"id": "b", "text": "a ~ b"}\n')
    given = ["--tokenizer", tokenizer, "--holdout", "0", "--eod", "~", "--max-rejected", "1"]
    done = preprocess("tokenize", "a.jsonl", "out", *given)
    assert done.returncode == 0, done.stderr
    assert "rejected: end_of_document_inside 1" in done.stderr
    assert preprocess("verify", "out").returncode == 0


def test_completing_holds_tasks_to_the_share_of_rejected(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD + "broken\n")
    given = ["--tokenizer", tokenizer, "--holdout", "0", "--task", "0", "--num-tasks", "1"]
    assert preprocess("tokenize", "a.jsonl", "out", *given).returncode == 0
    done = preprocess("verify", "out", "--complete")
    assert done.returncode == 1
    assert "expected at most 5.0% unreadable records, 1 of 2 were rejected" in done.stderr
    assert preprocess("verify", "out", "--complete", "--max-rejected", "0.5").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["dedup", "a.jsonl", "out", "--memory", "9" * 400],
            "expected a size from 1 byte to 1 EiB",
        ),
        (["dedup", "a.jsonl", "out", "--memory", "0"], "expected a size from 1 byte to 1 EiB"),
        (
            ["dedup", "a.jsonl", "out", "--memory", "1"],
            "expected --memory of 64 KiB or more, got 1 bytes; give it a unit, as 512MiB",
        ),
        (["dedup", "a.jsonl", "out", "--threshold", "0"], "must be above 0"),
        (["dedup", "a.jsonl", "out", "--no-verify", "--threshold", "0.5"], "got both"),
        (["tokenize", "a.jsonl", "out", "--tokenizer", "x", "--group", "none"], "must be one of"),
        (["train-tokenizer", "a.jsonl", "out", "--vocab-size", "9"], "must be above 256"),
    ],
)
def test_values_that_can_never_work_are_misuse(
    preprocess: Preprocess, arguments: list[str], expected: str
) -> None:
    done = preprocess(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_merge_does_not_write_among_the_shards(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    write_records(tmp_path / "a.jsonl", ["the fox", "the dog"])
    given = ["--tokenizer", tokenizer, "--holdout", "0"]
    assert preprocess("tokenize", "a.jsonl", "out", *given).returncode == 0
    done = preprocess("merge", "out", "out/part-00000")
    assert done.returncode == 1
    assert "out/part-00000: expected a prefix outside of out" in done.stderr
    assert preprocess("verify", "out").returncode == 0


def test_a_killed_ingest_worker_is_one_line_and_no_wait(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(400):
        (source / f"m{number}.py").write_text("def f(a):\n    return a + 1\n" * 3_000)
    command = [sys.executable, "-m", "preprocess", "ingest", str(source), str(tmp_path / "out")]
    with subprocess.Popen(
        [*command, "--dataset", "source_code", "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        victim = None
        while victim is None and process.poll() is None:
            if list((tmp_path / "out").glob("units/.*.tmp")):
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
                victim = int(children.split()[-1])
            time.sleep(0.01)
        assert victim is not None, "the run was over before a worker could be killed"
        os.kill(victim, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "it died (out of memory?); run again with fewer --workers" in errors
    assert errors.count("\n") == 1, errors


def test_more_shards_than_a_process_may_have_files(tmp_path: Path, tokenizer: Path) -> None:
    options = RunOptions(workers=1, memory_bytes=1 << 26)
    tokens = tmp_path / "tokens"
    write_records(tmp_path / "a.jsonl", [f"the fox {number}" for number in range(120)])
    config = TokenizeConfig(tokenizer=tokenizer, holdout=0, shard_text_bytes=1)
    tokenize([str(tmp_path / "a.jsonl")], tokens, config, options)
    records = []
    for number in range(120):
        given = tmp_path / f"in-{number}"
        given.mkdir()
        (given / "a.jsonl").write_text(f'{{"id": "{number}", "text": "{number} {number}"}}\n')
        summary = file_summary(given / "a.jsonl")
        shard = Shard(
            name="a.jsonl", records=1, bytes=summary.bytes, text_bytes=1, xxh3=summary.xxh3
        )
        counts = Counts(native=1, in_=1, out=1)
        manifest = Manifest(
            stage="x", version="0", config={}, inputs=[], shards=[shard], counts=counts, seconds=0
        )
        write_manifest(given, manifest)
        records.append(str(given))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        merged = merge(tokens, tmp_path / "merged", lambda _records, _bytes: None)
        unique = dedup(records, tmp_path / "unique", DedupConfig(), options)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert merged.documents == 120
    assert unique is not None
    assert len(unique.shards) == 120


def test_a_directory_with_pipes_and_dangling_links_is_read_and_they_are_named(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    write_records(tmp_path / "in/a.jsonl", ["the fox", "the dog"])
    os.mkfifo(tmp_path / "in/b.jsonl")
    (tmp_path / "in/c.jsonl").symlink_to("nowhere")
    done = preprocess("ingest", "in", "out", "--dataset", "jsonl")
    assert done.returncode == 0, done.stderr
    assert "in: 2 names are no files (pipes, dangling links)" in done.stderr
    assert "b.jsonl for example" in done.stderr
    assert "2 records in, 2 out" in done.stderr


def test_a_merge_of_an_unknown_series_is_misuse(preprocess: Preprocess) -> None:
    done = preprocess("merge", "tokens", "merged", "--series", "foo")
    assert (done.returncode, done.stderr) == (
        2,
        "preprocess merge: --series: expected part or valid, got 'foo'\n",
    )


def test_what_looks_like_input_and_is_passed_over_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from preprocess.inputs import record_files

    (tmp_path / "in/more").mkdir(parents=True)
    for name in ("a.jsonl", "b.JSONL", "c.jsonl.bz2", "notes.txt"):
        (tmp_path / "in" / name).write_text('{"text": "a"}\n')
    (tmp_path / "in/linked").symlink_to(tmp_path / "in/more")
    assert [file.relative for file in record_files([str(tmp_path / "in")])] == ["a.jsonl"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert ": 3 linked folders or names spelled otherwise" in said
    assert "in/b.JSONL for example" in said


def test_an_id_does_not_hide_or_stretch_the_message_about_it(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    twin = json.dumps({"id": "\x1b[8m\u202e" + "x" * 1_000, "text": "the fox"})
    (tmp_path / "a.jsonl").write_text(f"{twin}\n{twin}\n")
    done = preprocess("dedup", "a.jsonl", "out")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.isprintable()
    assert r"expected every id once, \x1b[8m\u202e" + "x" * 50 in line
    assert line.endswith("give each input once, or make the ids unique")
