"""What a checkpoint holds of a training, and how it is put back.

Weights and optimizer are parts of global tensors and load at any layout; random states are those
of each process, for the layout that saved them.
"""

import random
from typing import Any

import torch
import torch.distributed
from megatron.core import dist_checkpointing, tensor_parallel
from megatron.core.dist_checkpointing.dict_utils import nested_values
from megatron.core.dist_checkpointing.mapping import (
    ShardedObject,
    ShardedTensor,
    ShardedTensorFactory,
)
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
from torch.distributed.checkpoint.api import CheckpointException

from megatron_recipes.checkpoints.master_weights import WHOLE, master_key, tensor_types
from megatron_recipes.checkpoints.optimizer_shards import OptimizerShards
from megatron_recipes.config import TrainingConfig
from megatron_recipes.model_identity import layout_sizes
from megatron_recipes.run_directory import Checkpoint
from megatron_recipes.world import gathered

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
        _round_masters(chunks, optimizer)
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

    Where the checkpoint has them in float32, as weights or as their masters, that is what is read:
    a weight in FP8 has three bits behind the first. The optimizer's master weights begin with it as
    well, not with what is left of it in the type of the model's weights.

    Raises:
        ValueError: It cannot be read.
    """
    keys = _most_exact_keys(checkpoint)
    loaded = _load(checkpoint, {"model": _renamed(_weights(chunks), keys)})
    _load_chunks(chunks, loaded["model"])
    optimizer.reload_model_params()
    is_rounded = any(p.dtype != torch.float32 for chunk in chunks for p in chunk.parameters())
    if is_rounded and _is_distributed(optimizer):
        masters = OptimizerShards(optimizer, _weights(chunks)).masters()
        # Of BF16 weights the precision-aware optimizer keeps only what they lack: no master.
        if any(gathered(bool(masters))):
            _load(checkpoint, _renamed(dict(masters), keys))
            _round_masters(chunks, optimizer)
    elif is_rounded:
        _load_whole_masters(checkpoint, chunks, optimizer, keys)


@torch.no_grad()
def _load_whole_masters(
    checkpoint: Checkpoint,
    chunks: list[DistributedDataParallel],
    optimizer: Any,
    keys: dict[str, str],
) -> None:
    """Load the master weights of an optimizer that is not distributed."""
    for part in optimizer.chained_optimizers:
        state = part.sharded_state_dict(_weights(chunks), is_loading=False, metadata=METADATA)
        masters = {"masters": state["fp32_from_fp16_params"]}
        loaded = _load(checkpoint, _renamed(masters, keys))["masters"]
        for group, values in zip(part.fp32_from_float16_groups, loaded, strict=True):
            for master, value in zip(group, values, strict=True):
                master.copy_(value)


def _most_exact_keys(checkpoint: Checkpoint) -> dict[str, str]:
    """Return the name of each weight's master, for those that have one."""
    types = tensor_types(checkpoint.path)
    masters = {weight: master_key(weight, types) for weight in types}
    return {weight: master for weight, master in masters.items() if master}


def _renamed(content: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    """Let parts of tensors be read from tensors of other names."""
    for part in nested_values(content):
        if isinstance(part, ShardedTensor | ShardedTensorFactory):
            weight = part.key.removeprefix(WHOLE)
            part.key = keys.get(weight, weight)
    return content


@torch.no_grad()
def _round_masters(chunks: list[DistributedDataParallel], optimizer: Any) -> None:
    """Let the weights be what the optimizer makes of its masters, as after a step.

    In BF16 they are that. A weight in FP8 was saved as the BF16 it stands for; rounded to FP8
    again, it would have another scale.
    """
    for part in optimizer.chained_optimizers:
        part._copy_main_params_to_model_params()
    for chunk in chunks:
        chunk.start_param_sync(force_sync=True)


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
