"""Cores, memory and the cluster's limits."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from preprocess.doctor.findings import Finding, fail, ok, warn
from preprocess.run_options import DEFAULT_MEMORY_BYTES_PER_WORKER

OVERHEAD_BYTES = 100 << 20
"""What all processes may take above `--memory`."""

SCONTROL_SECONDS = 10.0
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_machine(workers: int | None, memory_bytes: int | None) -> list[Finding]:
    """Return what cores, memory and Slurm say."""
    cores = len(os.sched_getaffinity(0))
    workers = workers or cores
    wanted = memory_bytes or workers * DEFAULT_MEMORY_BYTES_PER_WORKER
    return [
        check_cores(cores, workers),
        memory(wanted, available_bytes(), workers, is_default=memory_bytes is None),
        *slurm(show_config()),
    ]


def check_cores(cores: int, workers: int) -> Finding:
    """Compare workers with cores."""
    if workers > cores:
        return warn(
            "cores",
            f"{workers} workers for {cores} cores",
            f"--workers {cores}; more only take memory from one another",
        )
    return ok("cores", f"{cores}, for {workers} workers")


def memory(wanted: int, available: int | None, workers: int, *, is_default: bool) -> Finding:
    """Compare what a stage may take with what there is."""
    subject = "memory"
    origin = f"the default of 2 GiB for each of {workers} workers" if is_default else "--memory"
    needed = wanted + OVERHEAD_BYTES
    if available is None:
        return warn(subject, "the system does not say how much is free", "watch the first run")
    found = f"{gib(needed)} at most ({origin} and 100 MiB), {gib(available)} available"
    if needed > available:
        advice = max((available - OVERHEAD_BYTES) >> 20, 64)
        return fail(subject, found, f"--memory {advice}MiB, or fewer --workers")
    return ok(subject, found)


def gib(size: int) -> str:
    """Return a size as users read it."""
    return f"{size / (1 << 30):,.1f} GiB"


def available_bytes(
    meminfo: Path = Path("/proc/meminfo"), limits: tuple[str, ...] = CGROUP_LIMITS
) -> int | None:
    """Return the memory that can be had: what is free, or the limit of the container if less."""
    sizes = []
    if meminfo.is_file():
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
        if found:
            sizes.append(int(found[1]) << 10)
    texts = [path.read_text().strip() for path in map(Path, limits) if path.is_file()]
    sizes += [int(text) for text in texts if text.isdecimal()]  # else "max": no limit
    return min(sizes, default=None)


def show_config() -> str | None:
    """Return what `scontrol show config` says, None where there is no Slurm.

    An empty answer stands for a controller that does not answer.
    """
    try:
        done = subprocess.run(
            ["scontrol", "show", "config"],
            capture_output=True,
            text=True,
            check=False,
            timeout=SCONTROL_SECONDS,
        )
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def slurm(config: str | None) -> list[Finding]:
    """Return the limits that an array of tasks has to obey."""
    if config is None:
        return [ok("Slurm", "not on this machine")]
    settings = dict(re.findall(r"^(\w+)\s*=\s*(.*?)\s*$", config, re.MULTILINE))
    largest = settings.get("MaxArraySize", "")
    if not largest.isdecimal():
        return [
            warn(
                "Slurm",
                f"scontrol is there, its controller did not answer in {SCONTROL_SECONDS:.0f} s",
                "ask again when it is up: `scontrol show config`",
            )
        ]
    if int(largest) < 2:
        return [fail("Slurm", f"MaxArraySize is {largest}", "arrays are off; submit single jobs")]
    # The highest index is one less, and tasks count from 0.
    version = settings.get("SLURM_VERSION", "unknown version")
    jobs = settings.get("MaxJobCount", "unknown")
    return [
        ok(
            "Slurm",
            f"{version}, MaxArraySize {largest}, MaxJobCount {jobs}",
            f"--num-tasks {largest} at most in one array; units are dealt to any number",
        )
    ]
