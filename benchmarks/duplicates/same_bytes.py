"""One worker, two, seven tasks, killed again and again: whether all files come out the same."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.source import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.duplicates.rig import Rig

SHARDS = 9
"""Of the input: more than tasks, so that several units fall to some of them."""

NUM_TASKS = 7
KILLS = 20
EARLIEST = 0.3
"""Of the time of a run: before that, Python is still starting."""

STEPS = ("sign", "bands", "connect", "drop")
LIMITS = ("--memory", "2GiB")


@dataclass(frozen=True, kw_only=True, slots=True)
class Same:
    """One way of running, held against one worker's run."""

    how: str
    files: int
    different: list[str]
    """Names of files that are others, or missing, or too many."""

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)


def run(rig: Rig) -> Iterator[Same]:
    """Run the same records in every way."""
    sources = _shards(rig)
    output = rig.work / "same"
    expected = _digests(_afresh(output, lambda: _ours(rig, sources, output, "--workers", "1")))
    ways: dict[str, Callable[[], object]] = {
        "2 workers": lambda: _ours(rig, sources, output, "--workers", "2"),
        f"{NUM_TASKS} tasks": lambda: _in_tasks(rig, sources, output),
    }
    for how, run_it in ways.items():
        yield _compare(how, expected, _digests(_afresh(output, run_it)))
    yield _killed(rig, sources, output, expected)


def _shards(rig: Rig) -> list[Path]:
    """Return directories of records that together hold the web corpus, a shard each."""
    corpus = rig.corpus("web")
    lines = lines_of(corpus.path)
    directories = []
    for number in range(SHARDS):
        share = corpus.records * (number + 1) // SHARDS - corpus.records * number // SHARDS
        part, directory = rig.work / f"web-{number}.jsonl", rig.work / f"web-{number}"
        with part.open("wb") as out:
            out.writelines(next(lines) for _ in range(share))
        rig.preprocess("ingest", str(part), str(directory), "--dataset", "jsonl")
        part.unlink()
        directories.append(directory)
    return directories


def _ours(rig: Rig, sources: list[Path], output: Path, *options: str) -> None:
    rig.ours(sources, output, *options, *LIMITS)


def _in_tasks(rig: Rig, sources: list[Path], output: Path) -> None:
    for step in STEPS:
        for task in reversed(range(NUM_TASKS)):
            share = ("--task", str(task), "--num-tasks", str(NUM_TASKS))
            _ours(rig, sources, output, "--workers", "1", "--step", step, *share)
    rig.preprocess("verify", str(output), "--complete")


def _afresh(output: Path, run_it: Callable[[], object]) -> Path:
    shutil.rmtree(output, ignore_errors=True)
    run_it()
    return output


def _killed(rig: Rig, sources: list[Path], output: Path, expected: dict[str, str]) -> Same:
    """Kill runs at random moments until there were `KILLS`; compare all that came to an end."""
    chance = random.Random(0)
    options = ("--workers", "2", *LIMITS)
    paths = map(str, [*sources, output])
    command = [sys.executable, "-m", "preprocess", "dedup", *paths, *options]
    shutil.rmtree(output, ignore_errors=True)
    whole = rig.ours(sources, output, *options).wall_seconds
    different = _compare("", expected, _digests(output)).different
    shutil.rmtree(output)
    kills = 0
    while kills < KILLS:
        seconds = _until_killed(rig, command, chance.uniform(EARLIEST * whole, whole))
        if seconds is None:
            kills += 1
            continue
        whole = seconds
        different += _compare("", expected, _digests(output)).different
        shutil.rmtree(output)
    _ours(rig, sources, output, "--workers", "2")
    different += _compare("", expected, _digests(output)).different
    return Same(how=f"killed {KILLS} times", files=len(expected), different=sorted({*different}))


def _until_killed(rig: Rig, command: list[str], after_seconds: float) -> float | None:
    """Run a command for some time; return how long it took, None if it had not ended by then."""
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=rig.environment({}),
        start_new_session=True,
    )
    try:
        status = process.wait(after_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None
    if status:
        raise RuntimeError(f"{' '.join(command)}: ended with {status} after it had been killed")
    return time.monotonic() - started


def _digests(output: Path) -> dict[str, str]:
    """Return the SHA-256 of every file, of the manifest without the seconds.

    A process killed between writing a file and giving it its name leaves its private temporary,
    which nothing reads: another process at the same work may be about to rename its own.
    """
    digests = {}
    for path in sorted(output.rglob("*")):
        is_private = path.name.startswith(".") and path.suffix == ".tmp"
        if path.is_file() and not is_private:
            content = path.read_bytes()
            if path.name == "manifest.json":
                manifest = json.loads(content)
                del manifest["seconds"]
                content = json.dumps(manifest).encode()
            digests[str(path.relative_to(output))] = hashlib.sha256(content).hexdigest()
    return digests


def _compare(how: str, expected: dict[str, str], found: dict[str, str]) -> Same:
    names = expected.keys() | found.keys()
    different = sorted(name for name in names if expected.get(name) != found.get(name))
    return Same(how=how, files=len(expected), different=different)
