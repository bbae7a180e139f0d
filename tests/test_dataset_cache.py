"""Dataset indices: built once for each file system, whoever sees it, and never half."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from blend_files import write_blend
from checkpoint_runs import small_job
from forked_world import run_world

from megatron_recipes.job import Job

Built = tuple[list[int], list[str]]
"""Tokens of a few sequences, and the directories that this process built."""


def small(blend: Path, directory: Path, *settings: str) -> Job:
    return small_job(blend, directory, "data_parallel_size=2", *settings)


def build(job: Job, caches: list[Path]) -> Built:
    """Build the datasets on a machine of one process, whose cache is one of `caches`."""
    import torch.distributed

    from megatron_recipes.data import build_datasets
    from megatron_recipes.world import join_world

    world = join_world(job.config.layout, 1)
    os.environ["LOCAL_RANK"] = "0"
    built: list[str] = []
    rename = Path.rename

    def noted(path: Path, target: Path) -> Path:
        built.append(target.name)
        return rename(path, target)

    Path.rename = noted  # type: ignore[method-assign, assignment]
    datasets = build_datasets(job.config, job.blend, caches[world.rank])
    assert torch.distributed.is_initialized()  # what was hidden while Megatron-Core built
    return [int(datasets.train[sample]["tokens"].sum()) for sample in range(6)], built


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blend(tmp_path_factory.mktemp("cache") / "data")


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def run(job: Job, *caches: Path) -> list[Built]:
    return run_world(build, 2, job, list(caches))


def test_machines_that_share_a_cache_build_once_and_others_each(
    blend: Path, tmp_path: Path
) -> None:
    job, shared = small(blend, tmp_path / "run"), tmp_path / "shared"
    first = run(job, shared, shared)
    [key] = entries(shared)
    assert [built for _, built in first] == [[key], []]
    assert run(job, shared, shared) == [(first[0][0], []), (first[0][0], [])]

    apart = run(job, tmp_path / "a", tmp_path / "b")
    assert apart == [(first[0][0], [key]), (first[0][0], [key])]
    for name in ("a", "b"):
        assert entries(tmp_path / name) == [key]
        files = sorted(path.name for path in (tmp_path / name / key).iterdir())
        assert files == sorted(path.name for path in (shared / key).iterdir())
        for file in files:
            ours, theirs = tmp_path / name / key / file, shared / key / file
            assert ours.read_bytes() == theirs.read_bytes()


def test_killed_build_and_moved_data_are_built_again(blend: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(blend.parent, tmp_path / "moved")) / blend.name
    cache = tmp_path / "cache"
    job = small(blend, tmp_path / "run")
    tokens, [key] = run(job, cache, cache)[0]
    # A build that was killed, by a process that is no more, and one that still builds.
    (cache / key).rename(cache / f".{key}.{os.uname().nodename}.{2**22 + 1}")
    (cache / f".{key}.elsewhere.7").mkdir()
    assert run(job, cache, cache)[0] == (tokens, [key])
    assert entries(cache) == [f".{key}.elsewhere.7", key]

    there = small(moved, tmp_path / "other")
    again, [other] = run(there, cache, cache)[0]
    assert (again, other != key) == (tokens, True)
    longer = replace(job, config=small(blend, tmp_path / "longer", "num_steps=101").config)
    assert run(longer, cache, cache)[0][1] not in ([], [key], [other])


def test_second_of_two_builders_takes_what_the_first_built(tmp_path: Path) -> None:
    from megatron_recipes.dataset_cache import _build_unless_there

    directory, ran = tmp_path / "cache/key", []

    def build_it(place: Path) -> None:
        ran.append(place)
        (place / "index.npy").write_text("whole")
        if not directory.exists():  # another machine is faster
            directory.mkdir()
            (directory / "index.npy").write_text("whole")

    _build_unless_there(directory, build_it)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["key"]
    _build_unless_there(directory, build_it)
    assert len(ran) == 1

    def fail(_place: Path) -> Any:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        _build_unless_there(tmp_path / "cache/full", fail)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["key"]
