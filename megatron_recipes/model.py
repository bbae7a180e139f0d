"""The model: Megatron-Core's GPTModel, built by one function for every recipe, layout and device.

Its layers come from Transformer Engine on a GPU that has it, else from Megatron-Core's local
modules. Both give the weights the same names in a checkpoint.
"""

from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel
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

from megatron_recipes.attention import LocalAttention
from megatron_recipes.config import TrainingConfig
from megatron_recipes.initial_weights import set_initial_weights
from megatron_recipes.transformer_config import data_parallel_config, transformer_config
from megatron_recipes.user_buffers import open_user_buffers
from megatron_recipes.world import World, uses_transformer_engine, virtual_stages


class LocalNorm(torch.nn.RMSNorm):
    """RMSNorm whose weight joins the sequence-parallel gradient reduction.

    Megatron-Core's own local norm refuses sequence parallelism. Without the mark each process
    would keep the gradient of its part of the sequence, and the copies would drift apart.
    """

    def __init__(
        self, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, **_ignored: Any
    ) -> None:
        device = torch.cuda.current_device()
        super().__init__(hidden_size, eps=eps, dtype=config.params_dtype, device=device)
        self.weight.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]


def _layer_spec(transformer: TransformerConfig, attention: str, vp_stage: int | None) -> Any:
    if uses_transformer_engine():
        spec = get_gpt_layer_with_transformer_engine_spec()
        if attention == "local":
            spec.submodules.self_attention.submodules.core_attention = LocalAttention
        return spec
    spec = get_gpt_layer_local_spec(normalization="RMSNorm")
    spec.submodules.input_layernorm = spec.submodules.pre_mlp_layernorm = LocalNorm
    spec.submodules.self_attention.submodules.core_attention = LocalAttention
    return TransformerBlockSubmodules(
        layer_specs=[spec] * get_num_layers_to_build(transformer, vp_stage=vp_stage),
        layer_norm=LocalNorm,
    )


def build_model(
    config: TrainingConfig, world: World, *, draws_weights: bool = True
) -> list[DistributedDataParallel]:
    """Return this process's part of the model, wrapped for data parallelism.

    Args:
        config: Its `model.vocab_size` must be known.
        world: Says which stage of the pipeline this process is.
        draws_weights: Whether to draw the initial weights, the same numbers in every layout; not
            where a checkpoint's take their place.

    Returns:
        The chunks of the model that this stage of the pipeline holds, in the order in which a
        sequence meets them: one, or several where the schedule interleaves.
    """
    assert config.model.vocab_size, "the vocabulary is known before a model is built"
    open_user_buffers(config)
    transformer = transformer_config(config)
    num_chunks = config.layout.virtual_pipeline_model_parallel_size
    chunks = []
    for number in range(num_chunks):
        model = _build_chunk(
            config,
            transformer,
            vp_stage=number if virtual_stages(config.layout) else None,
            pre_process=world.is_first_stage and number == 0,
            post_process=world.is_last_stage and number == num_chunks - 1,
        )
        if draws_weights:
            set_initial_weights(model, config)
        # The buffers of later chunks are one bucket each: only the first chunk's reduction, which
        # comes last, has nothing left to hide behind.
        chunks.append(
            DistributedDataParallel(
                transformer, data_parallel_config(config), model, disable_bucketing=number > 0
            )
        )
    return chunks


def _build_chunk(
    config: TrainingConfig, transformer: TransformerConfig, *, vp_stage: int | None, **place: bool
) -> GPTModel:
    model = config.model
    return GPTModel(
        transformer,
        _layer_spec(transformer, config.execution.attention_backend, vp_stage),
        model.padded_vocab_size,
        config.batch.sequence_length,
        position_embedding_type="rope",
        rotary_base=model.rotary_base,
        rope_scaling=model.rotary_scaling_factor != 1,
        rope_scaling_factor=model.rotary_scaling_factor,
        share_embeddings_and_output_weights=model.share_embeddings_and_output_weights,
        vp_stage=vp_stage,
        **place,
    )
