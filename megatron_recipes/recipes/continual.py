"""What the recipes of published models share: two stages of pre-training, one of tuning, on Hopper.

A model's file states its network, its layout and its learning rate; each function here changes
the fields in which a stage, a GPU or a precision differs from stage 1 on H100 in BF16.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from megatron_recipes.config import (
    BatchConfig,
    ExecutionConfig,
    LayoutConfig,
    ModelConfig,
    OptimizationConfig,
    PrecisionConfig,
    ScheduleConfig,
    TrainingConfig,
)
from megatron_recipes.settings import with_fields

STAGES = {1: "general agent knowledge", 2: "high-quality seed", 3: "instruction tuning"}
"""Of the paper: stage 1 reads the whole corpus, stage 2 what it grew from, stage 3
conversations."""

GPU_NAMES = {"h100": "H100 80 GB", "h200": "H200 141 GB"}
PRECISIONS = {"bf16": "BF16", "fp8": "FP8"}

STAGE_1_STEPS = 24_576
"""Of 512 sequences of 8,192 tokens: 103 billion, the corpus that the paper *Hephaestus* (arXiv
2502.06589) reports, once."""

STAGE_2_STEPS = 2_048
"""8.6 billion tokens: our choice, a twelfth of stage 1. `max_epochs` refuses it for a seed that is
too small for as many."""

STAGE_3_STEPS = 1_000
"""Of 64 packed sequences: 0.5 billion tokens, about a million conversations of function calls; our
choice, to be set to two epochs of the data (Tulu 3: Lambert et al., 2024)."""

ENVIRONMENT = (
    # Memory that was freed in other sizes can be used again; NCCL's graph registration would not
    # go with it.
    ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
    ("NCCL_GRAPH_REGISTER", "0"),
    # Streams are told by events when memory is free: gathered weights leave at once.
    ("TORCH_NCCL_AVOID_RECORD_STREAMS", "1"),
    ("TORCH_NCCL_HIGH_PRIORITY", "1"),
    # Less memory for buffers of a feature that 8 GPUs do not need, fewer SMs for communication.
    ("NCCL_NVLS_ENABLE", "0"),
    ("NCCL_CTA_POLICY", "1"),
    # Norms would wait until communication gives all SMs back.
    ("NVTE_FWD_LAYERNORM_SM_MARGIN", "20"),
    ("NVTE_BWD_LAYERNORM_SM_MARGIN", "20"),
    ("NVTE_NORM_FWD_USE_CUDNN", "1"),
    ("NVTE_NORM_BWD_USE_CUDNN", "1"),
)
"""Source: NVIDIA's recipe of Llama 3 8B in FP8 (Megatron-Bridge 25.11). What depends on the layout
is in `config/environment.py`."""


class Recipe(Protocol):
    """A recipe of a published model."""

    __name__: str

    def __call__(
        self, *, stage: int = 1, gpu: str = "h100", precision: str = "bf16"
    ) -> TrainingConfig:
        """Return the config of a variant."""


def variant_name(model: str, stage: int, gpu: str, precision: str) -> str:
    """Return what a variant is called: `MODEL[_stage2|_stage3][_h200][_fp8]`."""
    suffixes = [f"stage{stage}"] * (stage > 1) + [gpu] * (gpu != "h100")
    return "_".join([model, *suffixes, *[precision] * (precision != "bf16")])


def first_stage(
    name: str, title: str, model: ModelConfig, layout: LayoutConfig, *, learning_rate: float
) -> TrainingConfig:
    """Return stage 1 on H100 in BF16.

    Args:
        name: The recipe's function.
        title: The model as people call it.
        model: The network.
        layout: Of the fewest GPUs that the recipe is meant for.
        learning_rate: The peak; see `OptimizationConfig` below for its course.
    """
    return TrainingConfig(
        recipe=name,
        description=title,
        model=model,
        layout=layout,
        batch=BatchConfig(
            sequence_length=8192,  # what Llama 3 was trained with; agent trajectories are long
            micro_batch_size=1,
            # 4.2 million tokens a step, between the 4 and 8 million of Llama 3 8B (The Llama 3
            # Herd of Models, 3.4.1).
            global_batch_size=512,
        ),
        optimization=OptimizationConfig(
            # Warmed up again from 0 and decayed to a tenth: Ibrahim et al., "Simple and Scalable
            # Strategies to Continually Pre-train Large Language Models" (2024). The length of the
            # warm-up matters little (Gupta et al., 2023): a hundredth.
            learning_rate=learning_rate,
            min_learning_rate=learning_rate / 10,
            lr_warmup_steps=STAGE_1_STEPS // 100,
        ),
        schedule=ScheduleConfig(
            num_steps=STAGE_1_STEPS,
            checkpoint_interval=50,  # under an hour on the GPUs of the recipe
            keep_every=1000,
            evaluation_interval=250,
            evaluation_sequences=128,
            loss_spike_factor=2.0,  # no batch of a blend is twice as hard as the mean
        ),
        precision=PrecisionConfig(params_dtype="bfloat16"),
        execution=ExecutionConfig(
            gpu="h100",
            cross_entropy="native",
            gradient_accumulation_fusion=True,
        ),
        environment=ENVIRONMENT,
    )


def second_stage(config: TrainingConfig) -> TrainingConfig:
    """Return stage 2 of a training: fewer steps, a fifth of the learning rate, annealed to 0.

    It warms up from where stage 1 ended. Linear to 0 on the best data is what Llama 3 was annealed
    with (The Llama 3 Herd of Models, 3.4.3); a fifth is our choice, so that what stage 1 learned
    from more data stays.
    """
    before = config.optimization
    return with_fields(
        config,
        num_steps=STAGE_2_STEPS,
        learning_rate=before.learning_rate / 5,
        min_learning_rate=0.0,
        lr_warmup_init=before.min_learning_rate,
        lr_warmup_steps=STAGE_2_STEPS // 100,
        lr_decay_style="linear",
    )


def third_stage(config: TrainingConfig) -> TrainingConfig:
    """Return stage 3 of a training: conversations, packed, whose loss counts where masks say.

    A tenth of the learning rate of stage 1, warmed up over 3 % and decayed linearly to 0: for 8B
    and 70B nearly what Tulu 3 was tuned with, 5e-6 and 2e-6 (Lambert et al., 2024). 64 sequences
    of 8,192 tokens hold as many conversations as batches of 512 to 2,048 unpacked ones.

    Conversations are short: shared by context parallelism, each would be cut into pieces of a few
    tokens, and padded to them. As many processes share matrices instead, and with them gradients,
    so that no layer has to be computed again.

    A loss of twice the mean is no spike here: a sixth of a step's tokens are trained, in a few
    hundred conversations, of which calls are far easier than free text, so that the mean moves with
    what a step happens to hold. Weights that diverge leave it much further behind: the loss of a
    model that knows nothing is 11 or 12, that of tuning mostly below 1. Four is our choice.
    """
    layout = config.layout
    tensor = layout.tensor_model_parallel_size * layout.context_parallel_size
    return with_fields(
        config,
        tensor_model_parallel_size=tensor,
        context_parallel_size=1,
        sequence_parallel=tensor > 1,
        recompute_granularity="none",
        recompute_method="none",
        recompute_num_layers=0,
        document_bounded_attention=True,
        pack_conversations=True,
        global_batch_size=64,
        num_steps=STAGE_3_STEPS,
        learning_rate=config.optimization.learning_rate / 10,
        min_learning_rate=0.0,
        lr_warmup_steps=STAGE_3_STEPS * 3 // 100,
        lr_decay_style="linear",
        keep_every=0,
        evaluation_interval=100,
        loss_spike_factor=4.0,
    )


def in_fp8(config: TrainingConfig) -> TrainingConfig:
    """Return a training with FP8 products.

    Current scaling is the fastest on Hopper and keeps no history. First and last layer stay in
    BF16 for convergence: NVIDIA's fastest runs leave that out and gain 2 layers' worth.
    """
    return with_fields(
        config,
        fp8="hybrid",
        fp8_recipe="tensorwise",
        fp8_param_gather=True,
        num_layers_at_start_in_bf16=1,
        num_layers_at_end_in_bf16=1,
    )


def recomputing(num_layers: int) -> dict[str, Any]:
    """Return the fields that compute the first layers of a stage again, to fit its memory."""
    return {
        "recompute_granularity": "full",
        "recompute_method": "block",
        "recompute_num_layers": num_layers,
    }


def build_variant(
    config: TrainingConfig,
    *,
    stage: int,
    gpu: str,
    precision: str,
    differences: dict[tuple[str, str], dict[str, Any]],
) -> TrainingConfig:
    """Return a variant of stage 1 on H100 in BF16, named and described.

    Args:
        config: Stage 1 on H100 in BF16; its description is the title of the model.
        stage: 1, 2 or 3.
        gpu: `h100` or `h200`.
        precision: `bf16` or `fp8`.
        differences: The fields in which a GPU and precision differ from H100 and BF16, beside
            those of FP8 itself.

    Raises:
        ValueError: There is no such stage, GPU or precision.
    """
    _require_known("stage", stage, STAGES)
    _require_known("gpu", gpu, GPU_NAMES)
    _require_known("precision", precision, PRECISIONS)
    config = with_fields(config, gpu=gpu, **differences.get((gpu, precision), {}))
    config = {1: lambda first: first, 2: second_stage, 3: third_stage}[stage](config)
    config = in_fp8(config) if precision == "fp8" else config
    where = f"{config.layout.world_size} x {GPU_NAMES[gpu]}, {PRECISIONS[precision]}"
    return dataclasses.replace(
        config,
        recipe=variant_name(config.recipe, stage, gpu, precision),
        description=f"{config.description}, stage {stage} ({STAGES[stage]}) on {where}",
    )


def _require_known(name: str, value: object, known: Mapping[Any, str]) -> None:
    if value not in known:
        raise ValueError(f"{name} ({value}) must be one of {', '.join(map(str, known))}")
