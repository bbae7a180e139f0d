"""What the sections of a config ask of each other; each refusal names the fields it compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from megatron_recipes.config.checks import named, shown
from megatron_recipes.config.stages import layers_per_stage

if TYPE_CHECKING:
    from megatron_recipes.config.training import TrainingConfig

FP8_WIDTH, FP8_BLOCK = 16, 128
"""What Transformer Engine wants both sizes of an FP8 product to be multiples of: 16 for its
kernels (`assert_dim_for_fp8_exec`; tokens are a width in the backward pass), the length of a block
for `blockwise`."""


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
    _check_gpu(config)
    _check_fp8(config)


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


def _check_gpu(config: TrainingConfig) -> None:
    execution, layout = config.execution, config.layout
    setting = gpu_setting(config)
    if execution.gpu == "cpu" and setting:
        raise ValueError(f"{setting} needs a GPU and Transformer Engine, not gpu (cpu)")
    if config.precision.use_precision_aware_optimizer and not layout.use_distributed_optimizer:
        raise ValueError(
            "use_precision_aware_optimizer (true) needs use_distributed_optimizer, "
            "not use_distributed_optimizer (false)"
        )
    if execution.gpu != "cpu":
        _check_attention(config)


def _check_attention(config: TrainingConfig) -> None:
    """Refuse what Transformer Engine's attention cannot do; the local one can, and is slow."""
    backend, layout = config.execution.attention_backend, config.layout
    dtype = config.precision.params_dtype
    shared = named(layout, "context_parallel_size")
    if backend == "local":
        return
    if backend in ("flash", "fused"):
        if dtype == "float32":
            raise ValueError(f"attention_backend ({backend}) does not take params_dtype (float32)")
        if config.model.kv_channels % 8 or config.model.kv_channels > 256:
            raise ValueError(
                f"attention_backend ({backend}) needs heads of a multiple of 8 up to 256, not "
                f"{named(config.model, 'kv_channels')}"
            )
    if layout.context_parallel_size == 1:
        return
    if backend == "unfused" or dtype == "float32":
        raise ValueError(
            f"{shared} needs attention_backend auto, flash or fused in BF16, or local, not "
            f"attention_backend ({backend}) with params_dtype ({dtype})"
        )
    if config.batch.document_bounded_attention:
        # Transformer Engine computes wrong numbers, and says nothing, where documents are no
        # multiple of two parts for each process: its issue 3331.
        raise ValueError(
            f"document_bounded_attention (true) does not go with {shared} on a GPU, where "
            "documents of any length cannot be shared; take attention_backend local or share less"
        )


def gpu_setting(config: TrainingConfig) -> str:
    """Return the first setting of several sections that only Transformer Engine fulfils, or ""."""
    for section, name, unset in (
        (config.precision, "fp8", "none"),
        (config.precision, "use_precision_aware_optimizer", False),
        (config.layout, "tp_comm_overlap", False),
        (config.execution, "cross_entropy", ("none", "native")),
        (config.execution, "gradient_accumulation_fusion", False),
        (config.execution, "attention_backend", ("auto", "local")),
    ):
        value = getattr(section, name)
        if value not in (unset if isinstance(unset, tuple) else (unset,)):
            return named(section, name)
    return ""


def _check_fp8(config: TrainingConfig) -> None:
    precision, layout, model = config.precision, config.layout, config.model
    if precision.fp8 == "none":
        return
    if precision.fp8_param_gather and not layout.use_distributed_optimizer:
        raise ValueError(
            "fp8_param_gather (true) needs use_distributed_optimizer, "
            "not use_distributed_optimizer (false)"
        )
    most = model.num_layers // layout.pipeline_model_parallel_size
    for name in ("num_layers_at_start_in_bf16", "num_layers_at_end_in_bf16"):
        if getattr(precision, name) > most:
            raise ValueError(
                f"{named(precision, name)} must not exceed {named(model, 'num_layers')} / "
                f"{named(layout, 'pipeline_model_parallel_size')} = {most}"
            )
    bf16_layers = precision.num_layers_at_start_in_bf16 + precision.num_layers_at_end_in_bf16
    if bf16_layers >= model.num_layers:
        raise ValueError(
            f"num_layers_at_start_in_bf16 ({precision.num_layers_at_start_in_bf16}) and "
            f"num_layers_at_end_in_bf16 ({precision.num_layers_at_end_in_bf16}) leave none of "
            f"{named(model, 'num_layers')} to {named(precision, 'fp8')}"
        )
    _check_fp8_sizes(config)


def _check_fp8_sizes(config: TrainingConfig) -> None:
    precision, layout, model, batch = config.precision, config.layout, config.model, config.batch
    tensor, context = layout.tensor_model_parallel_size, layout.context_parallel_size
    multiple = FP8_BLOCK if precision.fp8_recipe == "blockwise" else FP8_WIDTH
    heads, groups = named(model, "num_attention_heads"), named(model, "num_query_groups")
    head, shares = named(model, "kv_channels"), named(layout, "tensor_model_parallel_size")
    for size, what in (
        (model.hidden_size, named(model, "hidden_size")),
        (model.ffn_hidden_size / tensor, f"{named(model, 'ffn_hidden_size')} / {shares}"),
        (
            model.num_attention_heads * model.kv_channels / tensor,
            f"{heads} x {head} / {shares}",
        ),
        (
            (model.num_attention_heads + 2 * model.num_query_groups) * model.kv_channels / tensor,
            f"({heads} + 2 x {groups}) x {head} / {shares}",
        ),
        (
            batch.sequence_length * batch.micro_batch_size / context,
            f"{named(batch, 'sequence_length')} x {named(batch, 'micro_batch_size')} / "
            f"{named(layout, 'context_parallel_size')}",
        ),
    ):
        if size % multiple:
            raise ValueError(
                f"{what} = {size:g} must be a multiple of {multiple} for "
                f"{named(precision, 'fp8')} with {named(precision, 'fp8_recipe')}"
            )
