"""What a training says of itself when it starts."""

from collections.abc import Iterator

import torch.distributed

from megatron_recipes.data import Datasets
from megatron_recipes.job import Job
from megatron_recipes.model import uses_transformer_engine
from megatron_recipes.run_directory import Checkpoint
from megatron_recipes.show import num_epochs
from megatron_recipes.world import World

MANY_EPOCHS = 4
"""Repeating data further than this has been found to gain little: Muennighoff et al., "Scaling
Data-Constrained Language Models" (2023)."""


def start_lines(
    job: Job,
    world: World,
    datasets: Datasets,
    checkpoint: Checkpoint | None,
    start_from: Checkpoint | None,
) -> Iterator[str]:
    """Yield what is read, where it goes on, and what is active."""
    config = job.config
    yield from datasets.too_small
    for group in job.blend.train:
        epochs = num_epochs(config, group)
        if epochs > MANY_EPOCHS:
            yield f"group {group.name} is read {epochs:.1f} times over"
    if checkpoint:
        yield f"resuming from {checkpoint.path}"
    elif start_from:
        yield f"starting from the weights of {start_from.path}"
    layers = "Transformer Engine" if uses_transformer_engine() else "local"
    yield (
        f"{torch.distributed.get_world_size()} processes on {world.device.type}, "
        f"{layers} layers, {config.precision.params_dtype}, "
        f"{'distributed ' if config.layout.use_distributed_optimizer else ''}AdamW, "
        f"vocabulary {config.model.vocab_size:,} padded to "
        f"{config.model.padded_vocab_size:,}"
    )
