"""What a training says of itself when it starts."""

from collections.abc import Iterator

import torch.distributed

from megatron_recipes.data import Datasets
from megatron_recipes.job import Job
from megatron_recipes.run_directory import Checkpoint
from megatron_recipes.world import World


def start_lines(
    job: Job,
    world: World,
    datasets: Datasets,
    checkpoint: Checkpoint | None,
    start_from: Checkpoint | None,
) -> Iterator[str]:
    """Yield what is read, and from where it goes on."""
    config = job.config
    yield from datasets.notices
    if checkpoint:
        yield f"resuming from {checkpoint.path}"
    elif start_from:
        yield f"starting from the weights of {start_from.path}"
    yield (
        f"{torch.distributed.get_world_size()} processes on {world.device.type}, "
        f"vocabulary {config.model.vocab_size:,} padded to "
        f"{config.model.padded_vocab_size:,}"
    )
