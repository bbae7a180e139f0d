"""Memory of a GPU in training, by part, by formula; nothing here was measured on one.

Sizes a process holds are those of its pipeline stage, matrices divided by tensor parallelism.
"""

from dataclasses import dataclass

from megatron_recipes.activations import activation_bytes, logits_bytes, num_fp8_layers
from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.gpus import GPUS, Gpu
from megatron_recipes.config.stages import layers_per_stage
from megatron_recipes.flops import attention_matrices, mlp_matrices, qkv_biases

STATE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

RESERVED_BYTES = 3 * 1024**3
"""CUDA's context, NCCL's buffers, workspaces of matrix products: our allowance for them."""

FRAGMENTED_SHARE = 0.04
"""Of a GPU's memory: what the allocator holds and cannot give; our allowance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageMemory:
    """Bytes of one process of a pipeline stage at the fullest moment of a step."""

    stage: int
    """The stage, from 0."""

    weights: float
    """In `params_dtype`; in FP8 those that `fp8_param_gather` keeps so."""

    fp8_copies: float
    """Weights of FP8 products, cast and transposed, kept from one micro batch to the next."""

    gradients: float
    """What is accumulated and reduced, of all weights the process holds."""

    optimizer: float
    """Master weights and moments: this replica's share of them."""

    activations: float
    """What the micro batches in flight keep for their backward pass, and one layer's gradients."""

    logits: float
    """Output of the last norm, logits, cross entropy; nothing but on the last stage."""

    step: float
    """The optimizer's float32 copies of gradients that were reduced in BF16, while it steps."""

    @property
    def total(self) -> float:
        """All of it: activations and the optimizer's copies are never there at once."""
        static = self.weights + self.fp8_copies + self.gradients + self.optimizer
        return static + max(self.activations + self.logits, self.step)


def reserve_bytes(gpu: Gpu) -> float:
    """Return what is left free of a GPU for what no formula here counts."""
    return RESERVED_BYTES + FRAGMENTED_SHARE * gpu.memory_bytes


def stage_memories(config: TrainingConfig) -> list[StageMemory]:
    """Return the memory of a process of each pipeline stage; the vocabulary must be known."""
    layers = layers_per_stage(config.model, config.layout)
    return [_stage_memory(config, stage, count) for stage, count in enumerate(layers)]


def fullest(stages: list[StageMemory]) -> StageMemory:
    """Return the first of the stages that need most."""
    return max(stages, key=lambda stage: stage.total)


def check_memory(config: TrainingConfig) -> None:
    """Refuse a training that does not fit its GPU; CPUs have no stated memory.

    Raises:
        ValueError: It names the parts of the fullest stage, the GPU's memory and what to change.
    """
    gpu = GPUS.get(config.execution.gpu)
    if gpu is None or not config.model.vocab_size:
        return
    worst, reserve = fullest(stage_memories(config)), reserve_bytes(gpu)
    if worst.total + reserve <= gpu.memory_bytes:
        return
    parts = [
        ("weights", worst.weights),
        ("FP8 copies", worst.fp8_copies),
        ("gradients", worst.gradients),
        ("optimizer", worst.optimizer),
        ("activations", worst.activations),
        ("logits", worst.logits),
    ]
    named = " + ".join(f"{name} {size / 1e9:.1f}" for name, size in parts if size)
    if worst.step > worst.activations + worst.logits:
        named += f", or {worst.step / 1e9:.1f} of float32 gradients in the optimizer's step"
    raise ValueError(
        f"gpu ({config.execution.gpu}) has {gpu.memory_bytes / 1e9:.1f} GB, of which "
        f"{reserve / 1e9:.1f} are reserved, but pipeline stage {worst.stage} needs "
        f"{worst.total / 1e9:.1f} ({named}); {_advice(config, worst, gpu)}"
    )


def _advice(config: TrainingConfig, worst: StageMemory, gpu: Gpu) -> str:
    layout, execution, batch = config.layout, config.execution, config.batch
    free = gpu.memory_bytes - reserve_bytes(gpu)
    if worst.total - max(worst.activations + worst.logits, worst.step) > 0.9 * free:
        return (
            f"raise tensor_model_parallel_size ({layout.tensor_model_parallel_size}), "
            f"pipeline_model_parallel_size ({layout.pipeline_model_parallel_size}) or, for the "
            f"optimizer, data_parallel_size ({layout.data_parallel_size})"
        )
    if batch.micro_batch_size > 1:
        return f"lower micro_batch_size ({batch.micro_batch_size})"
    if execution.recompute_granularity != "full":
        return (
            f"raise context_parallel_size ({layout.context_parallel_size}) or set "
            f"recompute_granularity ({execution.recompute_granularity}) to full"
        )
    return (
        f"raise context_parallel_size ({layout.context_parallel_size}) or recompute_num_layers "
        f"({execution.recompute_num_layers}), which is {execution.recompute_method}"
    )


def _stage_memory(config: TrainingConfig, stage: int, layers: int) -> StageMemory:
    precision, layout = config.precision, config.layout
    in_fp8, in_bf16 = _stage_parameters(config, stage, layers)
    shards = layout.num_replicas if layout.use_distributed_optimizer else 1
    copies, of_fp8 = (1, 1) if precision.fp8_param_gather else (2, precision.bytes_per_weight)
    is_last = stage == layout.pipeline_model_parallel_size - 1
    casts_gradients = precision.bytes_per_gradient < 4 and _has_float32_masters(config)
    return StageMemory(
        stage=stage,
        weights=of_fp8 * in_fp8 + precision.bytes_per_weight * in_bf16,
        fp8_copies=copies * in_fp8,
        gradients=precision.bytes_per_gradient * (in_fp8 + in_bf16),
        optimizer=_optimizer_bytes(config, in_fp8, in_bf16) / shards,
        activations=activation_bytes(config, stage, layers),
        logits=logits_bytes(config) if is_last else 0.0,
        step=4 * (in_fp8 + in_bf16) / shards if casts_gradients else 0.0,
    )


def _stage_parameters(config: TrainingConfig, stage: int, layers: int) -> tuple[float, float]:
    """Return the weights of FP8 products that a process holds, and its other weights."""
    model, tensor = config.model, config.layout.tensor_model_parallel_size
    last = config.layout.pipeline_model_parallel_size - 1
    matrices = (attention_matrices(model) + mlp_matrices(model)) / tensor
    vectors = 2 * model.hidden_size + qkv_biases(model) / tensor
    in_fp8 = num_fp8_layers(config, stage, layers) * matrices
    others = layers * (matrices + vectors) - in_fp8
    table = model.padded_vocab_size * model.hidden_size / tensor
    is_shared_here = model.share_embeddings_and_output_weights and last == 0
    others += table * (stage == 0) + table * (stage == last and not is_shared_here)
    return in_fp8, others + model.hidden_size * (stage == last)


def _has_float32_masters(config: TrainingConfig) -> bool:
    """Whether Megatron-Core keeps whole master weights, and updates them by float32 gradients.

    The precision-aware optimizer needs neither, unless weights are in FP8 by another scaling than
    `delayed`, which its kernel cannot cast to: then all weights have them, BF16 ones too.
    """
    precision = config.precision
    has_cast = precision.fp8_param_gather and precision.fp8_recipe != "delayed"
    return has_cast or not precision.use_precision_aware_optimizer


def _optimizer_bytes(config: TrainingConfig, in_fp8: float, in_bf16: float) -> float:
    """Return the bytes of all replicas together."""
    precision = config.precision
    if precision.params_dtype == "float32":
        return 8 * in_bf16
    if not precision.use_precision_aware_optimizer:
        return 12 * (in_fp8 + in_bf16)
    moments = STATE_BYTES[precision.exp_avg_dtype] + STATE_BYTES[precision.exp_avg_sq_dtype]
    # Of BF16 weights its kernel keeps only the lower half of the float32 master.
    of_bf16 = 4 if _has_float32_masters(config) else 2
    of_fp8 = 4 if precision.fp8_param_gather else of_bf16
    return (of_fp8 + moments) * in_fp8 + (of_bf16 + moments) * in_bf16
