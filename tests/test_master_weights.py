"""What an optimizer keeps beside weights of fewer bits, before the first step."""

from pathlib import Path
from typing import Any

from blend_files import write_blend
from checkpoint_runs import small_job, tensors, train

from megatron_recipes.run_directory import Checkpoint

MASTERS = "optimizer.state.param."


def saved(
    directory: Path, blend: Path, *settings: str, start_from: Path | None = None
) -> Checkpoint:
    """Return what a training saves before its first step."""
    job = small_job(blend, directory, "stop_at_step=0", *settings, start_from=start_from)
    train(job)
    checkpoint, _ = job.run.newest_checkpoint()
    assert checkpoint is not None
    return checkpoint


def test_master_weights_are_those_of_the_checkpoint_not_of_a_rounded_copy(tmp_path: Path) -> None:
    blend = write_blend(tmp_path / "data")
    exact = saved(tmp_path / "exact", blend)
    settings = ("params_dtype=bfloat16", "data_parallel_size=2")
    rounded = saved(tmp_path / "rounded", blend, *settings, start_from=exact.path)
    weights, found = tensors(exact.path), tensors(rounded.path)
    masters = {n.removeprefix(MASTERS): d for n, d in found.items() if n.startswith(MASTERS)}
    assert masters == {name: weights[name] for name in masters}
    assert len(masters) >= 9
    assert all(found[name] != digest for name, digest in masters.items())


class FusedAdam:
    """The methods of Transformer Engine's that allocate, with their signatures."""

    def __init__(self, *parameters: Any, store_param_remainders: bool) -> None:
        self.param_groups = [{"params": list(parameters)}]
        self.store_param_remainders = store_param_remainders
        self.asked: list[bool] = []

    def initialize_state(self, _parameter: Any, store_param_remainders: bool) -> None:
        self.asked.append(store_param_remainders)


def test_fused_adam_keeps_the_rest_of_weights_in_bfloat16_only() -> None:
    import torch

    from megatron_recipes.optimizer import _allocate_state

    parameters = [torch.empty((), dtype=dtype) for dtype in (torch.bfloat16, torch.float32)]
    for keeps_rest in (True, False):
        optimizer = FusedAdam(*parameters, store_param_remainders=keeps_rest)
        _allocate_state(optimizer)
        assert optimizer.asked == [keeps_rest, False]
