"""What only a GPU with Transformer Engine does, and what it asks of sizes and types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from megatron_recipes.config.checks import named

if TYPE_CHECKING:
    from megatron_recipes.config.training import TrainingConfig

FP8_WIDTH, FP8_BLOCK = 16, 128
"""What Transformer Engine wants both sizes of an FP8 product to be multiples of: 16 for its
kernels (`assert_dim_for_fp8_exec`; tokens are a width in the backward pass), the length of a block
for `blockwise`."""


def check_gpu(config: TrainingConfig) -> None:
    """Refuse what the GPU, or the CPU, would fail at or ignore.

    Raises:
        ValueError: It names the setting and what it needs.
    """
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
    if config.precision.fp8 != "none":
        _check_fp8(config)


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
    if config.batch.document_bounded_attention and not config.batch.pack_conversations:
        # Transformer Engine computes wrong numbers, and says nothing, where documents are no
        # multiple of two parts for each process: its issue 3331. Packed conversations are.
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
