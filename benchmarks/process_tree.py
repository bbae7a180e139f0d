"""What a command and all processes below it took: CPU-seconds, time, memory."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STARTER = """
import json, resource, subprocess, sys, time
before = time.perf_counter()
status = subprocess.call(sys.argv[2:])
seconds = time.perf_counter() - before
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as out:
    json.dump([status, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024], out)
"""
"""Starts the command: a process that a large one starts has that one's size as its own peak, since
`ru_maxrss` outlives `exec`, so a small one stands between."""

INTERVAL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What a command took, and how it ended."""

    status: int
    cpu_seconds: float
    """User and system, of the command and all that it waited for."""

    wall_seconds: float
    peak_bytes: int
    """Of all processes together, as sampled; of a single one, as the kernel counted it."""

    stdout: str
    stderr: str


def run(
    command: Sequence[str],
    *,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Usage:
    """Run a command to its end, and return what it took; its status is not judged."""
    with tempfile.TemporaryDirectory(prefix="usage-") as scratch:
        report, out, err = (Path(scratch) / name for name in ("report", "out", "err"))
        given = Path(scratch) / "in"
        given.write_text(stdin)
        with given.open() as standard_in, out.open("wb") as one, err.open("wb") as other:
            starter = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", STARTER, str(report), *command],
                stdin=standard_in,
                stdout=one,
                stderr=other,
                env=environment,
                cwd=directory,
            )
            sampled = _watch(starter)
        if starter.returncode:
            raise RuntimeError(f"{command[0]}: {err.read_text().strip() or 'could not be started'}")
        status, wall, cpu, largest = json.loads(report.read_text())
        return Usage(
            status=status,
            cpu_seconds=cpu,
            wall_seconds=wall,
            peak_bytes=max(sampled, largest),
            stdout=out.read_text(errors="replace"),
            stderr=err.read_text(errors="replace"),
        )


def _watch(starter: subprocess.Popen[bytes]) -> int:
    """Wait for the end; return the most memory that the processes below held at one time."""
    peak = 0
    top = psutil.Process(starter.pid)
    while starter.poll() is None:
        with contextlib.suppress(psutil.Error):
            peak = max(peak, _held(top.children(recursive=True)))
        time.sleep(INTERVAL_SECONDS)
    return peak


def _held(processes: list[psutil.Process]) -> int:
    """Return the resident bytes of processes; what several share counts once."""
    held = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):  # it has ended
            if len(processes) == 1:
                held += process.memory_info().rss
            else:
                held += process.memory_full_info().pss
    return held
