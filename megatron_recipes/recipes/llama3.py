"""Llama 3, 8B and 70B; sizes from the `config.json` of Meta-Llama-3-8B and Meta-Llama-3-70B."""

from megatron_recipes.config import LayoutConfig, ModelConfig, TrainingConfig
from megatron_recipes.recipes.continual import build_variant, first_stage, recomputing

MODEL_8B = ModelConfig(
    num_layers=32,
    hidden_size=4096,
    ffn_hidden_size=14336,
    num_attention_heads=32,
    num_query_groups=8,
    kv_channels=128,
    vocab_size=128_256,
    max_position_embeddings=8192,
    rotary_base=500_000,
    layernorm_epsilon=1e-5,
)

MODEL_70B = ModelConfig(
    num_layers=80,
    hidden_size=8192,
    ffn_hidden_size=28672,
    num_attention_heads=64,
    num_query_groups=8,
    kv_channels=128,
    vocab_size=128_256,
    max_position_embeddings=8192,
    rotary_base=500_000,
    layernorm_epsilon=1e-5,
)


def llama3_8b(*, stage: int = 1, gpu: str = "h100", precision: str = "bf16") -> TrainingConfig:
    """Return a training of Llama 3 8B on one machine of 8 GPUs.

    On 80 GB context parallelism halves the activations, as NVIDIA's BF16 runs do (DGXC 25.04).
    They reduce gradients in BF16; in float32, which sums of 128 micro batches want, some layers
    are computed again. On 141 GB neither is needed.
    """
    return build_variant(
        first_stage(
            "llama3_8b",
            "Llama 3 8B",
            MODEL_8B,
            LayoutConfig(
                context_parallel_size=2,
                data_parallel_size=4,
                overlap_grad_reduce=True,
                overlap_param_gather=True,
            ),
            # A sixth of the 3e-4 of its pre-training (Llama 3 Herd, table 3): our choice between
            # learning more and forgetting more.
            learning_rate=5e-5,
        ),
        stage=stage,
        gpu=gpu,
        precision=precision,
        differences={
            ("h100", "bf16"): recomputing(10),
            ("h100", "fp8"): recomputing(8),
            ("h200", "bf16"): {"context_parallel_size": 1, "data_parallel_size": 8},
            ("h200", "fp8"): {"context_parallel_size": 1, "data_parallel_size": 8},
        },
    )


def llama3_70b(*, stage: int = 1, gpu: str = "h100", precision: str = "bf16") -> TrainingConfig:
    """Return a training of Llama 3 70B on 8 machines of 8 GPUs.

    The layouts are those of NVIDIA's runs (DGXC 25.04): BF16 TP4 PP4 CP2 in 5 chunks a stage, FP8
    TP4 PP8 without context parallelism.
    """
    return build_variant(
        first_stage(
            "llama3_70b",
            "Llama 3 70B",
            MODEL_70B,
            LayoutConfig(
                tensor_model_parallel_size=4,
                pipeline_model_parallel_size=4,
                virtual_pipeline_model_parallel_size=5,
                context_parallel_size=2,
                data_parallel_size=2,
                sequence_parallel=True,
                tp_comm_overlap=True,
                overlap_grad_reduce=True,
                overlap_param_gather=True,
            ),
            learning_rate=2.5e-5,  # a sixth of 1.5e-4 (Llama 3 Herd, table 3), as for 8B
        ),
        stage=stage,
        gpu=gpu,
        precision=precision,
        differences={
            ("h100", "fp8"): {"pipeline_model_parallel_size": 8, "context_parallel_size": 1},
            ("h200", "bf16"): {"context_parallel_size": 1, "data_parallel_size": 4},
            ("h200", "fp8"): {"context_parallel_size": 1, "data_parallel_size": 4},
        },
    )
