"""The commands of Slurm, as little of them as is needed: sbatch, squeue, scontrol, sacct.

A job is known by its comment, `hephaestus-forge:RUN:STAGE:STEP:OFFSET`, where RUN is a hash of the
run directory: so a plan finds its jobs again without a file that could be lost or stale.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

from preprocess.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MARK = "hephaestus-forge"
ANSWER_SECONDS = 60.0
ADVICE = {
    "sbatch": "; mend slurm/site.env or [slurm] in the plan and run this again: what is submitted "
    "stays submitted",
    "squeue": "; see whether `squeue` works here",
}
FOREIGN = re.compile(r"(SLURM|SBATCH|SRUN|SALLOC|SQUEUE|SACCT|SCONTROL)_")
"""What a job around this process left, and habits of the user that change what commands answer:
with SQUEUE_STATES=RUNNING no job would seem to wait, and all of them were submitted again."""

KEPT = frozenset({"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"})
"""Which cluster it is, and who asks."""

NEVER = "DependencyNeverSatisfied"
REVOKED = "REVOKED"
"""Runs on another cluster of a federation; `--all`, for hidden partitions, lists it too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveJob:
    """A job or array task that has not ended."""

    job: str
    """Its number; of a task that of its array."""
    stage: str
    step: str
    task: int
    """Of a single job 0."""
    state: str
    reason: str


def run_hash(directory: Path) -> str:
    """Return what stands for a run directory in the comments of its jobs."""
    return xxhash.xxh3_64_hexdigest(os.fsencode(directory.resolve()))[:12]


def comment(run: str, stage: str, step: str, offset: int) -> str:
    """Return the comment by which a job is found again."""
    return f"{MARK}:{run}:{stage}:{step}:{offset}"


def live_jobs(run: str) -> list[LiveJob]:
    """Return the jobs of a run directory that have not ended.

    Raises:
        UserError: There is no Slurm, or it does not answer.
    """
    user = f"--user={os.getuid()}"
    output = _ask("squeue", user, "--all", "--array", "--noheader", "--format=%i|%T|%r|%k")
    found = []
    for line in output.splitlines():
        number, state, reason, said = line.split("|", 3)
        match = re.fullmatch(rf"{MARK}:{run}:(.+):([^:]+):(\d+)", said)
        if match and reason != NEVER and state != REVOKED:
            job, _, index = number.partition("_")
            found.append(
                LiveJob(
                    job=job,
                    stage=match[1],
                    step=match[2],
                    task=int(match[3]) + (int(index) if index.isdecimal() else 0),
                    state=state,
                    reason=reason,
                )
            )
    return found


def submit(command: Sequence[str], variables: dict[str, str]) -> str:
    """Submit a job and return its number.

    Raises:
        UserError: Slurm refuses it; the message is its own.
    """
    output = _ask(*command, variables=variables)
    return output.strip().splitlines()[-1].partition(";")[0]


def set_dependency(job: str, dependency: str) -> None:
    """Give a job that waits something else to wait for."""
    _ask("scontrol", "update", f"JobId={job}", f"Dependency={dependency}")


def max_array_size() -> int:
    """Return the number of indices that an array may have."""
    found = re.search(
        r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"), re.MULTILINE
    )
    if not found or int(found[1]) < 2:
        raise UserError("Slurm: expected MaxArraySize of 2 or more, arrays are off at this site")
    return int(found[1])


def ended_states(jobs: Iterable[str]) -> dict[tuple[str, int], str]:
    """Return how jobs ended by number and index, from accounting or from what is remembered.

    Without accounting Slurm forgets a job minutes after its end: then nothing is known of it.
    """
    wanted = sorted(set(jobs))
    if not wanted:
        return {}
    states: dict[tuple[str, int], str] = {}
    try:
        fields = ["--parsable2", "--noheader", "--format=JobID,State", f"--jobs={','.join(wanted)}"]
        for line in _ask("sacct", *fields).splitlines():
            number, _, state = line.partition("|")
            match = re.fullmatch(r"(\d+)(?:_(\d+))?", number)
            if match:
                states[match[1], int(match[2] or 0)] = state.split()[0]
    except UserError:
        states.clear()
    return states or _remembered(wanted)


def _remembered(wanted: list[str]) -> dict[tuple[str, int], str]:
    states = {}
    try:
        output = _ask("scontrol", "--oneliner", "show", "job")
    except UserError:
        return {}
    for line in output.splitlines():
        fields = dict(re.findall(r"(\w+)=(\S*)", line))
        job, index = fields.get("ArrayJobId", fields.get("JobId", "")), fields.get("ArrayTaskId")
        if job in wanted and (index is None or index.isdecimal()):
            states[job, int(index or 0)] = fields.get("JobState", "")
    return states


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what a job around it left there."""
    return {
        name: value for name, value in os.environ.items() if name in KEPT or not FOREIGN.match(name)
    }


def _ask(*command: str, variables: dict[str, str] | None = None) -> str:
    environment = clean_environment() | (variables or {})
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_SECONDS,
        )
    except FileNotFoundError:
        raise UserError(
            f"expected {command[0]} on the PATH, found none; run this on a login node of the "
            "cluster, or without --slurm here"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{command[0]}: no answer in {ANSWER_SECONDS:.0f} s; see `scontrol ping`, then run "
            "this again: what is submitted stays submitted"
        ) from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}"
        said = said.removeprefix(f"{command[0]}: ").removeprefix("error: ")
        raise UserError(f"{command[0]}: {said}{ADVICE.get(command[0], '')}")
    return done.stdout
