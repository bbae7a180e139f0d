"""Qwen 2.5 7B; sizes from the `config.json` of Qwen2.5-7B."""

from megatron_recipes.config import LayoutConfig, ModelConfig, TrainingConfig
from megatron_recipes.recipes.continual import build_variant, first_stage, recomputing

MODEL_7B = ModelConfig(
    num_layers=28,
    hidden_size=3584,
    ffn_hidden_size=18944,
    num_attention_heads=28,
    num_query_groups=4,
    kv_channels=128,
    # The tokenizer has 151,643 tokens and 22 added ones; the published embedding has 152,064
    # rows, which is that padded to a multiple of 512.
    vocab_size=151_665,
    make_vocab_size_divisible_by=512,
    max_position_embeddings=131_072,
    rotary_base=1_000_000,
    add_qkv_bias=True,
    layernorm_epsilon=1e-6,
)


def qwen2_5_7b(*, stage: int = 1, gpu: str = "h100", precision: str = "bf16") -> TrainingConfig:
    """Return a training of Qwen 2.5 7B on one machine of 8 GPUs, laid out as Llama 3 8B."""
    return build_variant(
        first_stage(
            "qwen2_5_7b",
            "Qwen 2.5 7B",
            MODEL_7B,
            LayoutConfig(
                context_parallel_size=2,
                data_parallel_size=4,
                overlap_grad_reduce=True,
                overlap_param_gather=True,
            ),
            # The rate of its pre-training is not published; that of Llama 3 8B.
            learning_rate=5e-5,
        ),
        stage=stage,
        gpu=gpu,
        precision=precision,
        differences={
            ("h100", "bf16"): recomputing(6),
            ("h100", "fp8"): recomputing(4),
            ("h200", "bf16"): {"context_parallel_size": 1, "data_parallel_size": 8},
            ("h200", "fp8"): {"context_parallel_size": 1, "data_parallel_size": 8},
        },
    )
