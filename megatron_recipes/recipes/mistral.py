"""Mistral 7B v0.3; sizes from the `config.json` of Mistral-7B-v0.3."""

from megatron_recipes.config import LayoutConfig, ModelConfig, TrainingConfig
from megatron_recipes.recipes.continual import build_variant, first_stage

MODEL_7B = ModelConfig(
    num_layers=32,
    hidden_size=4096,
    ffn_hidden_size=14336,
    num_attention_heads=32,
    num_query_groups=8,
    kv_channels=128,
    vocab_size=32_768,
    max_position_embeddings=32_768,
    rotary_base=1_000_000,
    layernorm_epsilon=1e-5,
)


def mistral_7b(*, stage: int = 1, gpu: str = "h100", precision: str = "bf16") -> TrainingConfig:
    """Return a training of Mistral 7B v0.3 on one machine of 8 GPUs.

    Context parallelism halves the activations on 80 GB, as for Llama 3 8B; with a quarter of its
    vocabulary nothing has to be computed again.
    """
    return build_variant(
        first_stage(
            "mistral_7b",
            "Mistral 7B v0.3",
            MODEL_7B,
            LayoutConfig(
                context_parallel_size=2,
                data_parallel_size=4,
                overlap_grad_reduce=True,
                overlap_param_gather=True,
            ),
            # The rate of its pre-training is not published; that of Llama 3 8B, which is as wide
            # and deep.
            learning_rate=5e-5,
        ),
        stage=stage,
        gpu=gpu,
        precision=precision,
        differences={
            ("h200", "bf16"): {"context_parallel_size": 1, "data_parallel_size": 8},
            ("h200", "fp8"): {"context_parallel_size": 1, "data_parallel_size": 8},
        },
    )
