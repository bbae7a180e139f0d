"""What is missing of a plan, submitted behind what it needs.

Between the steps of a stage jobs wait for the end of the step before, however it ended
(`afterany`): each step itself looks whether the one before is whole, and says what is missing. Of
a stage that is needed the last job must succeed (`afterok`): the one that verifies, after an
array. Where it fails, what waits for it is cancelled (`--kill-on-invalid-dep=yes`) and not left in
the queue for ever; the next submission finds what is missing and submits that alone.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.errors import UserError
from preprocess.plan import keep_copy
from preprocess.slurm import scheduler
from preprocess.slurm.arrays import ranges, split
from preprocess.slurm.options import job_options
from preprocess.slurm.record import (
    Submitted,
    log_path,
    log_task,
    logs_directory,
    refuse_other,
    write_record,
)
from preprocess.slurm.resources import read_resources
from preprocess.slurm.site import read_site, site_file, slurm_directory
from preprocess.slurm.trainings import read_trainings
from preprocess.slurm.tree import Jobs, tree
from preprocess.slurm.work import works_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from preprocess.plan import Plan
    from preprocess.slurm.site import Site
    from preprocess.slurm.work import Step, Work


def submit_plan(
    plan: Plan,
    show: Callable[[str], None],
    say: Callable[[str], None],
    *,
    dry_run: bool,
    retry_failed: bool,
) -> None:
    """Submit what is neither done nor in the queue, and show the jobs as a tree.

    Args:
        plan: Its stages and trainings.
        show: Prints a line of the result.
        say: Prints a line about it.
        dry_run: Only print the commands; nothing is written either.
        retry_failed: Also submit tasks that have ended without being done while others of their
            step are still in the queue; what waits for the step waits for them too.

    Raises:
        UserError: A wrong plan or site, a stage whose output is not sound, a refusal of Slurm.
    """
    site = read_site()
    # Before it is seen what is done: what ends in between is done then, and else would be neither.
    live = scheduler.live_jobs(scheduler.run_hash(plan.directory))
    works = plan_works(plan, site)
    for work in works:
        refuse_other(plan.directory, work)
    if not dry_run:
        keep_copy(plan)
        logs_directory(plan.directory).mkdir(parents=True, exist_ok=True)
    submission = Submission(plan.directory, site, live, dry_run=dry_run, retry_failed=retry_failed)
    for work in works:
        submission.add(work)
    for line in submission.commands:
        show(line)
    for line in tree(plan.directory, works, submission.jobs):
        show(line)
    waiting = sum(not work.is_done for work in works)
    say(
        f"preprocess run: {'would submit ' if dry_run else ''}{submission.submitted} jobs"
        f"{'' if dry_run else ' submitted'}, {len(works) - waiting} of {len(works)} stages and "
        f"trainings done; logs are in {logs_directory(plan.directory)}"
    )


def plan_works(plan: Plan, site: Site) -> list[Work]:
    """Return the plan's stages and trainings with what they ask for."""
    trainings = read_trainings(plan)
    stages = [stage.name for stage in plan.stages]
    resources = read_resources(plan, stages, [training.name for training in trainings])
    resources |= {name: resources[name].over(site) for name in stages}
    return works_of(plan, trainings, resources)


@dataclass(kw_only=True, slots=True)
class _Before:
    """The jobs that a step waits for."""

    jobs: list[str] = field(default_factory=list)
    is_new: bool = False
    """Whether one of them was submitted just now."""
    kind: str = "afterok"
    """`afterany` between the steps of a stage."""

    @property
    def dependency(self) -> str:
        """What `--dependency` takes; empty if there is nothing to wait for."""
        return f"{self.kind}:{':'.join(self.jobs)}" if self.jobs else ""


def _dependency(work: Work, before: _Before) -> str:
    """Return what `--dependency` takes for a job of a stage or training."""
    if work.training is None:
        return before.dependency
    # Of the jobs of this name one runs at a time: two would write the same checkpoints.
    return ",".join(filter(None, (before.dependency, "singleton")))


class Submission:
    """One round of submitting: what is in the queue, and what was added to it."""

    def __init__(
        self,
        run: Path,
        site: Site,
        live: list[scheduler.LiveJob],
        *,
        dry_run: bool,
        retry_failed: bool,
    ) -> None:
        self.run, self.site, self.live = run, site, live
        self.dry_run, self.retry_failed = dry_run, retry_failed
        self.digest = scheduler.run_hash(run)
        self.array_size = site.max_array_size or scheduler.max_array_size()
        self.scripts = slurm_directory()
        self.jobs: Jobs = {}
        """By stage, the jobs of each step that are in the queue now, and whether they are new."""
        self.commands: list[str] = []
        """What a dry run would have submitted."""
        self.submitted = 0
        self._last: dict[str, _Before] = {}
        """By stage, what the stages behind it wait for."""

    def add(self, work: Work) -> None:
        """Submit what is missing of a stage or training."""
        self.jobs[work.name] = {}
        if work.is_done:
            self._last[work.name] = _Before()
            return
        stages = [self._last[name] for name in work.needs]
        before = _Before(
            jobs=[job for each in stages for job in each.jobs],
            is_new=any(each.is_new for each in stages),
        )
        for step in work.steps:
            before = self._step(work, step, before)
        self._last[work.name] = _Before(jobs=before.jobs, is_new=before.is_new)

    def _step(self, work: Work, step: Step, before: _Before) -> _Before:
        """Submit what is missing of a step; return what the next one waits for."""
        live = [job for job in self.live if (job.stage, job.step) == (work.name, step.name)]
        in_queue = {job.task for job in live}
        todo = [task for task in step.missing() if task not in in_queue]
        if live and before.is_new:
            self._wait_anew(live, _dependency(work, before))
        if live and not (self.retry_failed and step.tasks):
            todo = []
        ids = sorted({job.job for job in live}, key=int)
        added = self._submit(work, step, todo, _dependency(work, before)) if todo else []
        jobs = [*ids, *(each.job for each in added)]
        if not jobs:
            return before
        new = [(job.job, ranges(job.tasks), True) for job in added]
        self.jobs[work.name][step.name] = [*((job, "", False) for job in ids), *new]
        if work.training is not None:
            jobs = jobs[-1:]  # of a chain the last one succeeds, if the training is done
        return _Before(jobs=jobs, is_new=bool(added), kind="afterany")

    def _wait_anew(self, live: list[scheduler.LiveJob], dependency: str) -> None:
        for job in sorted({job.job for job in live if job.state == "PENDING"}):
            if self.dry_run:
                self.commands.append(f"scontrol update JobId={job} Dependency={dependency}")
            else:
                scheduler.set_dependency(job, dependency)

    def _submit(self, work: Work, step: Step, tasks: list[int], dependency: str) -> list[Submitted]:
        if step.tasks is None:
            links = self.site.chain if work.training and not self.site.requeue else 1
            return [self._sbatch(work, step, 0, [], dependency) for _ in range(links)]
        arrays = split(tasks, self.array_size)
        return [
            self._sbatch(work, step, offset, indices, dependency)
            for offset, indices in arrays.items()
        ]

    def _sbatch(
        self, work: Work, step: Step, offset: int, indices: list[int], dependency: str
    ) -> Submitted:
        command = ["sbatch", "--parsable", *self._identity(work, step, offset, indices)]
        if dependency:
            command += [f"--dependency={dependency}", "--kill-on-invalid-dep=yes"]
        command += job_options(work, self.site)
        command += [str(self.scripts / step.script), *step.arguments]
        variables = self._variables(work, step, offset)
        self.submitted += 1
        if self.dry_run:
            job = f"@{work.name}.{step.name}" + (f"+{offset}" if offset else "")
            told = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
            self.commands.append(" ".join([*told, shlex.join(command)]))
        else:
            job = scheduler.submit(command, variables)
        submitted = Submitted(job=job, step=step.name, offset=offset, tasks=indices)
        if not self.dry_run:  # at once: the site may refuse the next one
            write_record(self.run, work, [submitted])
        return submitted

    def _identity(self, work: Work, step: Step, offset: int, indices: list[int]) -> list[str]:
        name = f"{work.name}.{step.name}"
        log = str(log_path(self.run.absolute(), work.name, step.name))
        if "\\" in log:
            raise UserError(
                f"{self.run}: expected a run directory without a backslash, in which Slurm would "
                "read the name of a log otherwise; choose another"
            )
        log = log.replace("%", "%%")
        if indices:
            log = f"{log.removesuffix('.log')}-{log_task(offset, '%a')}.log"
        identity = [
            f"--job-name={name}.{self.digest[:6]}",
            f"--comment={scheduler.comment(self.digest, work.name, step.name, offset)}",
            f"--output={log}",
            "--open-mode=append",
            f"--chdir={Path.cwd()}",
            "--export=ALL",
        ]
        if indices:
            at_once = f"%{work.resources.at_once}" if work.resources.at_once else ""
            identity.append(f"--array={ranges(indices)}{at_once}")
        return identity

    def _variables(self, work: Work, step: Step, offset: int) -> dict[str, str]:
        variables = {
            "FORGE_ROOT": str(self.scripts.parent),
            "FORGE_SITE": str(site_file()),
            "FORGE_NAME": f"{work.name}.{step.name}",
        }
        if step.tasks is not None:
            variables |= {"FORGE_NUM_TASKS": str(step.tasks), "FORGE_TASK_OFFSET": str(offset)}
        if work.training is not None:
            processes = work.training.num_processes
            variables |= {"FORGE_NUM_PROCESSES": str(processes)}
        return variables
