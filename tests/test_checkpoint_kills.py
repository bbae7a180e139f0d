"""SIGKILL at any moment: always a whole checkpoint, and losses and weights as of a run unbroken."""

import itertools
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from blend_files import write_blend
from checkpoint_runs import Watcher, is_sound, small_job, steps, tensors, train
from forked_world import WorldError

from megatron_recipes.job import Job

LAYOUTS = {
    "TP2": ("tensor_model_parallel_size=2",),
    "DP2": ("data_parallel_size=2",),
    "PP2": ("pipeline_model_parallel_size=2",),
}
INTERVAL = 4


@dataclass(frozen=True)
class Kill:
    """What a kill left."""

    aimed_at_save: bool
    num_ranks: int
    """Processes that were killed; the others ended by themselves or were ended by the launcher."""
    step: int
    """The last step in the metrics file."""
    unfinished: int
    """The step of the save that it interrupted; -1: of none."""
    checkpoint: int
    """The newest whole checkpoint; -1: none yet."""


def broken_training(job: Job, num_kills: int, generator: random.Random) -> list[Kill]:
    """Start a training and kill it, again and again until it ends; half of the kills aim at saves.

    Args:
        job: The training.
        num_kills: After so many it is left alone.
        generator: Chooses moments and processes.
    """
    kills: list[Kill] = []
    while not job.run.done.exists():
        if len(kills) == num_kills:
            train(job)
            break
        aims, num_ranks = len(kills) % 2 == 0, generator.choice((1, 2))
        condition = _in_save(job, generator) if aims else _at_a_time(job, generator)
        watcher = Watcher(job, signal.SIGKILL, condition, num_ranks=num_ranks)
        try:
            train(job)
        except WorldError:
            if not watcher.has_fired:  # it failed by itself
                raise
            kills.append(_what_is_left(job, aims, num_ranks))
        finally:
            watcher.close()
    return kills


def _in_save(job: Job, generator: random.Random) -> Callable[[], bool]:
    """Return what holds some moments after a save of this start has made its directory."""
    later, first = generator.uniform(0, 0.02), generator.randrange(3) * INTERVAL

    def is_due() -> bool:
        for path in job.run.path.glob(".step_*.unfinished"):
            if int(path.name[6:-11]) > start + first and path not in before:
                time.sleep(later)
                return True
        return False

    before = set(job.run.path.glob(".step_*.unfinished"))
    newest, _ = job.run.newest_checkpoint()
    start = newest.step if newest else 0
    return is_due


def _at_a_time(job: Job, generator: random.Random) -> Callable[[], bool]:
    """Return what holds some time after the processes have begun, the steps or before."""
    later, from_first_step = generator.uniform(0, 0.4), generator.random() < 0.7
    known = job.run.metrics.stat().st_mtime_ns if job.run.metrics.exists() else 0

    def is_due() -> bool:
        begun = len(list((job.run.path / "logs").glob("*.pid"))) == 2
        if from_first_step:
            begun = job.run.metrics.exists() and job.run.metrics.stat().st_mtime_ns > known
        if begun:
            time.sleep(later)
        return begun

    return is_due


def _what_is_left(job: Job, aims: bool, num_ranks: int) -> Kill:
    unfinished = [int(path.name[6:-11]) for path in job.run.path.glob(".step_*.unfinished")]
    whole = sorted(job.run.path.glob("step_*"))
    assert all(is_sound(path) for path in whole), whole
    newest, _ = job.run.newest_checkpoint()
    # What is being removed has that name too; a save is of a newer step.
    of_save = [step for step in unfinished if newest is None or step > newest.step]
    return Kill(
        aimed_at_save=aims,
        num_ranks=num_ranks,
        step=max(steps(job.run.path), default=0) if job.run.metrics.exists() else 0,
        unfinished=max(of_save, default=-1),
        checkpoint=newest.step if newest else -1,
    )


def check(tmp_path: Path, layout: str, *, num_kills: int, num_steps: int, seed: int) -> list[Kill]:
    """Compare trainings that are killed again and again with one that is not."""
    blend = write_blend(tmp_path / "data")
    settings = (
        *LAYOUTS[layout],
        f"checkpoint_interval={INTERVAL}",
        f"num_steps={num_steps}",
        f"keep_every={10 * INTERVAL}",
    )
    unbroken = small_job(blend, tmp_path / "unbroken", *settings)
    train(unbroken)
    generator, kills = random.Random(seed), []
    for number in itertools.count():
        if len(kills) == num_kills:
            return kills
        broken = small_job(blend, tmp_path / f"broken-{number}", *settings)
        kills += broken_training(broken, num_kills - len(kills), generator)
        _compare(broken.run.path, unbroken.run.path, num_steps)
    raise AssertionError


def _compare(broken: Path, unbroken: Path, num_steps: int) -> None:
    assert list(steps(broken)) == list(range(1, num_steps + 1))
    assert steps(broken) == steps(unbroken)
    last = f"step_{num_steps:07d}"
    assert tensors(broken / last) == tensors(unbroken / last)
    assert (broken / "DONE").exists()
    names = {path.name for path in broken.glob("*step_*")}
    assert names == {path.name for path in unbroken.glob("*step_*")}


@pytest.mark.parametrize("layout", ["TP2"])
def test_three_kills_change_nothing(tmp_path: Path, layout: str) -> None:
    kills = check(tmp_path, layout, num_kills=3, num_steps=40, seed=7)
    assert any(kill.unfinished >= 0 for kill in kills), kills


@pytest.mark.bench
@pytest.mark.parametrize("layout", LAYOUTS)
def test_twenty_kills_change_nothing(
    tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kills = check(tmp_path, layout, num_kills=20, num_steps=200, seed=20)
    in_save = [kill for kill in kills if kill.unfinished >= 0]
    with capsys.disabled():
        print(f"\n{layout}: 20 kills, {len(in_save)} of them during a save")
        print("| kill | processes | last step | save interrupted | newest whole checkpoint |")
        print("|---|---|---|---|---|")
        for number, kill in enumerate(kills, start=1):
            interrupted = f"of step {kill.unfinished}" if kill.unfinished >= 0 else "none"
            print(
                f"| {number} | {kill.num_ranks} of 2 | {kill.step} | {interrupted} "
                f"| {kill.checkpoint} |"
            )
    assert len(in_save) >= 5, kills
