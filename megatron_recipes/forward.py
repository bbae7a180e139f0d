"""Forward passes through Megatron-Core's pipeline schedule: one training step, one evaluation."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel, finalize_model_grads
from megatron.core.pipeline_parallel import get_forward_backward_func

from megatron_recipes.config import TrainingConfig
from megatron_recipes.data import Batch, evaluation_batches, num_evaluation_microbatches
from megatron_recipes.documents import packed_parameters, packs_documents
from megatron_recipes.world import World, sum_over_world


def connect_schedule(chunks: list[DistributedDataParallel], optimizer: Any) -> None:
    """Give the schedule what it asks the model's config for; the chunks share one config."""
    transformer, data_parallel = chunks[0].config, chunks[0].ddp_config
    transformer.finalize_model_grads_func = finalize_model_grads
    transformer.grad_scale_func = optimizer.scale_loss
    if data_parallel.overlap_grad_reduce:
        # Without overlap nothing is reduced before the last micro batch in any case.
        transformer.no_sync_func = _one_or_list([chunk.no_sync for chunk in chunks])
        if len(chunks) > 1:
            transformer.grad_sync_func = [chunk.start_grad_sync for chunk in chunks]
    if data_parallel.align_param_gather:
        transformer.param_sync_func = [chunk.start_param_sync for chunk in chunks]


def _one_or_list(functions: list[Any]) -> Any:
    return functions if len(functions) > 1 else functions[0]


def gather_weights(chunks: list[DistributedDataParallel]) -> None:
    """Complete the weights that are gathered only by the next forward pass: before a checkpoint."""
    for chunk in chunks:
        if chunk.ddp_config.overlap_param_gather:
            with torch.no_grad():
                chunk.start_param_sync(force_sync=True)


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


def forward_step(batches: Iterator[Batch], model: Any) -> tuple[torch.Tensor, Any]:
    """Return what the schedule asks of a micro batch: the losses of its tokens, and their sum."""
    batch = next(batches)
    losses = model(
        batch["tokens"],
        batch["position_ids"],
        batch.get("attention_mask"),
        labels=batch["labels"],
        packed_seq_params=packed_parameters(batch),
    )
    return losses, functools.partial(_sum_of_losses, batch["loss_mask"])


def run_passes(
    batches: Iterator[Batch],
    num_microbatches: int,
    config: TrainingConfig,
    chunks: list[DistributedDataParallel],
    *,
    forward_only: bool,
    step: Callable[..., Any] = forward_step,
) -> list[torch.Tensor]:
    """Run the micro batches through the pipeline.

    Args:
        batches: They, as this replica reads them.
        num_microbatches: How many.
        config: The training.
        chunks: This process's part of the model.
        forward_only: Whether there is no backward pass.
        step: What takes a batch and the model; a wrapped `forward_step`, if any.

    Returns:
        Of every micro batch its summed loss and the tokens that is over, `[2]`, float64, on the
        device; nothing where this process is not of the last stage.
    """
    length, micro_batch_size = config.batch.sequence_length, config.batch.micro_batch_size
    if packs_documents(config):  # all sequences of a micro batch are joined into one
        length, micro_batch_size = length * micro_batch_size, 1
    reports = get_forward_backward_func()(
        forward_step_func=step,
        # Interleaved, each chunk asks for the batch itself.
        data_iterator=list(itertools.tee(batches, len(chunks))),
        model=chunks,
        num_microbatches=num_microbatches,
        seq_length=length,
        micro_batch_size=micro_batch_size,
        forward_only=forward_only,
    )
    return [report["loss"] for report in reports]


def run_schedule(
    batches: Iterator[Batch],
    num_microbatches: int,
    config: TrainingConfig,
    chunks: list[DistributedDataParallel],
    *,
    forward_only: bool,
) -> tuple[float, float]:
    """Run the micro batches through the pipeline, and wait for them.

    Returns:
        The summed loss and the tokens it is over, of this process; zeros where it is not the
        last stage.
    """
    reports = run_passes(batches, num_microbatches, config, chunks, forward_only=forward_only)
    if not reports:
        return 0.0, 0.0
    loss, tokens = torch.stack(reports).sum(dim=0).tolist()
    return loss, tokens


def evaluate(
    dataset: Any,
    config: TrainingConfig,
    chunks: list[DistributedDataParallel],
    world: World,
    watched: Callable[[Iterator[Batch]], Iterator[Batch]] = iter,
) -> tuple[float, int]:
    """Return the mean loss over one group's held-out sequences, and the tokens it is over.

    Args:
        dataset: The group's.
        config: The training.
        chunks: This process's part of the model.
        world: This process.
        watched: Passes the micro batches on, and may note that one is asked for.
    """
    batches = watched(evaluation_batches(dataset, config, world))
    num_microbatches = num_evaluation_microbatches(dataset, config, world)
    for chunk in chunks:
        chunk.eval()
    with torch.no_grad():
        loss, tokens = run_schedule(batches, num_microbatches, config, chunks, forward_only=True)
    for chunk in chunks:
        chunk.train()
    mine = [loss, tokens] if world.counts_loss else [0.0, 0.0]
    loss, tokens = sum_over_world(mine, world.device)
    return loss / tokens, int(tokens)
