"""A training in Megatron-Core's words: what its modules, schedules and gradient buffers read.

A field of ours that has no place here, or in the optimizer's config, would be ignored silently:
`active` reads the built objects to see that none is.
"""

from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallelConfig
from megatron.core.transformer.enums import AttnBackend
from megatron.core.transformer.transformer_config import TransformerConfig

from megatron_recipes.config import ExecutionConfig, LayoutConfig, PrecisionConfig, TrainingConfig
from megatron_recipes.world import uses_transformer_engine, virtual_stages

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def transformer_config(config: TrainingConfig) -> TransformerConfig:
    """Return the part of a training that Megatron-Core's modules and schedules read."""
    model, dtype = config.model, DTYPES[config.precision.params_dtype]
    has_te = uses_transformer_engine()
    return TransformerConfig(
        num_layers=model.num_layers,
        hidden_size=model.hidden_size,
        ffn_hidden_size=model.ffn_hidden_size,
        num_attention_heads=model.num_attention_heads,
        num_query_groups=model.num_query_groups,
        kv_channels=model.kv_channels,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=dtype is torch.bfloat16,
        normalization="RMSNorm",
        layernorm_epsilon=model.layernorm_epsilon,
        init_method_std=model.init_method_std,
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        add_bias_linear=False,
        add_qkv_bias=model.add_qkv_bias,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        attention_softmax_in_fp32=True,
        # The loss is a sum over tokens, divided once by the tokens of the whole step: equal
        # weights for all tokens in every layout.
        calculate_per_token_loss=True,
        persist_layer_norm=has_te,
        masked_softmax_fusion=has_te,
        apply_rope_fusion=has_te,
        bias_activation_fusion=has_te,
        bias_dropout_fusion=has_te,
        **_layout_options(config.layout),
        **_execution_options(config.execution),
        **_fp8_options(config.precision),
    )


def _layout_options(layout: LayoutConfig) -> dict[str, Any]:
    interleaves = virtual_stages(layout) is not None
    first, last = (
        layout.num_layers_in_first_pipeline_stage,
        layout.num_layers_in_last_pipeline_stage,
    )
    if first and layout.pipeline_model_parallel_size == 2:
        # It follows from the first, and Megatron-Core, which interleaves by the layers of the
        # stages between the two, would divide by their number.
        last = 0
    return {
        "tensor_model_parallel_size": layout.tensor_model_parallel_size,
        "pipeline_model_parallel_size": layout.pipeline_model_parallel_size,
        "virtual_pipeline_model_parallel_size": virtual_stages(layout),
        "num_layers_in_first_pipeline_stage": first or None,
        "num_layers_in_last_pipeline_stage": last or None,
        "context_parallel_size": layout.context_parallel_size,
        "sequence_parallel": layout.sequence_parallel,
        "tp_comm_overlap": layout.tp_comm_overlap,
        # Interleaved stages send while they compute, which a batch of sends could not.
        "overlap_p2p_comm": interleaves,
        "batch_p2p_comm": not interleaves,
        # gloo may still be sending an output whose memory this would free.
        "deallocate_pipeline_outputs": torch.cuda.is_available(),
    }


def _execution_options(execution: ExecutionConfig) -> dict[str, Any]:
    modules = [name.strip() for name in execution.recompute_modules.split(",") if name.strip()]
    return {
        "recompute_granularity": _or_none(execution.recompute_granularity),
        "recompute_method": _or_none(execution.recompute_method),
        "recompute_num_layers": execution.recompute_num_layers or None,
        "recompute_modules": modules or None,
        "cross_entropy_loss_fusion": execution.cross_entropy != "none",
        "cross_entropy_fusion_impl": "te" if execution.cross_entropy == "te" else "native",
        "gradient_accumulation_fusion": execution.gradient_accumulation_fusion,
        "attention_backend": AttnBackend[execution.attention_backend],
    }


def _or_none(choice: str) -> str | None:
    return None if choice == "none" else choice


def _fp8_options(precision: PrecisionConfig) -> dict[str, Any]:
    if precision.fp8 == "none":
        return {}
    first, last = precision.num_layers_at_start_in_bf16, precision.num_layers_at_end_in_bf16
    return {
        "fp8": precision.fp8,
        "fp8_recipe": precision.fp8_recipe,
        # Together with the gradient buffers' `fp8_param_gather`: one without the other has none.
        "fp8_param": precision.fp8_param_gather,
        "fp8_amax_history_len": precision.fp8_amax_history_len,
        "fp8_amax_compute_algo": precision.fp8_amax_compute_algo,
        "first_last_layers_bf16": first + last > 0,
        "num_layers_at_start_in_bf16": first,
        "num_layers_at_end_in_bf16": last,
    }


def data_parallel_config(config: TrainingConfig) -> DistributedDataParallelConfig:
    """Return the part that the gradient and weight buffers read."""
    layout = config.layout
    return DistributedDataParallelConfig(
        grad_reduce_in_fp32=config.precision.grad_reduce_in_fp32,
        use_distributed_optimizer=layout.use_distributed_optimizer,
        overlap_grad_reduce=layout.overlap_grad_reduce,
        overlap_param_gather=layout.overlap_param_gather,
        # Interleaved, all stages gather a chunk at the same moment: a stage that gathers when it
        # likes holds up the others, which wait for what it sends.
        align_param_gather=layout.overlap_param_gather and virtual_stages(layout) is not None,
        fp8_param_gather=config.precision.fp8_param_gather,
        # gloo cannot average; the division is by tokens in any case.
        average_in_collective=False,
    )
