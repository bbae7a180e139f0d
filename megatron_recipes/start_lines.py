"""What a training says of itself when it starts."""

from typing import Any

import torch.distributed

from megatron_recipes.active import require_active
from megatron_recipes.config import TrainingConfig
from megatron_recipes.data import Datasets
from megatron_recipes.run_directory import Checkpoint
from megatron_recipes.world import World


def start_lines(
    config: TrainingConfig,
    world: World,
    datasets: Datasets,
    chunks: list[Any],
    optimizer: Any,
    checkpoint: Checkpoint | None,
    start_from: Checkpoint | None,
) -> list[str]:
    """Return what is left out, where the training goes on, and what is really active.

    Raises:
        ValueError: A requested feature is not active; on every process that lacks it.
    """
    lines = list(datasets.too_small)
    if checkpoint:
        lines.append(f"resuming from {checkpoint.path}")
    elif start_from:
        lines.append(f"starting from the weights of {start_from.path}")
    lines.append(
        f"{torch.distributed.get_world_size()} processes on {world.device.type}, "
        f"vocabulary {config.model.vocab_size:,} padded to {config.model.padded_vocab_size:,}"
    )
    return lines + [f"active: {line}" for line in require_active(config, chunks, optimizer)]
