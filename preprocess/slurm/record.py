"""What was submitted for a stage: `<run directory>/slurm/STAGE.json`, and logs beside it.

The record holds the command line, so that a stage that the plan asks otherwise for by now is
refused, and the numbers of the jobs, so that `status` can say how those ended that are gone. What
is done never follows from it: marks and manifests say that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from preprocess.errors import UserError
from preprocess.manifest import read_journal, to_json, write_whole
from preprocess.slurm.work import OWN_DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.slurm.work import Work


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """One job or array."""

    job: str
    step: str
    offset: int
    tasks: list[int]
    """Their indices in the array; empty: a single job."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was submitted for one stage, earlier jobs first."""

    arguments: list[str] = []
    jobs: list[Submitted] = []


def logs_directory(run: Path) -> Path:
    """Return where the logs of jobs are."""
    return run / OWN_DIRECTORY / "logs"


def log_path(run: Path, stage: str, step: str, task: str = "") -> Path:
    """Return the log of a task, one for all its attempts; `task` as `log_task` names it."""
    return logs_directory(run) / f"{stage}.{step}{task and f'-{task}'}.log"


def log_task(offset: int, index: int | str) -> str:
    """Return how the log of an array's element names its task, which Slurm cannot add up.

    >>> log_task(0, 3), log_task(1000, 3)
    ('3', '1000+3')
    """
    return f"{offset}+{index}" if offset else str(index)


def read_record(run: Path, name: str) -> Record:
    """Return what was submitted for a stage so far."""
    return read_journal(run / OWN_DIRECTORY / f"{name}.json", Record) or Record()


def refuse_other(run: Path, work: Work) -> None:
    """Refuse a stage that was submitted with other options.

    Raises:
        UserError: The message names the first word that differs.
    """
    before = read_record(run, work.name).arguments
    if before and before != work.identity:
        pairs = zip([*before, "nothing"], [*work.identity, "nothing"], strict=False)
        old, new = next(((old, new) for old, new in pairs if old != new), ("", ""))
        raise UserError(
            f"{run}: stage {work.name} was submitted with {old!r} where the plan has {new!r} now; "
            f"choose a new [run] directory, or remove {work.output} and "
            f"{run / OWN_DIRECTORY / work.name}.json"
        )


def write_record(run: Path, work: Work, jobs: list[Submitted]) -> None:
    """Add jobs to what was submitted for a stage."""
    path = run / OWN_DIRECTORY / f"{work.name}.json"
    record = Record(arguments=work.identity, jobs=[*read_record(run, work.name).jobs, *jobs])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, to_json(record))
