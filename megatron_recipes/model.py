"""The model: Megatron-Core's GPTModel, built by one function for every recipe and device.

Its layers come from Transformer Engine on a GPU that has it, else from Megatron-Core's local
modules. Both give the weights the same names in a checkpoint.
"""

from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig
from megatron.core.extensions.transformer_engine import HAVE_TE
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import (
    get_gpt_layer_local_spec,
    get_gpt_layer_with_transformer_engine_spec,
)
from megatron.core.transformer.transformer_block import (
    TransformerBlockSubmodules,
    get_num_layers_to_build,
)
from megatron.core.transformer.transformer_config import TransformerConfig

from megatron_recipes.config import TrainingConfig
from megatron_recipes.world import World, virtual_stages

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class LocalNorm(torch.nn.RMSNorm):
    """RMSNorm whose weight joins the sequence-parallel gradient reduction.

    Megatron-Core's own local norm refuses sequence parallelism. Without the mark each process
    would keep the gradient of its part of the sequence, and the copies would drift apart.
    """

    def __init__(
        self, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, **_ignored: Any
    ) -> None:
        super().__init__(hidden_size, eps=eps, dtype=config.params_dtype)
        self.weight.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]


def uses_transformer_engine() -> bool:
    """Whether layers come from Transformer Engine: it is there, and so is a GPU for it."""
    return bool(HAVE_TE) and torch.cuda.is_available()


def transformer_config(config: TrainingConfig) -> TransformerConfig:
    """Return the part of a training that Megatron-Core's modules read."""
    model, layout, precision = config.model, config.layout, config.precision
    has_te = uses_transformer_engine()
    dtype = DTYPES[precision.params_dtype]
    fp8 = {} if precision.fp8 == "none" else _fp8_options(precision.fp8, precision.fp8_recipe)
    return TransformerConfig(
        num_layers=model.num_layers,
        hidden_size=model.hidden_size,
        ffn_hidden_size=model.ffn_hidden_size,
        num_attention_heads=model.num_attention_heads,
        num_query_groups=model.num_query_groups,
        kv_channels=model.kv_channels,
        tensor_model_parallel_size=layout.tensor_model_parallel_size,
        pipeline_model_parallel_size=layout.pipeline_model_parallel_size,
        virtual_pipeline_model_parallel_size=virtual_stages(layout),
        # Interleaved stages send while they compute, which one call per direction could not.
        overlap_p2p_comm=virtual_stages(layout) is not None,
        batch_p2p_comm=virtual_stages(layout) is None,
        context_parallel_size=layout.context_parallel_size,
        sequence_parallel=layout.sequence_parallel,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=dtype is torch.bfloat16,
        normalization="RMSNorm",
        layernorm_epsilon=model.layernorm_epsilon,
        init_method_std=model.init_method_std,
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        add_bias_linear=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        attention_softmax_in_fp32=True,
        # The loss is a sum over tokens, divided once by the tokens of the whole step: equal
        # weights for all tokens in every layout.
        calculate_per_token_loss=True,
        # Equal weights for every tensor parallel size; on a GPU too large models forbid it.
        use_cpu_initialization=not torch.cuda.is_available(),
        persist_layer_norm=has_te,
        masked_softmax_fusion=has_te,
        apply_rope_fusion=has_te,
        bias_activation_fusion=has_te,
        bias_dropout_fusion=has_te,
        gradient_accumulation_fusion=False,
        # gloo may still be sending an output whose memory this would free.
        deallocate_pipeline_outputs=torch.cuda.is_available(),
        **fp8,
    )


def _fp8_options(fp8: str, fp8_recipe: str) -> dict[str, Any]:
    return {"fp8": fp8, "fp8_recipe": fp8_recipe}


def _layer_spec(transformer: TransformerConfig, vp_stage: int | None) -> Any:
    if uses_transformer_engine():
        return get_gpt_layer_with_transformer_engine_spec()
    spec = get_gpt_layer_local_spec(normalization="RMSNorm")
    spec.submodules.input_layernorm = spec.submodules.pre_mlp_layernorm = LocalNorm
    return TransformerBlockSubmodules(
        layer_specs=[spec] * get_num_layers_to_build(transformer, vp_stage=vp_stage),
        layer_norm=LocalNorm,
    )


def build_model(config: TrainingConfig, world: World) -> list[DistributedDataParallel]:
    """Return this process's part of the model, wrapped for data parallelism.

    Args:
        config: Its `model.vocab_size` must be known.
        world: Says which stage of the pipeline this process is.

    Returns:
        The chunks of the model that this stage of the pipeline holds, in the order in which a
        sequence meets them: one, or several where the schedule interleaves.
    """
    assert config.model.vocab_size, "the vocabulary is known before a model is built"
    transformer = transformer_config(config)
    num_chunks = config.layout.virtual_pipeline_model_parallel_size
    return [
        _build_chunk(config, world, transformer, chunk, num_chunks) for chunk in range(num_chunks)
    ]


def _build_chunk(
    config: TrainingConfig,
    world: World,
    transformer: TransformerConfig,
    chunk: int,
    num_chunks: int,
) -> DistributedDataParallel:
    vp_stage = chunk if num_chunks > 1 else None
    model = GPTModel(
        transformer,
        _layer_spec(transformer, vp_stage),
        config.model.padded_vocab_size,
        config.batch.sequence_length,
        pre_process=world.is_first_stage and chunk == 0,
        post_process=world.is_last_stage and chunk == num_chunks - 1,
        position_embedding_type="rope",
        rotary_base=config.model.rotary_base,
        share_embeddings_and_output_weights=config.model.share_embeddings_and_output_weights,
        vp_stage=vp_stage,
    ).to(world.device)
    if transformer.bf16:
        model = model.bfloat16()
    return DistributedDataParallel(
        transformer,
        DistributedDataParallelConfig(
            grad_reduce_in_fp32=True,
            use_distributed_optimizer=config.layout.use_distributed_optimizer,
            # gloo cannot average; the division is by tokens in any case.
            average_in_collective=False,
        ),
        model,
        # Later chunks come first in the backward pass; their buckets could not be ordered by one
        # rule with the first chunk's.
        disable_bucketing=chunk > 0,
    )
