"""The benchmark of the loop's cost: it compares what is equal, and a small run of it."""

from pathlib import Path
from typing import Any

import pytest
from forked_world import WorldError, run_world


def measured(directory: Path, rate_of_bare: float) -> dict[str, Any]:
    """Measure a few pairs; before each bare step the weights are scaled."""
    from benchmarks import loop_cost

    bare = loop_cost._bare_step

    def scaled(training: Any, batches: list[Any]) -> Any:
        for chunk in training.chunks:
            for parameter in chunk.parameters():
                parameter.data.mul_(rate_of_bare)
        return bare(training, batches)

    loop_cost._bare_step = scaled
    found = loop_cost.measure(directory, pairs=4, warm_up=1)
    return {"found": found}


def test_small_run_of_the_loop_beside_the_bare_step(tmp_path: Path) -> None:
    [result] = run_world(measured, 1, tmp_path, 1.0)
    found = result["found"]
    assert found["pairs"] == 4
    assert found["bare_cpu_seconds"] > 0.02
    # The bar is for a quiet machine and many pairs; this is that both did one step a turn.
    assert 0.6 < found["median_of_paired_ratios"] < 1.6
    metrics = (tmp_path / "run/metrics.jsonl").read_text()
    assert metrics.count('"kind": "step"') == 1 + 4 + 1


def test_steps_that_do_not_compute_the_same_are_not_timed(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="the bare step gives"):
        run_world(measured, 1, tmp_path, 1.01)
