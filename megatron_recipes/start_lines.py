"""What a training says of itself when it starts."""

from collections.abc import Iterator

import torch.distributed

from megatron_recipes.checkpoints.master_weights import FP8_WEIGHTS, master_key, tensor_types
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
        yield from fp8_lines(start_from)
    yield (
        f"{torch.distributed.get_world_size()} processes on {world.device.type}, "
        f"vocabulary {config.model.vocab_size:,} padded to "
        f"{config.model.padded_vocab_size:,}"
    )


def fp8_lines(start_from: Checkpoint) -> Iterator[str]:
    """Yield what becomes of the weights of a training that kept them in FP8."""
    if not start_from.state.get(FP8_WEIGHTS):
        return
    types = tensor_types(start_from.path)
    if any(master_key(name, types) for name in types if not name.startswith("optimizer.")):
        yield "its training rounded weights to FP8: taken from its optimizer's masters instead"
    else:
        yield "its training rounded weights to FP8, and no masters are beside them: taken rounded"
