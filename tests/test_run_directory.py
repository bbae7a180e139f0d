"""The checkpoint directory as files: which checkpoint is whole, what is kept, what is refused."""

import errno
import fcntl
import json
import os
import resource
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from blend_files import write_blend

from megatron_recipes.blend import read_blend
from megatron_recipes.claim import claimed
from megatron_recipes.job import Job, make_job
from megatron_recipes.metrics import MetricsFile
from megatron_recipes.model_identity import model_identity
from megatron_recipes.recipes import find_recipe
from megatron_recipes.run_directory import RunDirectory, find_checkpoint
from megatron_recipes.settings import with_vocabulary
from megatron_recipes.whole_files import write_whole


def write_checkpoint(run: RunDirectory, step: int) -> Path:
    path = run.step_directory(step)
    path.mkdir(parents=True)
    (path / "__0_0.distcp").write_bytes(b"tensor")
    state = {"step": step, "consumed_samples": 4 * step, "files": {"__0_0.distcp": 6}}
    (path / "checkpoint.json").write_text(json.dumps(state))
    return path


def add_to_state(path: Path, entries: dict[str, Any]) -> None:
    state = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps(state | entries))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(path=tmp_path)


def test_newest_checkpoint_is_by_step_not_by_time(run: RunDirectory) -> None:
    for step in (10, 2_000_000_0, 9):
        write_checkpoint(run, step)
    newest, ignored = run.newest_checkpoint()
    assert newest is not None
    assert (newest.step, newest.consumed_samples, ignored) == (20_000_000, 80_000_000, [])


def test_checkpoints_that_are_not_whole_are_ignored_with_a_line_each(run: RunDirectory) -> None:
    write_checkpoint(run, 5)
    (write_checkpoint(run, 6) / "checkpoint.json").unlink()
    (write_checkpoint(run, 7) / "__0_0.distcp").write_bytes(b"ten")
    (write_checkpoint(run, 8) / "__0_0.distcp").unlink()
    (write_checkpoint(run, 9) / "checkpoint.json").write_text("{")
    run.unfinished_directory(10).mkdir()
    newest, ignored = run.newest_checkpoint()
    assert newest is not None
    assert newest.step == 5
    assert ignored == [
        f"ignored checkpoint {run.path}/.step_0000010.unfinished: its save did not finish",
        f"ignored checkpoint {run.path}/step_0000009: its checkpoint.json is damaged",
        f"ignored checkpoint {run.path}/step_0000008: __0_0.distcp is missing",
        f"ignored checkpoint {run.path}/step_0000007: __0_0.distcp has 3 bytes instead of 6",
        f"ignored checkpoint {run.path}/step_0000006: it has no checkpoint.json",
    ]


@pytest.mark.parametrize(
    ("keep", "keep_every", "kept"),
    [(2, 0, [5, 6]), (1, 0, [6]), (2, 2, [2, 4, 5, 6]), (1, 3, [3, 6]), (9, 0, [1, 2, 3, 4, 5, 6])],
)
def test_the_newest_whole_ones_and_every_so_many_are_kept(
    run: RunDirectory, keep: int, keep_every: int, kept: list[int]
) -> None:
    for step in range(1, 7):
        write_checkpoint(run, step)
    leaving = run.retire_superseded(keep, keep_every)
    assert sorted(run.path.glob("step_*")) == [run.step_directory(step) for step in kept]
    gone = sorted({1, 2, 3, 4, 5, 6} - set(kept))
    assert sorted(leaving) == [run.unfinished_directory(step) for step in gone]
    run.remove_unfinished()
    assert sorted(run.path.iterdir()) == sorted(map(run.step_directory, kept))


def test_what_is_not_whole_does_not_count_as_kept(run: RunDirectory) -> None:
    for step in (1, 2, 3, 4):
        write_checkpoint(run, step)
    for step in (3, 4):
        (run.step_directory(step) / "__0_0.distcp").unlink()
    run.unfinished_directory(5).mkdir()
    assert run.retire_superseded(keep=2, keep_every=0) == []
    assert run.step_directory(1).is_dir()


def test_damaged_checkpoint_set_aside_is_neither_read_nor_removed(run: RunDirectory) -> None:
    for step in (1, 2):
        write_checkpoint(run, step)
    aside = run.set_aside(run.step_directory(2))
    assert aside.name == "step_0000002.damaged"
    assert [found.path for found in run.checkpoints()] == [run.step_directory(1)]
    write_checkpoint(run, 2)
    assert run.set_aside(run.step_directory(2)) == aside  # takes the place of the older one
    run.remove_unfinished()
    assert sorted(run.path.iterdir()) == [run.step_directory(1), aside]


def test_directory_of_another_config_is_refused(run: RunDirectory) -> None:
    run.prepare({"optimization": {"weight_decay": 0.1}})
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        run.prepare({"optimization": {"weight_decay": 0.2}})
    assert str(caught.value) == (
        f"{run.path} was begun with another optimization.weight_decay (there 0.1, now 0.2); "
        "give the same, or another --checkpoint-dir"
    )


def test_two_trainings_cannot_have_one_directory(run: RunDirectory) -> None:
    lines: list[str] = []
    with claimed(run.path, lines.append):
        with pytest.raises(ValueError) as caught, claimed(run.path, lines.append):  # noqa: PT011
            pass
        assert str(caught.value) == (
            f"{run.path}: expected no other training in it, but process {os.getpid()} on "
            f"{socket.gethostname()} trains there; wait for it, end it, or give another "
            "--checkpoint-dir"
        )
    with claimed(run.path, lines.append):  # given back
        pass
    assert lines == []


def test_file_system_without_locks_is_told_of(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    lines: list[str] = []
    with claimed(run.path, lines.append):
        assert lines == [
            f"{run.path} is on a file system without locks: start no second training in it"
        ]


def test_file_in_the_place_of_the_directory_is_refused(run: RunDirectory) -> None:
    path = run.path / "file"
    path.touch()
    with pytest.raises(NotADirectoryError) as caught:
        RunDirectory(path=path).prepare({})
    assert str(caught.value) == f"{path}: expected a directory, found a file"


def test_file_that_does_not_fit_leaves_nothing(run: RunDirectory) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_whole(run.path / "config.json", "x" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(run.path / "config.json")
    assert list(run.path.iterdir()) == []


def test_source_of_the_weights_may_move_on_once_there_is_a_checkpoint(tmp_path: Path) -> None:
    blend, source = write_blend(tmp_path / "data"), RunDirectory(path=tmp_path / "source")
    config = with_vocabulary(find_recipe("tiny"), 300)
    identity = {"model": model_identity(config), "tokenizer": read_blend(blend).tokenizer}

    def job() -> Job:
        made = make_job(
            "tiny",
            blend=blend,
            checkpoint_dir=tmp_path / "run",
            start_from=source.path,
            settings=[],
        )
        made.run.prepare(made.identity())
        return made

    add_to_state(write_checkpoint(source, 5), identity)
    first = job().start_from
    assert first is not None
    assert first.step == 5
    add_to_state(write_checkpoint(source, 6), identity)
    write_checkpoint(RunDirectory(path=tmp_path / "run"), 1)
    assert job().start_from is None
    shutil.rmtree(source.path)
    assert job().start_from is None


def test_directory_of_something_else_is_refused(run: RunDirectory) -> None:
    (run.path / "thesis.txt").touch()
    with pytest.raises(ValueError, match=r"it has files, but no config\.json"):
        run.prepare({})
    assert [path.name for path in run.path.iterdir()] == ["thesis.txt"]


def test_from_takes_a_step_or_the_newest_of_a_training(run: RunDirectory) -> None:
    write_checkpoint(run, 1)
    write_checkpoint(run, 2)
    assert find_checkpoint(run.path).step == 2
    assert find_checkpoint(run.step_directory(1)).step == 1


def test_from_refuses_what_is_no_checkpoint(run: RunDirectory) -> None:
    with pytest.raises(ValueError, match="found no whole step_NNNNNNN in it"):
        find_checkpoint(run.path)
    with pytest.raises(FileNotFoundError, match="expected a checkpoint, found no such directory"):
        find_checkpoint(run.path / "none")


def test_metrics_after_the_resumed_step_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"kind": "step", "step": step}) + "\n" for step in (1, 2, 3)]
    path.write_text("".join(lines) + '{"kind": "st')
    metrics = MetricsFile(path, 2)
    metrics.write({"kind": "step", "step": 3})
    metrics.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_attempts_are_counted(run: RunDirectory) -> None:
    assert run.next_attempt() == 1
    for attempt in (1, 2, 10):
        log = run.log(attempt, 0)
        log.parent.mkdir(parents=True)
        log.touch()
    assert run.next_attempt() == 11
    assert run.next_attempt(rank=1) == 1
