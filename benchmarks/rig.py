"""Where a run keeps its files, and how it asks a fresh process for one figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.corpora import Corpus
from benchmarks.models import Model
from benchmarks.peers import LOADERS, OURS

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rig:
    """What every section of a run needs."""

    work: Path
    """A directory for corpora, digests and datasets; it is the run's own."""

    peer_python: str
    """The interpreter that has the peers; ours and Megatron's path run in this one."""

    models: list[Model]
    corpora: dict[str, Corpus]
    source: Path
    """The web corpus as `.jsonl.zst`."""

    slice_source: Path
    """The beginning of it, for peers that would take minutes: the corpus `web slice`."""

    def ask(self, job: str, *, peer: str = OURS, **arguments: Any) -> dict[str, Any]:
        """Run one job of `benchmarks.worker` in a process of its own.

        Returns:
            Its answer; of a library that cannot do the job `failed`, with the reason.

        Raises:
            RuntimeError: The process ended without an answer.
        """
        is_ours = peer == OURS and job != "versions"
        done = subprocess.run(
            [sys.executable if is_ours else self.peer_python, "-m", "benchmarks.worker"],
            input=json.dumps({"job": job, "peer": peer, **arguments}),
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(),
        )
        if done.returncode == 0:
            answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return answer
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        if is_ours:
            raise RuntimeError(f"{job} of {arguments}: {last}")
        return {"failed": last}

    def environment(self) -> dict[str, str]:
        """Return the environment of a worker: this tree, and caches of the run's own."""
        own = {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(self.work / "cache")}
        return {**os.environ, **own}

    def digests(self, model: Model, corpus: str, mode: str = "parsed") -> Path:
        """Return where the digests of a reference's ids lie; a slice shares those of the whole."""
        return self.work / f"{model.name}-{corpus.removesuffix(' slice')}-{mode}.digests"

    def versions(self) -> dict[str, str | None]:
        """Return the versions of the peers, None for those that are not installed."""
        packages = [name for name in LOADERS if name != OURS]
        answer: dict[str, str | None] = self.ask(
            "versions", packages=[*packages, "orjson", "zstandard", "numpy"]
        )
        return answer
