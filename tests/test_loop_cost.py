"""The benchmark of the loop's cost: it compares what is equal, and a small run of it."""

from pathlib import Path
from typing import Any

import pytest
from forked_world import WorldError, run_world


def measured(directory: Path, factor: float) -> dict[str, Any]:
    """Measure a few pairs; the bare steps are taken from weights times a factor."""
    from benchmarks import loop_cost

    bare = loop_cost._bare_step

    def scaled(training: Any, batches: list[Any]) -> Any:
        weights = [weight.data for chunk in training.chunks for weight in chunk.parameters()]
        for weight in weights:
            weight.mul_(factor)
        result = bare(training, batches)
        for weight in weights:
            weight.div_(factor)
        return result

    loop_cost._bare_step = scaled
    return loop_cost.measure(directory, pairs=4, warm_up=1)


def test_small_run_of_the_loop_beside_the_bare_step(tmp_path: Path) -> None:
    [found] = run_world(measured, 1, tmp_path, 1.0)
    assert found["pairs"] == 4
    assert found["bare_cpu_seconds"] > 0.02
    # The bar is for a quiet machine and many pairs; this is that both did one step a turn.
    assert 0.6 < found["median_of_paired_ratios"] < 1.6
    metrics = (tmp_path / "run/metrics.jsonl").read_text()
    assert metrics.count('"kind": "step"') == 1 + 1 + 4


def test_steps_that_do_not_compute_the_same_are_not_timed(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="the bare step gives"):
        run_world(measured, 1, tmp_path, 1.01)
