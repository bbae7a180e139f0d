"""Checkpoints: bitwise at any layout, checked before they are loaded, whole or not there."""

import itertools
import math
import os
import re
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from blend_files import write_blend
from checkpoint_runs import Watcher, is_sound, small_job, steps, tensors, train
from forked_world import WorldError, run_world

from megatron_recipes.job import Job

TOLERANCE = 5e-6
LAYOUTS = {
    "TP1": (),
    "TP2": ("tensor_model_parallel_size=2",),
    "PP2": ("pipeline_model_parallel_size=2",),
    "PP2 interleaved": (
        "pipeline_model_parallel_size=2",
        "virtual_pipeline_model_parallel_size=2",
    ),
    "DP2": ("data_parallel_size=2",),
    "DP4": ("data_parallel_size=4",),
    "CP2": ("context_parallel_size=2",),
    "TP2 DP2": ("tensor_model_parallel_size=2", "data_parallel_size=2"),
    "PP2 uneven, DP2": (
        "pipeline_model_parallel_size=2",
        "num_layers_in_first_pipeline_stage=1",
        "num_layers_in_last_pipeline_stage=3",
        "data_parallel_size=2",
    ),
    "DP2 overlapped": (
        "data_parallel_size=2",
        "overlap_grad_reduce=true",
        "overlap_param_gather=true",
    ),
}
STEPS = 12


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blend(tmp_path_factory.mktemp("blend"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, blend: Path) -> Path:
    """Equal weights for every layout."""
    path = tmp_path_factory.mktemp("base")
    train(small_job(blend, path / "run", "stop_at_step=0"))
    return path / "run"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, blend: Path, base: Path) -> dict[str, Path]:
    """Trainings at some layouts that stopped half-way, the first of them also one that did not."""
    path = tmp_path_factory.mktemp("runs")
    settings = ("checkpoint_interval=6", f"stop_at_step={STEPS}", "keep_checkpoints=9")
    train(small_job(blend, path / "unbroken", *settings, start_from=base))
    for name in ("TP2", "PP2 interleaved", "DP2", "TP2 DP2"):
        stop = f"stop_at_step={STEPS // 2}"
        train(small_job(blend, path / name, stop, *LAYOUTS[name], start_from=base))
    return {run.name: run for run in path.iterdir()}


def copy(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "run")


@pytest.mark.parametrize(
    ("before", "after"), [("TP2", "PP2"), ("DP2", "TP1"), ("PP2 interleaved", "TP2")]
)
def test_resume_at_another_layout(
    tmp_path: Path, blend: Path, base: Path, runs: dict[str, Path], before: str, after: str
) -> None:
    run = copy(runs[before], tmp_path)
    stop = f"stop_at_step={STEPS}"
    lines = train(small_job(blend, run, stop, *LAYOUTS[after], start_from=base))
    assert f"resuming from {run}/step_{STEPS // 2:07d}" in lines
    found, expected = steps(run), steps(runs["unbroken"])
    assert list(found) == list(expected) == list(range(1, STEPS + 1))
    for step, (loss, _) in expected.items():
        assert found[step][0] == pytest.approx(loss, abs=TOLERANCE)


def save_again(job: Job, directory: Path) -> None:
    """Load the newest checkpoint of a training and save it elsewhere."""
    from megatron_recipes.checkpoints.checkpointer import Checkpointer
    from megatron_recipes.model import build_model
    from megatron_recipes.optimizer import build_optimizer
    from megatron_recipes.run_directory import RunDirectory
    from megatron_recipes.world import join_world

    world = join_world(job.config.layout, seed=99)
    chunks = build_model(job.config, world)
    optimizer = build_optimizer(job.config, chunks)
    run = RunDirectory(path=directory)
    checkpointer = Checkpointer(run, job.config, chunks, optimizer, world, print)
    newest, _ = job.run.newest_checkpoint()
    assert newest is not None
    checkpointer.load(newest)
    checkpointer.save(newest.state)
    checkpointer.wait()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("unbroken", "TP2 DP2"),
        ("unbroken", "DP4"),
        ("unbroken", "CP2"),
        ("DP2", "PP2 uneven, DP2"),
        ("TP2 DP2", "PP2 interleaved"),
        ("PP2 interleaved", "DP2"),
        ("DP2", "TP2"),
    ],
)
def test_every_tensor_is_the_same_at_another_layout(
    tmp_path: Path, blend: Path, base: Path, runs: dict[str, Path], before: str, after: str
) -> None:
    run = copy(runs[before], tmp_path)
    stop = f"stop_at_step={STEPS}"
    job = small_job(blend, run, stop, *LAYOUTS[after], start_from=base)
    (tmp_path / "again").mkdir()
    run_world(save_again, job.config.layout.world_size, job, tmp_path / "again")
    newest, _ = job.run.newest_checkpoint()
    assert newest is not None
    again = tmp_path / "again" / newest.path.name
    assert is_sound(again)
    expected = tensors(newest.path)
    assert {name.split(".")[2] for name in expected if name.startswith("optimizer.state.")} == {
        "param",
        "exp_avg",
        "exp_avg_sq",
    }
    assert tensors(again) == expected


@pytest.mark.parametrize(
    ("settings", "before", "after"),
    [
        (("share_embeddings_and_output_weights=true",), "PP2", "DP2"),
        (("share_embeddings_and_output_weights=true",), "DP2", "PP2"),
        (("params_dtype=bfloat16",), "DP2", "TP2"),
        (("use_distributed_optimizer=false",), "TP2", "PP2"),
    ],
    ids=["tied PP2 to DP2", "tied DP2 to PP2", "BF16", "one replica's optimizer"],
)
def test_every_tensor_of_other_models_is_the_same_at_another_layout(
    tmp_path: Path, blend: Path, settings: tuple[str, ...], before: str, after: str
) -> None:
    run = tmp_path / "run"
    train(small_job(blend, run, "stop_at_step=3", *settings, *LAYOUTS[before]))
    job = small_job(blend, run, "stop_at_step=3", *settings, *LAYOUTS[after])
    (tmp_path / "again").mkdir()
    run_world(save_again, job.config.layout.world_size, job, tmp_path / "again")
    [saved] = run.glob("step_*")
    assert tensors(tmp_path / "again" / saved.name) == tensors(saved)


def test_overlapped_gathering_is_complete_in_a_checkpoint(
    tmp_path: Path, blend: Path, base: Path, runs: dict[str, Path]
) -> None:
    run, stop = tmp_path / "run", f"stop_at_step={STEPS // 2}"
    train(small_job(blend, run, stop, *LAYOUTS["DP2 overlapped"], start_from=base))
    [plain], [overlapped] = runs["DP2"].glob("step_*"), run.glob("step_*")
    assert tensors(overlapped) == tensors(plain)
    train(
        small_job(blend, run, f"stop_at_step={STEPS}", *LAYOUTS["DP2 overlapped"], start_from=base)
    )
    unbroken = tmp_path / "unbroken"
    settings = (*LAYOUTS["DP2 overlapped"], f"stop_at_step={STEPS}")
    train(small_job(blend, unbroken, *settings, start_from=base))
    assert steps(run) == steps(unbroken)
    last = f"step_{STEPS:07d}"
    assert tensors(run / last) == tensors(unbroken / last)


def test_processes_share_what_they_write(runs: dict[str, Path]) -> None:
    [directory] = runs["TP2 DP2"].glob("step_*")
    parts = [file.stat().st_size for file in directory.glob("*.distcp")]
    assert len(parts) == 4
    assert max(parts) < 1.3 * min(parts)


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


DAMAGES = {
    flip_a_bit: "__0_0.distcp is not as it was written: its SHA-256 differs",
    cut_short: r"__0_0.distcp has \d+ bytes instead of \d+",
    Path.unlink: "__0_0.distcp is missing",
}


@pytest.mark.parametrize("harm", DAMAGES, ids=["flipped bit", "truncated file", "missing file"])
def test_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, blend: Path, base: Path, runs: dict[str, Path], harm: Any
) -> None:
    run = copy(runs["unbroken"], tmp_path)
    newest = run / f"step_{STEPS:07d}"
    harm(newest / "__0_0.distcp")
    stop = f"stop_at_step={STEPS}"
    lines = train(small_job(blend, run, stop, start_from=base))
    assert f"resuming from {run}/step_{STEPS // 2:07d}" in lines
    [ignored] = [line for line in lines if line.startswith("ignored")]
    assert re.fullmatch(
        rf"ignored checkpoint {newest}: {DAMAGES[harm]}; it is now {newest.name}.damaged", ignored
    )
    assert steps(run) == steps(runs["unbroken"])
    assert tensors(newest) == tensors(runs["unbroken"] / newest.name)
    assert newest.with_name(f"{newest.name}.damaged").is_dir()


def test_without_a_sound_checkpoint_nothing_is_begun_anew(
    tmp_path: Path, blend: Path, base: Path, runs: dict[str, Path]
) -> None:
    run = copy(runs["DP2"], tmp_path)
    [only] = run.glob("step_*")
    flip_a_bit(only / ".metadata")
    with pytest.raises(WorldError) as caught:
        train(small_job(blend, run, f"stop_at_step={STEPS}", start_from=base))
    assert (
        f"ValueError: {only}: .metadata is not as it was written: its SHA-256 differs, and no "
        f"older checkpoint is sound; bring back a copy of it, or remove {run} to begin anew"
    ) in str(caught.value)
    assert only.is_dir()
    with pytest.raises(WorldError) as caught:
        train(small_job(blend, tmp_path / "next", "stop_at_step=1", start_from=only))
    assert (
        f"ValueError: --from {only}: .metadata is not as it was written: its SHA-256 differs; "
        "start from another checkpoint"
    ) in str(caught.value)


def train_on_a_full_disk(job: Job) -> None:
    from megatron_recipes.stop import StopRequest
    from megatron_recipes.train import train

    if os.environ["RANK"] == "1":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    train(job, StopRequest(), 1, print)


@pytest.mark.parametrize("async_save", ["true", "false"])
def test_checkpoint_that_cannot_be_written_ends_the_run_and_harms_nothing(
    tmp_path: Path, blend: Path, base: Path, runs: dict[str, Path], async_save: str
) -> None:
    run = copy(runs["DP2"], tmp_path)
    before = sorted(run.glob("step_*"))
    settings = (*LAYOUTS["DP2"], "checkpoint_interval=2", f"async_save={async_save}")
    job = small_job(blend, run, *settings, start_from=base)
    with pytest.raises(WorldError) as caught:
        run_world(train_on_a_full_disk, 2, job)
    reason = (
        f"OSError: {run}/step_{STEPS // 2 + 2:07d}: the checkpoint could not be written: "
        "rank 1: File too large; "
    )
    assert str(caught.value).count(reason) == 2  # on both processes
    assert "are free there now, the checkpoints before it are unharmed" in str(caught.value)
    assert sorted(run.glob("*step_*")) == before
    assert all(is_sound(path) for path in before)


def test_directory_that_cannot_be_made_is_one_line_on_every_process(
    tmp_path: Path, blend: Path, base: Path, runs: dict[str, Path]
) -> None:
    gone = tmp_path / "gone"
    job = small_job(blend, copy(runs["DP2"], tmp_path), *LAYOUTS["DP2"], start_from=base)
    with pytest.raises(WorldError) as caught:
        run_world(save_again, 2, job, gone)
    reason = (
        f"OSError: {gone}/step_{STEPS // 2:07d}: the checkpoint could not be written: No such file "
        "or directory; the checkpoints before it are unharmed, the same command resumes\n"
    )
    assert str(caught.value).count(reason) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_signal_during_a_save_saves_and_ends_well(
    tmp_path: Path, blend: Path, base: Path, number: signal.Signals
) -> None:
    settings = (*LAYOUTS["DP2"], "checkpoint_interval=4")
    job = small_job(blend, tmp_path / "run", *settings, start_from=base)
    watcher = Watcher(job, number, lambda: any(job.run.path.glob(".step_*.unfinished")))
    lines = train(job)
    watcher.close()
    newest, ignored = job.run.newest_checkpoint()
    assert newest is not None
    assert 4 <= newest.step < 100
    assert ignored == []
    assert list(steps(job.run.path)) == list(range(1, newest.step + 1))
    assert is_sound(newest.path)
    assert lines[-2:] == [
        f"saved {newest.path}",
        f"stopped at step {newest.step} of 100, asked to by {number.name}; the same command "
        "resumes",
    ]


def test_saving_in_the_background_changes_no_bit(
    tmp_path: Path, blend: Path, base: Path, runs: dict[str, Path]
) -> None:
    settings = ("checkpoint_interval=6", f"stop_at_step={STEPS}", "keep_checkpoints=9")
    job = small_job(blend, tmp_path / "run", *settings, "async_save=false", start_from=base)
    train(job)
    assert steps(job.run.path) == steps(runs["unbroken"])
    for step in (STEPS // 2, STEPS):
        name = f"step_{step:07d}"
        assert tensors(job.run.path / name) == tensors(runs["unbroken"] / name)


def test_newest_and_every_so_many_are_kept(tmp_path: Path, blend: Path, base: Path) -> None:
    settings = ("checkpoint_interval=2", "stop_at_step=13", "keep_checkpoints=2", "keep_every=4")
    job = small_job(blend, tmp_path / "run", *settings, start_from=base)
    train(job)
    kept = sorted(path.name for path in job.run.path.glob("*step_*"))
    assert kept == [f"step_{step:07d}" for step in (4, 8, 12, 13)]


def snapshot_twice() -> tuple[bool, bool, bool]:
    import torch

    from megatron_recipes.checkpoints.writer import Snapshot

    snapshot = Snapshot()
    sources = [torch.arange(5.0), torch.ones(2, 3, dtype=torch.bfloat16)[:, :2], torch.empty(0)]
    copies = snapshot.take(sources)
    is_equal = all(torch.equal(a, b) for a, b in zip(sources, copies, strict=True))
    sources[0].zero_()
    is_kept = torch.equal(copies[0], torch.arange(5.0))
    again = snapshot.take(sources)
    own = all(copy.untyped_storage().nbytes() == copy.nbytes for copy in again)
    is_same_memory = again[0].data_ptr() == copies[0].data_ptr()
    return is_equal and own, is_kept, is_same_memory


def test_snapshot_is_a_copy_in_memory_that_is_used_again() -> None:
    assert run_world(snapshot_twice, 1) == [(True, True, True)]


def cut_everywhere() -> int:
    import numpy

    from megatron_recipes.checkpoints.optimizer_shards import boxes

    num_cuts = 0
    for shape in [(7,), (4, 3), (1, 5), (5, 1), (3, 2, 4)]:
        elements = numpy.arange(math.prod(shape)).reshape(shape)
        for start, end in itertools.combinations_with_replacement(range(elements.size + 1), 2):
            found: list[int] = []
            for offset, size in boxes(shape, start, end):
                place = tuple(slice(o, o + s) for o, s in zip(offset, size, strict=True))
                assert elements[place].shape == size
                found += elements[place].ravel().tolist()
            assert found == list(range(start, end))
            num_cuts += 1
    return num_cuts


def test_boxes_are_the_run_they_cut() -> None:
    assert run_world(cut_everywhere, 1) == [36 + 91 + 21 + 21 + 325]
