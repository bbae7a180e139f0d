"""A plan as steps for jobs, and what of each is done: from marks and manifests alone.

| command | steps |
|---|---|
| `ingest`, `tokenize` and others that take tasks | an array of tasks, then `verify --complete` |
| `dedup` | arrays `sign`, `bands`, one job `connect`, an array `drop`, then `verify --complete` |
| any other | one job |
| a training | one job that requeues itself, or a chain of them |

With one task there is nothing to verify: a stage without `--task` completes itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.errors import UserError
from preprocess.judge import judge
from preprocess.manifest import read_manifest
from preprocess.report import PAGE
from preprocess.run_directory import task_mark
from preprocess.run_options import RunOptions
from preprocess.sidecar import with_suffix
from preprocess.slurm.resources import Resources
from preprocess.slurm.trainings import Training, needs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from preprocess.plan import Plan, Stage

TASKED = frozenset({"ingest", "filter", "retrieve", "decontaminate", "tokenize"})
"""Commands that take `--task`; `dedup` does as well, step by step."""

VERIFY = "verify"
SHARED_STEPS = ("sign", "bands", "drop")
OWN_DIRECTORY = "slurm"
"""Below the run directory: records and logs of jobs; no stage may have the name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one job, or one array of tasks, does."""

    name: str
    script: str
    """In `slurm/`."""
    arguments: tuple[str, ...]
    tasks: int | None = None
    """None: it is a single job."""
    marks: tuple[Path, ...] = ()
    """For each task the file that says that it is done; of a single job one or none."""

    def missing(self) -> list[int]:
        """Return the tasks that are not done; a single job is task 0."""
        if not self.marks:
            return [0]
        return [task for task, mark in enumerate(self.marks) if not mark.exists()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One stage or training."""

    name: str
    command: str
    needs: tuple[str, ...]
    """Names of what it reads."""
    steps: tuple[Step, ...]
    output: Path
    is_done: bool
    resources: Resources
    training: Training | None = None

    @property
    def identity(self) -> list[str]:
        """What must be equal for jobs to be the same work."""
        words = self.steps[0].arguments
        # How many tasks share a `dedup` is no part of what it does.
        return [self.command, *(words[2:] if words[:1] == ("--step",) else words)]


def works_of(
    plan: Plan, trainings: list[Training], resources: Mapping[str, Resources]
) -> list[Work]:
    """Return stages and trainings in the plan's order.

    Raises:
        UserError: A name is taken twice; what is complete is not sound.
    """
    names = [stage.name for stage in plan.stages] + [training.name for training in trainings]
    for name in names:
        if names.count(name) > 1 or name == OWN_DIRECTORY:
            raise UserError(
                f"{plan.path}: expected each stage and training under a name of its own other than "
                f"{OWN_DIRECTORY}, found {name!r}; rename it"
            )
    works = [_stage(stage, resources[stage.name]) for stage in plan.stages]
    for number, training in enumerate(trainings):
        earlier = [each.name for each in trainings[:number]]
        works.append(
            Work(
                name=training.name,
                command="train",
                needs=needs(training, plan, earlier),
                steps=(
                    Step(name="train", script="train.sbatch", arguments=tuple(training.arguments)),
                ),
                output=training.directory,
                is_done=training.is_done,
                resources=resources[training.name],
                training=training,
            )
        )
    return works


def _stage(stage: Stage, resources: Resources) -> Work:
    arguments = stage.arguments[1:]
    return Work(
        name=stage.name,
        command=stage.command,
        needs=stage.needs,
        steps=_steps(stage, arguments, resources.tasks),
        output=stage.output,
        is_done=_is_done(stage),
        resources=resources,
    )


def _steps(stage: Stage, arguments: tuple[str, ...], tasks: int) -> tuple[Step, ...]:
    script = f"{stage.command}.sbatch"
    if tasks > 1 and stage.command in TASKED:
        marks = tuple(task_mark(stage.output, task, tasks) for task in range(tasks))
        work = Step(
            name=stage.command, script=script, arguments=arguments, tasks=tasks, marks=marks
        )
        return work, _verify(stage)
    if tasks > 1 and stage.command == "dedup":
        return *(_dedup_step(stage, step, arguments, tasks) for step in DEDUP), _verify(stage)
    return (Step(name=stage.command, script=script, arguments=arguments),)


DEDUP = ("sign", "bands", "connect", "drop")


def _dedup_step(stage: Stage, step: str, arguments: tuple[str, ...], tasks: int) -> Step:
    count = tasks if step in SHARED_STEPS else 1
    named = None if step == DEDUP[-1] else step
    return Step(
        name=step,
        script="dedup.sbatch",
        arguments=("--step", step, *arguments),
        tasks=tasks if step in SHARED_STEPS else None,
        marks=tuple(task_mark(stage.output, task, count, named) for task in range(count)),
    )


def _verify(stage: Stage) -> Step:
    # What follows holds every shard against the manifest as it reads it: a reading of the whole
    # by one job in between would only cost time.
    arguments = [str(stage.output), "--complete", "--no-checksums"]
    given = list(stage.arguments)
    if "--max-rejected" in given:
        arguments += ["--max-rejected", given[given.index("--max-rejected") + 1]]
    return Step(name=VERIFY, script="verify.sbatch", arguments=tuple(arguments))


def _is_done(stage: Stage) -> bool:
    match stage.command:
        case "blend":
            return stage.output.is_file()
        case "merge":
            return with_suffix(stage.output, ".json").is_file()
        case "report":
            is_page = stage.output.suffix.lower() == ".html"
            return (stage.output if is_page else stage.output / PAGE).is_file()
        case _:
            return _is_sound(stage)


def _is_sound(stage: Stage) -> bool:
    """Whether a stage is complete, judged as the stage itself would judge it."""
    manifest = read_manifest(stage.output)
    if manifest is None:
        return False
    given = list(stage.arguments)
    limit = float(given[given.index("--max-rejected") + 1]) if "--max-rejected" in given else 0.05
    options = RunOptions(workers=1, memory_bytes=1 << 30, max_rejected=limit)
    judge(manifest, stage.output, options)
    return True
