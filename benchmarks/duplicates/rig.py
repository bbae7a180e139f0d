"""Where a run keeps its files, the corpora in it, and how a command is run on one."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

from benchmarks import process_tree
from benchmarks.source import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from benchmarks.process_tree import Usage

ROOT = Path(__file__).resolve().parents[2]

THREADS = ("RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ONE_THREAD = dict.fromkeys(THREADS, "1")
"""Read by the peers' libraries when they first start threads."""


ONE_RECORD = b'{"id": "one#0", "text": "a single record of a few words and none like it"}\n'


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """Records in a `.jsonl.zst`."""

    name: str
    path: Path
    records: int
    text_bytes: int
    sha256: str = ""
    """Of the texts and their order."""

    def to_json(self) -> dict[str, Any]:
        """Return all of it but where it lies."""
        return {key: value for key, value in asdict(self).items() if key != "path"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What a way of removing duplicates took; starting is left out of the times."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    """Of all processes, what starting takes included."""


@dataclass(kw_only=True, slots=True)
class Rig:
    """What every section of a run needs."""

    work: Path
    """A directory that is the run's own."""

    peer_python: str
    """The interpreter that has the peers; ours runs in this one."""

    runs: int
    """How often what is fast is measured, each time in processes of its own: the least counts."""

    corpora: dict[str, Corpus] = field(default_factory=dict)

    def corpus(self, name: str) -> Corpus:
        """Return a corpus by its name."""
        return self.corpora[name]

    def store(self, name: str, lines: Iterable[bytes]) -> Corpus:
        """Write lines of records as a corpus."""
        path = self.work / f"{name.replace(' ', '-')}.jsonl.zst"
        digest, records, size = hashlib.sha256(), 0, 0
        with zstandard.open(path, "wb", zstandard.ZstdCompressor(level=3)) as out:
            for line in lines:
                text = json.loads(line)["text"].encode()
                digest.update(len(text).to_bytes(8, "little") + text)
                records += 1
                size += len(text)
                out.write(line)
        return self.add(name, path, records, size, digest.hexdigest())

    def add(self, name: str, path: Path, records: int, size: int, sha256: str = "") -> Corpus:
        """Make a file known as a corpus."""
        corpus = Corpus(name=name, path=path, records=records, text_bytes=size, sha256=sha256)
        self.corpora[name] = corpus
        return corpus

    def one_record(self) -> Path:
        """Return records that cost nothing but starting."""
        path = self.work / "one.jsonl.zst"
        path.write_bytes(zstandard.compress(ONE_RECORD))
        return path

    def least(self, once: Callable[[Path], Usage], source: Path, runs: int) -> Taken:
        """Return the least that some runs took, less what a single record takes.

        The output of the last run on `source` stays.
        """
        one = self.one_record()
        starts = [once(one) for _ in range(self.runs)]
        usages = [once(source) for _ in range(runs)]
        return Taken(
            cpu_seconds=min(u.cpu_seconds for u in usages) - min(u.cpu_seconds for u in starts),
            wall_seconds=min(u.wall_seconds for u in usages) - min(u.wall_seconds for u in starts),
            peak_bytes=max(u.peak_bytes for u in usages),
        )

    def ours(self, sources: list[Path], output: Path, *options: str, simd: str = "") -> Usage:
        """Run `preprocess dedup`, with no better instructions than `simd` where it is given."""
        arguments = ["dedup", *map(str, sources), str(output), *options]
        return self.preprocess(*arguments, simd=simd)

    def preprocess(self, *arguments: str, simd: str = "") -> Usage:
        """Run a stage.

        Raises:
            RuntimeError: It failed.
        """
        command = [sys.executable, "-m", "preprocess", *arguments]
        environment = {"HEPHAESTUS_FORGE_SIMD": simd} if simd else {}
        usage = process_tree.run(command, environment=self.environment(environment))
        if usage.status:
            raise RuntimeError(f"{' '.join(command)}: {usage.stderr.strip() or usage.status}")
        return usage

    def peer(self, name: str, source: Path, output: Path) -> tuple[Usage, str | None]:
        """Run a peer by `benchmarks.duplicates.worker`.

        Returns:
            What it took, and why it could not do it, None if it did.
        """
        job = {"peer": name, "source": str(source), "output": str(output)}
        usage = process_tree.run(
            [self.peer_python, "-m", "benchmarks.duplicates.worker"],
            stdin=json.dumps(job),
            environment=self.environment(ONE_THREAD),
            directory=self.work,
        )
        if usage.status:
            return usage, (usage.stderr.strip().splitlines() or [f"ended with {usage.status}"])[-1]
        return usage, json.loads(usage.stdout.splitlines()[-1]).get("failed")

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of what is measured: this tree, and caches of the run's own."""
        cache = str(self.work / "cache")
        own = {
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": cache,
            "HF_HOME": cache,
            "HF_HUB_OFFLINE": "1",
        }
        # An installed package has its bytecode; a tree is compiled anew where writing it is off.
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return {**inherited, **own, **more}


def texts_of_lines(path: Path) -> list[str]:
    """Return the text of every record."""
    return [json.loads(line)["text"] for line in lines_of(path)]


def ids_of(path: Path) -> list[str]:
    """Return the id of every record."""
    return [json.loads(line)["id"] for line in lines_of(path)]
