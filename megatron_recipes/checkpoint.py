"""Distributed checkpoints: written under a temporary name, renamed when every part is there.

The format is Megatron-Core's `torch_dist`: one file per process, tensors by their global name and
place, so that any layout can read what any other wrote.
"""

import queue
import random
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from megatron.core import dist_checkpointing, tensor_parallel
from megatron.core.dist_checkpointing.mapping import ShardedObject
from megatron.core.dist_checkpointing.strategies import filesystem_async
from megatron.core.distributed import DistributedDataParallel
from torch.distributed.checkpoint.api import CheckpointException

from megatron_recipes.config import TrainingConfig
from megatron_recipes.run_directory import (
    STATE_FILE,
    Checkpoint,
    RunDirectory,
    layout_sizes,
    sync_directory,
    write_json,
)
from megatron_recipes.world import World

# The one sharding of the distributed optimizer's state that loads at any layout.
METADATA = {"distrib_optim_sharding_type": "fully_reshardable"}


def save_checkpoint(
    run: RunDirectory,
    state: dict[str, Any],
    chunks: list[DistributedDataParallel],
    optimizer: Any,
    world: World,
    *,
    keep: int,
) -> Path:
    """Save a whole checkpoint; every process calls this together.

    Args:
        run: Where.
        state: `step`, `consumed_samples` and what else goes into `checkpoint.json`.
        chunks: The weights.
        optimizer: Its state.
        world: This process.
        keep: Newest whole checkpoints that stay afterwards.

    Returns:
        The directory under its final name.
    """
    temporary, final = run.unfinished_directory(state["step"]), run.step_directory(state["step"])
    if world.rank == 0:
        run.remove_superseded(keep)
        temporary.mkdir()
    torch.distributed.barrier()
    _write_in_this_process()
    content = _content(chunks, optimizer, is_loading=False) | {"random_states": _random_states()}
    try:
        dist_checkpointing.save(content, str(temporary))
    except (CheckpointException, OSError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise OSError(
            f"{final}: the checkpoint could not be written, {shutil.disk_usage(run.path).free:,} "
            "bytes are free there now; those before it are unharmed, the same command resumes"
        ) from error
    torch.distributed.barrier()
    if world.rank == 0:
        files = {file.name: file.stat().st_size for file in sorted(temporary.iterdir())}
        write_json(temporary / STATE_FILE, state | {"files": files})
        temporary.rename(final)
        sync_directory(run.path)
        run.remove_superseded(keep)
    torch.distributed.barrier()
    return final


def _write_in_this_process() -> None:
    # A save that waits is written by threads of this process, yet Megatron-Core collects their
    # results through a queue in a manager process: seconds to start, and left behind by a kill.
    if filesystem_async._results_queue is None:
        filesystem_async._results_queue = queue.Queue()


def load_checkpoint(
    checkpoint: Checkpoint,
    config: TrainingConfig,
    chunks: list[DistributedDataParallel],
    optimizer: Any,
) -> None:
    """Load weights, optimizer and, at the layout that saved them, the random states.

    Raises:
        ValueError: A file is damaged; or the checkpoint's optimizer is distributed and the
            config's is not, or the other way round.
    """
    was_distributed = checkpoint.state["use_distributed_optimizer"]
    if was_distributed != config.layout.use_distributed_optimizer:
        raise ValueError(
            f"{checkpoint.path} was saved with use_distributed_optimizer ({was_distributed}), this "
            f"run has ({config.layout.use_distributed_optimizer}); their states differ in form: "
            f"set use_distributed_optimizer={str(was_distributed).lower()}"
            f"{'' if was_distributed else ' and data_parallel_size=1'}"
        )
    content = _content(chunks, optimizer, is_loading=True)
    is_same_layout = checkpoint.state["layout"] == layout_sizes(config)
    if is_same_layout:
        content["random_states"] = _random_states()
    loaded = _load(checkpoint, content)
    _load_chunks(chunks, loaded["model"])
    optimizer.load_state_dict(loaded["optimizer"])
    if is_same_layout:
        _set_random_states(loaded["random_states"])


def load_weights(
    checkpoint: Checkpoint,
    chunks: list[DistributedDataParallel],
    optimizer: Any,
) -> None:
    """Load the weights of another training, and nothing else of it.

    Raises:
        ValueError: A file is damaged.
    """
    loaded = _load(checkpoint, {"model": _weights(chunks)})
    _load_chunks(chunks, loaded["model"])
    optimizer.reload_model_params()


def _load(checkpoint: Checkpoint, content: dict[str, Any]) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = dist_checkpointing.load(content, str(checkpoint.path))
    except (CheckpointException, OSError, RuntimeError) as error:
        raise ValueError(
            f"{checkpoint.path}: its files have their sizes, but cannot be read; the log says why; "
            "remove this directory to go on from the checkpoint before it"
        ) from error
    return loaded


def _weights(chunks: list[DistributedDataParallel]) -> dict[str, Any]:
    # Tensors carry their names in the whole model; the keys here only keep the chunks apart.
    return {
        str(number): chunk.module.sharded_state_dict(metadata=METADATA)
        for number, chunk in enumerate(chunks)
    }


def _load_chunks(chunks: list[DistributedDataParallel], weights: dict[str, Any]) -> None:
    for number, chunk in enumerate(chunks):
        chunk.module.load_state_dict(weights[str(number)])


def _content(
    chunks: list[DistributedDataParallel], optimizer: Any, *, is_loading: bool
) -> dict[str, Any]:
    weights = _weights(chunks)
    return {
        "model": weights,
        "optimizer": optimizer.sharded_state_dict(
            weights, is_loading=is_loading, metadata=METADATA
        ),
    }


def _random_states() -> ShardedObject:
    """The random states of this process, at its place among all."""
    states = {
        "python": random.getstate(),
        "torch": torch.get_rng_state(),
        "device": torch.cuda.get_rng_state(),
        "tracker": tensor_parallel.get_cuda_rng_tracker().get_states(),
    }
    return ShardedObject(
        "random_states",
        states,
        (torch.distributed.get_world_size(),),
        (torch.distributed.get_rank(),),
        replica_id=0,
    )


def _set_random_states(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    torch.set_rng_state(states["torch"])
    torch.cuda.set_rng_state(states["device"])
    tensor_parallel.get_cuda_rng_tracker().set_states(states["tracker"])
