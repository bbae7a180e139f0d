"""What `dedup` writes, in which form, and that neither memory nor kills change it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from test_dedup import (
    EverySource,
    clusters,
    content,
    corpus,
    edited,
    options,
    read_lines,
    run,
    survivors,
    words,
    write,
)

from preprocess.dedup import STEPS, DedupConfig, dedup
from preprocess.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess


def test_plain_shards_are_read_by_the_stages_behind(tmp_path: Path, preprocess: Preprocess) -> None:
    records = corpus(21, 400)
    source = write(tmp_path / "a.jsonl", records)
    packed = run([source], tmp_path / "packed")
    plain = run([source], tmp_path / "plain", DedupConfig(format="jsonl"))
    assert [shard.name for shard in plain.shards] == ["part-00000.jsonl"]
    lines = read_lines(tmp_path / "plain" / "part-00000.jsonl")
    assert lines == read_lines(tmp_path / "packed" / "part-00000.jsonl.zst")
    assert plain.counts == packed.counts
    assert plain.shards[0].composition == packed.shards[0].composition
    assert verify(tmp_path / "plain", lambda *_: None)[1] == []
    # A directory of plain shards is a directory of records: its shards stay shards.
    again = run([tmp_path / "plain"], tmp_path / "again")
    assert again.counts.out == again.counts.in_ == plain.counts.out
    assert survivors(tmp_path / "again") == survivors(tmp_path / "plain")
    shown = preprocess("inspect", "plain", "--record", "3")
    assert (shown.returncode, records_of(lines)[3]["id"] in shown.stdout) == (0, True), shown
    checked = preprocess("verify", "plain")
    assert checked.returncode == 0, checked.stderr
    damaged = bytearray((tmp_path / "plain" / "part-00000.jsonl").read_bytes())
    damaged[100] ^= 1
    (tmp_path / "plain" / "part-00000.jsonl").write_bytes(damaged)
    assert preprocess("verify", "plain").returncode == 1


def records_of(lines: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def test_an_emptied_plain_shard_stays(tmp_path: Path) -> None:
    records = [{"id": f"a{number}", "text": f"text {number}"} for number in range(50)]
    again = [{**record, "id": f"b{number}"} for number, record in enumerate(records)]
    for name, part in (("a", records), ("b", again)):
        run([write(tmp_path / f"{name}.jsonl", part)], tmp_path / name)
    config = DedupConfig(format="jsonl")
    manifest = run([tmp_path / "a", tmp_path / "b"], tmp_path / "out", config)
    assert [shard.records for shard in manifest.shards] == [50, 0]
    assert (tmp_path / "out" / "part-00001.jsonl").read_bytes() == b""
    assert run([tmp_path / "out"], tmp_path / "more").counts.out == 50


def test_a_level_packs_harder_and_changes_no_line(tmp_path: Path, preprocess: Preprocess) -> None:
    random = Random(22)
    records = [{"id": str(n), "text": " ".join(words(random, 300))} for n in range(500)]
    write(tmp_path / "a.jsonl", records)
    sizes = []
    for level in ("1", "19"):
        done = preprocess("dedup", "a.jsonl", level, "--compression-level", level)
        assert done.returncode == 0, done.stderr
        sizes.append((tmp_path / level / "part-00000.jsonl.zst").stat().st_size)
        assert survivors(tmp_path / level) == records
    assert sizes[1] < 0.97 * sizes[0]
    misused = preprocess(
        "dedup", "a.jsonl", "plain", "--format", "jsonl", "--compression-level", "5"
    )
    assert misused.returncode == 2
    assert "expected --compression-level or --format jsonl, got both" in misused.stderr


def test_lines_keep_their_bytes_and_get_one_end_each(tmp_path: Path) -> None:
    lines = [b'{"text": "one",  "id":"1"}', b'{"id": "2", "text": "two"}', b'{"text":"one"}']
    source = tmp_path / "a.jsonl"
    source.write_bytes(b"\xef\xbb\xbf" + lines[0] + b"\r\n\n" + lines[1] + b"\n" + lines[2])
    for form in ("jsonl", "jsonl.zst"):
        run([source], tmp_path / form, DedupConfig(format=form))
        kept = read_lines(tmp_path / form / f"part-00000.{form}")
        assert kept == [lines[0] + b"\n", lines[1] + b"\n"]


def hard_corpus(count: int) -> list[dict[str, str]]:
    """Records of which many are alike: chains, a giant group, copies."""
    random = Random(23)
    base = words(random, 120)
    chain = list(base)
    records = []
    for number in range(count):
        if number % 5 == 0:
            chain = edited(random, chain, 2)
        text = {0: chain, 1: base, 2: [*base, f"tail{number}"]}.get(number % 7)
        text = words(random, 60) if text is None else text
        records.append({"id": f"r{number}", "source": f"s{number % 3}", "text": " ".join(text)})
    return records


@pytest.mark.parametrize("verify_pairs", [True, False])
def test_memory_and_workers_change_no_byte(tmp_path: Path, verify_pairs: bool) -> None:
    source = write(tmp_path / "a.jsonl.zst", hard_corpus(6000))
    config = DedupConfig(verify=verify_pairs, max_cluster=500, format="jsonl")
    expected = None
    # `run.json` names the memory where it decides which records are read: it is not compared.
    for number, (workers, memory) in enumerate([(1, 1 << 30), (2, 1 << 20), (3, 100_000)]):
        output = tmp_path / str(number)
        run([source], output, config, workers=workers, memory_bytes=memory)
        found = content(output)
        manifest = json.loads(found.pop("manifest.json"))
        manifest["config"].pop("max_record_bytes", None)
        found = {**found, "manifest.json": json.dumps(manifest).encode()}
        found.pop("run.json")
        expected = expected or found
        assert found == expected
    rows = clusters(tmp_path / "0")
    assert sum(row["kind"] == "near" for row in rows) > 500


DEDUP = """
import sys
from pathlib import Path
from preprocess.dedup import DedupConfig, dedup
from preprocess.run_options import RunOptions
source, output, memory, form, *allowed = sys.argv[1:]
options = RunOptions(workers=2, memory_bytes=int(memory))
print("begins", flush=True)
dedup([source], Path(output), DedupConfig(format=form), options, allow_loss=allowed)
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def start(
    source: Path, output: Path, memory: int, form: str, *allowed: str
) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DEDUP, str(source), str(output), str(memory), form, *allowed]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def test_a_run_killed_again_and_again_gives_the_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl.zst", hard_corpus(12_000))
    run([source], tmp_path / "whole", memory_bytes=1 << 30)
    output = tmp_path / "killed"
    kills = 0
    while True:
        process = start(source, output, 1 << 30, "jsonl.zst", "s0", "s1", "s2")
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        try:
            # Ever longer, so that every step is killed at last.
            process.wait(0.01 * kills if kills < 20 else 120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, process.communicate()[1]
        process.communicate()
        break
    assert kills >= 3
    # Private names that a kill left are nobody's: the next run passes over them.
    found = {name: raw for name, raw in content(output).items() if not name.startswith(".")}
    assert found == content(tmp_path / "whole")


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    random = Random(24)
    base = words(random, 40)
    peaks = []
    for count in (20_000, 320_000):
        source = tmp_path / f"{count}.jsonl.zst"
        with zstandard.open(source, "wb") as file:
            for number in range(count):
                text = " ".join([*base, f"a{number // 3}", f"b{number // 3}", f"c{number % 3}"])
                file.write(json.dumps({"id": f"record-{number}", "text": text}).encode() + b"\n")
        process = start(source, tmp_path / str(count), 32 << 20, "jsonl", "unknown")
        printed, errors = process.communicate()
        assert process.returncode == 0, errors
        peaks.append(int(printed.split()[-1]) >> 10)
    # The bare interpreter with what it imports takes some 40 MiB.
    assert peaks[1] < 32 + 100, peaks


def test_each_step_alone_leaves_no_private_file(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", hard_corpus(3000))
    started = time.monotonic()
    for step in STEPS:
        dedup(
            [str(source)],
            tmp_path / "out",
            DedupConfig(),
            options(memory_bytes=200_000),
            step=step,
            allow_loss=EverySource(),
        )
        assert [path for path in tmp_path.rglob(".*") if path.is_file()] == []
    assert time.monotonic() - started < 60
