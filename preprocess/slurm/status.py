"""How far a submitted plan is, on one screen: from marks and manifests, the queue, and accounting.

Where there is no accounting, Slurm's own memory of ended jobs is asked, which is short.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from preprocess.errors import UserError
from preprocess.slurm import scheduler
from preprocess.slurm.record import log_path, log_task, read_record
from preprocess.slurm.site import read_site
from preprocess.slurm.submit import plan_works
from preprocess.slurm.work import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from preprocess.plan import Plan
    from preprocess.slurm.work import Work

LAST_BYTES = 8192
"""Of a log or of metrics, where the last line is looked for."""
LINE_CHARS = 150
"""Of a log's last line."""


def show_status(plan: Plan, show: Callable[[str], None]) -> None:
    """Print a line for each stage and training, and one for each that has failed tasks.

    Raises:
        UserError: A wrong plan or site.
    """
    site = read_site()
    live, note = None, ""
    try:  # before it is seen what is done, as in `submit_plan`
        live = scheduler.live_jobs(scheduler.run_hash(plan.directory))
    except UserError as error:
        note = f"the queue is not known, nor what has failed: {error}"
    works = plan_works(plan, site)
    width = max((len(work.name) for work in works), default=0)
    show(str(plan.directory))
    ended = _ended(plan.directory, works)
    for work in works:
        for line in _lines(plan.directory, work, live, ended):
            show(f"  {work.name:{width}}  {line}")
    if note:
        show(note)


def _ended(run: Path, works: list[Work]) -> dict[tuple[str, int], str]:
    jobs = [
        job.job for work in works if not work.is_done for job in read_record(run, work.name).jobs
    ]
    return scheduler.ended_states(jobs)


def _lines(
    run: Path, work: Work, live: list[scheduler.LiveJob] | None, ended: dict[tuple[str, int], str]
) -> Iterator[str]:
    if work.is_done:
        yield "done"
        return
    found = [_StepState.of(run, work, step, live, ended) for step in work.steps]
    shown = [state for state in found if state.is_at_work] or found[-1:]
    began = any(state.done for state in found) or any(state.is_known for state in found)
    progress = f"  {_steps_trained(work)}" if work.training else ""
    yield (", ".join(map(str, shown)) if began else "not submitted") + progress
    for state in found:
        if state.failed:
            yield f"  {state.first_failure(run, work)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _StepState:
    """The tasks of a step by what became of them."""

    step: Step
    done: int
    running: int
    waiting: int
    reason: str
    failed: list[tuple[int, str, str]]
    """Tasks that were submitted, are gone and not done, with how they ended and their logs'
    names."""

    @staticmethod
    def of(
        run: Path,
        work: Work,
        step: Step,
        live: list[scheduler.LiveJob] | None,
        ended: dict[tuple[str, int], str],
    ) -> _StepState:
        mine = [job for job in live or () if (job.stage, job.step) == (work.name, step.name)]
        states = Counter("waiting" if job.state == "PENDING" else "running" for job in mine)
        missing = set(step.missing()) - {job.task for job in mine}
        submitted = {
            job.offset + index: (job.job, index, log_task(job.offset, index) if job.tasks else "")
            for job in read_record(run, work.name).jobs
            if job.step == step.name
            for index in job.tasks or [0]
        }
        failed = [
            (task, ended.get(submitted[task][:2], "ended"), submitted[task][2])
            for task in sorted(missing & set(submitted))
            if live is not None  # what is not in the queue is gone, if that is known
        ]
        return _StepState(
            step=step,
            done=(step.tasks or 1) - len(step.missing()),
            running=states["running"],
            waiting=states["waiting"],
            reason=next((job.reason for job in mine if job.state == "PENDING"), ""),
            failed=failed,
        )

    @property
    def is_known(self) -> bool:
        return bool(self.running or self.waiting or self.failed)

    @property
    def is_at_work(self) -> bool:
        return bool(self.running or self.failed or (self.waiting and self.reason != "Dependency"))

    def __str__(self) -> str:
        parts = [f"{self.done} of {self.step.tasks} done"] if self.step.tasks else []
        parts += [f"{self.running} running"] if self.running else []
        parts += [f"{self.waiting} waiting ({self.reason})"] if self.waiting else []
        parts += [f"{len(self.failed)} FAILED"] if self.failed else []
        return f"{self.step.name}: {', '.join(parts) or 'not yet'}"

    def first_failure(self, run: Path, work: Work) -> str:
        """Return how the first task failed, with the last line of its log."""
        task, how, named = self.failed[0]
        log = log_path(run, work.name, self.step.name, named)
        return f"task {task} {how}: {log}: {_last_line(log)[:LINE_CHARS]}"


def _steps_trained(work: Work) -> str:
    assert work.training is not None
    line = _last_line(work.training.directory / "metrics.jsonl")
    try:
        entry = json.loads(line)
        return f"step {entry['step']} of {work.training.num_steps}"
    except (ValueError, KeyError, TypeError):
        return f"step 0 of {work.training.num_steps}"


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LAST_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1] if lines else ""
