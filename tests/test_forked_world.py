"""Worlds of forked processes: results in order, failures named, nothing left behind."""

import os
import time

import psutil
import pytest
from forked_world import WorldError, run_world

from megatron_recipes.config import LayoutConfig


def sum_of_ranks(offset: int) -> tuple[int, float, int]:
    import torch

    from megatron_recipes.world import join_world, sum_over_world

    world = join_world(LayoutConfig(data_parallel_size=3), seed=1)
    total = sum_over_world([float(world.rank + offset)], world.device)[0]
    return world.rank, total, torch.get_num_threads()


def fail_on_rank_1() -> None:
    import torch.distributed

    from megatron_recipes.world import join_world

    world = join_world(LayoutConfig(data_parallel_size=2), seed=1)
    if world.rank == 1:
        print("what a library said", flush=True)
        raise RuntimeError("the reason")
    torch.distributed.barrier()


def sleep_on_rank_0() -> int:
    if os.environ["RANK"] == "0":
        time.sleep(60)
    return os.getpid()


def end_at_once() -> None:
    os._exit(3)


def test_each_rank_returns_its_result_and_they_share_one_world() -> None:
    assert run_world(sum_of_ranks, 3, 10) == [(rank, 33.0, 1) for rank in range(3)]


def test_failure_of_one_rank_ends_all_and_has_its_traceback_and_log() -> None:
    started = time.monotonic()
    with pytest.raises(WorldError, match=r"(?s)rank 1 of 2: .*the reason.*what a library said"):
        run_world(fail_on_rank_1, 2)
    assert time.monotonic() - started < 60


def test_rank_that_hangs_is_named_with_where_it_hangs() -> None:
    with pytest.raises(WorldError, match=r"(?s)rank 0 of 2: no result within 4 s.*sleep_on_rank_0"):
        run_world(sleep_on_rank_0, 2, timeout_seconds=4)


def test_rank_that_ends_without_a_word_is_a_failure() -> None:
    with pytest.raises(WorldError, match="rank 0 of 1: ended without a result"):
        run_world(end_at_once, 1)


def test_no_process_of_a_world_outlives_it() -> None:
    assert not any(psutil.pid_exists(pid) for pid in run_world(os.getpid, 2))
