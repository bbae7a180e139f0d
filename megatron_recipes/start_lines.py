"""What a training says of itself when it starts."""

from collections.abc import Iterator

import torch.distributed

from megatron_recipes.data import Datasets
from megatron_recipes.job import Job
from megatron_recipes.master_weights import DISTRIBUTED, FP8_WEIGHTS, tensor_types
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
        if start_from.state.get(FP8_WEIGHTS):
            types = tensor_types(start_from.path)
            has_masters = any(name.startswith(DISTRIBUTED) for name in types)
            yield (
                "its training kept weights in FP8: "
                + ("taken from its master weights" if has_masters else "rounded, without masters")
            )
    yield (
        f"{torch.distributed.get_world_size()} processes on {world.device.type}, "
        f"vocabulary {config.model.vocab_size:,} padded to "
        f"{config.model.padded_vocab_size:,}"
    )
