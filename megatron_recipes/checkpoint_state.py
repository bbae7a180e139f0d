"""What a checkpoint holds of a training, and how it is put back.

Weights and optimizer are parts of global tensors and load at any layout; random states are those
of each process, for the layout that saved them.
"""

import random
from typing import Any

import torch
import torch.distributed
from megatron.core import dist_checkpointing, tensor_parallel
from megatron.core.dist_checkpointing.mapping import ShardedObject
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
from torch.distributed.checkpoint.api import CheckpointException

from megatron_recipes.config import TrainingConfig
from megatron_recipes.model_identity import layout_sizes
from megatron_recipes.optimizer_shards import OptimizerShards
from megatron_recipes.run_directory import Checkpoint

METADATA = {"distrib_optim_sharding_type": "fully_reshardable"}
"""How Megatron-Core names tensors: as it must for a checkpoint that loads at any layout."""


def saved_state(
    config: TrainingConfig, chunks: list[DistributedDataParallel], optimizer: Any
) -> dict[str, Any]:
    """Return what is saved of a training, as Megatron-Core's sharded state dict."""
    weights = _weights(chunks)
    state: dict[str, Any]
    if config.layout.use_distributed_optimizer:
        state = OptimizerShards(optimizer, weights).content
    else:
        state = optimizer.sharded_state_dict(weights, is_loading=False, metadata=METADATA)
    return {"model": weights, "optimizer": state, "random_states": _random_states()}


def load_training(
    checkpoint: Checkpoint,
    config: TrainingConfig,
    chunks: list[DistributedDataParallel],
    optimizer: Any,
) -> None:
    """Load weights, optimizer and, at the layout that saved them, the random states.

    At another layout random numbers go on from the seed; nothing here draws any after the first
    weights, unless a model has dropout.

    Raises:
        ValueError: It cannot be read; or its optimizer is distributed and the config's is not, or
            the other way round.
    """
    _require_same_optimizer(checkpoint, config)
    weights = _weights(chunks)
    content: dict[str, Any] = {"model": weights}
    is_same_layout = checkpoint.state["layout"] == layout_sizes(config)
    if is_same_layout:
        content["random_states"] = _random_states()
    if config.layout.use_distributed_optimizer:
        shards = OptimizerShards(optimizer, weights)
        loaded = _load(checkpoint, content | {"optimizer": shards.content})
        _load_chunks(chunks, loaded["model"])
        shards.put_back(checkpoint.step)
    else:
        state = optimizer.sharded_state_dict(weights, is_loading=True, metadata=METADATA)
        loaded = _load(checkpoint, content | {"optimizer": state})
        _load_chunks(chunks, loaded["model"])
        optimizer.load_state_dict(loaded["optimizer"])
    if is_same_layout:
        _set_random_states(loaded["random_states"])


def load_weights(
    checkpoint: Checkpoint, chunks: list[DistributedDataParallel], optimizer: Any
) -> None:
    """Load the weights of another training, of any layout, and nothing else of it.

    The distributed optimizer's master weights are those of the checkpoint as well, not what is left
    of them in the type of the model's weights: in FP8 that is three bits behind the first.

    Raises:
        ValueError: It cannot be read.
    """
    loaded = _load(checkpoint, {"model": _weights(chunks)})
    _load_chunks(chunks, loaded["model"])
    optimizer.reload_model_params()
    is_rounded = any(p.dtype != torch.float32 for chunk in chunks for p in chunk.parameters())
    if is_rounded and _is_distributed(optimizer):
        masters = OptimizerShards(optimizer, _weights(chunks)).masters()
        if masters:  # else the optimizer keeps only what the weights lack
            _load(checkpoint, dict(masters))


def _is_distributed(optimizer: Any) -> bool:
    parts = (part for part in optimizer.chained_optimizers if part.optimizer is not None)
    return all(isinstance(part, DistributedOptimizer) for part in parts)


def _require_same_optimizer(checkpoint: Checkpoint, config: TrainingConfig) -> None:
    was_distributed = checkpoint.state["use_distributed_optimizer"]
    if was_distributed != config.layout.use_distributed_optimizer:
        raise ValueError(
            f"{checkpoint.path} was saved with use_distributed_optimizer ({was_distributed}), this "
            f"run has ({not was_distributed}); their states differ in form: set "
            f"use_distributed_optimizer={str(was_distributed).lower()}"
            f"{'' if was_distributed else ' and data_parallel_size=1'}"
        )


def _load(checkpoint: Checkpoint, content: dict[str, Any]) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = dist_checkpointing.load(content, str(checkpoint.path))
    except (CheckpointException, OSError, RuntimeError) as error:
        raise ValueError(
            f"{checkpoint.path}: its files are as they were written, but cannot be read; the log "
            "says why; remove this directory to go on from the checkpoint before it"
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
