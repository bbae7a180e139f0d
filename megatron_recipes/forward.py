"""Forward passes through Megatron-Core's pipeline schedule: one training step, one evaluation."""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel, finalize_model_grads
from megatron.core.pipeline_parallel import get_forward_backward_func

from megatron_recipes.config import TrainingConfig
from megatron_recipes.data import Batch, evaluation_batches, num_evaluation_microbatches
from megatron_recipes.world import World, sum_over_world


def connect_schedule(chunks: list[DistributedDataParallel], optimizer: Any) -> None:
    """Give the schedule what it asks the model's config for; the chunks share one config."""
    transformer = chunks[0].config
    transformer.finalize_model_grads_func = finalize_model_grads
    transformer.grad_scale_func = optimizer.scale_loss
    no_sync = [chunk.no_sync for chunk in chunks]
    transformer.no_sync_func = no_sync if len(chunks) > 1 else no_sync[0]


def _sum_of_losses(
    loss_mask: torch.Tensor, losses: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Return the summed loss, the tokens that count, and both for the report.

    Args:
        loss_mask: `[micro_batch_size, sequence_length]`, 1 where the loss counts.
        losses: The same shape, float32: the loss of every token.
    """
    weights = loss_mask.float()
    total = torch.sum(losses.float() * weights)
    num_tokens = weights.sum().to(torch.int)
    counted = torch.sum(losses.detach().double() * weights)
    return total, num_tokens, {"loss": torch.stack([counted, num_tokens.double()])}


def _forward_step(batches: Iterator[Batch], model: Any) -> tuple[torch.Tensor, Any]:
    batch = next(batches)
    losses = model(batch["tokens"], batch["position_ids"], None, labels=batch["labels"])
    return losses, functools.partial(_sum_of_losses, batch["loss_mask"])


def run_schedule(
    batches: Iterator[Batch],
    num_microbatches: int,
    config: TrainingConfig,
    chunks: list[DistributedDataParallel],
    *,
    forward_only: bool,
) -> tuple[float, float]:
    """Run the micro batches through the pipeline.

    Returns:
        The summed loss and the tokens it is over, of this process; zeros where it is not the
        last stage.
    """
    reports = get_forward_backward_func()(
        forward_step_func=_forward_step,
        # Interleaved, each chunk asks for the batch itself.
        data_iterator=list(itertools.tee(batches, len(chunks))),
        model=chunks,
        num_microbatches=num_microbatches,
        seq_length=config.batch.sequence_length,
        micro_batch_size=config.batch.micro_batch_size,
        forward_only=forward_only,
    )
    if not reports:
        return 0.0, 0.0
    loss, tokens = torch.stack([report["loss"] for report in reports]).sum(dim=0).tolist()
    return loss, tokens


def evaluate(
    dataset: Any, config: TrainingConfig, chunks: list[DistributedDataParallel], world: World
) -> tuple[float, int]:
    """Return the mean loss over one group's held-out sequences, and the tokens it is over."""
    for chunk in chunks:
        chunk.eval()
    with torch.no_grad():
        loss, tokens = run_schedule(
            evaluation_batches(dataset, config, world),
            num_evaluation_microbatches(dataset, config, world),
            config,
            chunks,
            forward_only=True,
        )
    for chunk in chunks:
        chunk.train()
    mine = [loss, tokens] if world.counts_loss else [0.0, 0.0]
    loss, tokens = sum_over_world(mine, world.device)
    return loss / tokens, int(tokens)
