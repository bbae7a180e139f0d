"""What the sections of a config ask of each other; each refusal names the fields it compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from megatron_recipes.config.checks import named, shown
from megatron_recipes.config.gpu_agreement import check_gpu
from megatron_recipes.config.stages import layers_per_stage

if TYPE_CHECKING:
    from megatron_recipes.config.training import TrainingConfig


def check_agreement(config: TrainingConfig) -> None:
    """Refuse sections that do not go together.

    Raises:
        ValueError: The combination would fail, or a setting would be ignored.
    """
    _check_model_against_layout(config)
    _check_batch_against_layout(config)
    _check_nodes(config)
    _check_schedule(config)
    _check_recomputation(config)
    check_gpu(config)


def _check_model_against_layout(config: TrainingConfig) -> None:
    model, layout = config.model, config.layout
    tensor = layout.tensor_model_parallel_size
    for name in ("num_attention_heads", "num_query_groups", "ffn_hidden_size"):
        if getattr(model, name) % tensor:
            raise ValueError(
                f"{name} ({getattr(model, name)}) must be a multiple of "
                f"tensor_model_parallel_size ({tensor})"
            )
    if model.padded_vocab_size % tensor:
        raise ValueError(
            f"vocab_size ({model.vocab_size}), padded by make_vocab_size_divisible_by "
            f"({model.make_vocab_size_divisible_by}) to {model.padded_vocab_size}, must be a "
            f"multiple of tensor_model_parallel_size ({tensor})"
        )
    layers_per_stage(model, layout)


def _check_batch_against_layout(config: TrainingConfig) -> None:
    batch, layout = config.batch, config.layout
    per_pass = batch.micro_batch_size * layout.data_parallel_size
    if batch.global_batch_size % per_pass:
        raise ValueError(
            f"global_batch_size ({batch.global_batch_size}) must be a multiple of "
            f"micro_batch_size ({batch.micro_batch_size}) x data_parallel_size "
            f"({layout.data_parallel_size}) = {per_pass}"
        )
    passes, stages = batch.num_microbatches(layout), layout.pipeline_model_parallel_size
    if layout.virtual_pipeline_model_parallel_size > 1 and passes % stages:
        raise ValueError(
            f"{named(layout, 'virtual_pipeline_model_parallel_size')} interleaves groups of "
            f"{named(layout, 'pipeline_model_parallel_size')} micro batches, but "
            f"{named(batch, 'global_batch_size')} / (micro_batch_size ({batch.micro_batch_size}) "
            f"x data_parallel_size ({layout.data_parallel_size})) makes {passes}, no multiple of it"
        )
    _check_sequence(config)


def _check_sequence(config: TrainingConfig) -> None:
    batch, layout, model = config.batch, config.layout, config.model
    if 0 < model.max_position_embeddings < batch.sequence_length:
        raise ValueError(
            f"{named(batch, 'sequence_length')} exceeds "
            f"{named(model, 'max_position_embeddings')}, which the model was made for"
        )
    shares = layout.tensor_model_parallel_size if layout.sequence_parallel else 1
    if layout.context_parallel_size > 1:
        shares *= 2 * layout.context_parallel_size
    if batch.sequence_length % shares:
        raise ValueError(
            f"sequence_length ({batch.sequence_length}) must be a multiple of {shares}, for "
            f"tensor_model_parallel_size ({layout.tensor_model_parallel_size}) with "
            f"sequence_parallel ({shown(layout.sequence_parallel)}) and context_parallel_size "
            f"({layout.context_parallel_size})"
        )


def _check_nodes(config: TrainingConfig) -> None:
    layout, per_node = config.layout, config.execution.gpus_per_node
    tensor = layout.tensor_model_parallel_size
    if layout.world_size <= per_node:
        return
    if per_node % tensor:
        raise ValueError(
            f"tensor_model_parallel_size ({tensor}) must divide gpus_per_node ({per_node}): "
            "matrices are not shared between machines"
        )
    if layout.world_size % per_node:
        sizes = " x ".join(
            named(layout, name)
            for name in (
                "tensor_model_parallel_size",
                "pipeline_model_parallel_size",
                "context_parallel_size",
                "data_parallel_size",
            )
        )
        raise ValueError(
            f"{sizes} = {layout.world_size} processes must be a multiple of gpus_per_node "
            f"({per_node}), or fit one machine"
        )


def _check_schedule(config: TrainingConfig) -> None:
    schedule, optimization = config.schedule, config.optimization
    settling = optimization.lr_warmup_steps + optimization.lr_wsd_decay_steps
    if settling >= schedule.num_steps:
        raise ValueError(
            f"lr_warmup_steps ({optimization.lr_warmup_steps}) plus lr_wsd_decay_steps "
            f"({optimization.lr_wsd_decay_steps}) must be below num_steps "
            f"({schedule.num_steps})"
        )


def _check_recomputation(config: TrainingConfig) -> None:
    layout, count = config.layout, config.execution.recompute_num_layers
    chunks = layout.virtual_pipeline_model_parallel_size
    most = max(layers_per_stage(config.model, layout)) // chunks
    if count > most:
        raise ValueError(
            f"recompute_num_layers ({count}) must not exceed the {most} layers of a model chunk, "
            f"of {named(config.model, 'num_layers')} at "
            f"{named(layout, 'pipeline_model_parallel_size')} and "
            f"{named(layout, 'virtual_pipeline_model_parallel_size')}"
        )
