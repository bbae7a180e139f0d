"""How long a training takes at a stated utilization."""

from dataclasses import dataclass

from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.gpus import GPUS
from megatron_recipes.flops import flops_per_token

BF16_MFU, FP8_MFU = 0.50, 0.36
"""Model FLOPs utilization unless stated, of causal operations and the dense peak of the precision.

NVIDIA reports for Llama 3 at sequence 8,192 on H100: BF16 55.6 % (8B) and 50.8 % (70B), FP8 37.6 %
and 36.9 %; DGXC benchmarking 25.04 and Megatron-Bridge 25.11. These are the lower ones, rounded
down."""

SOURCE = "NVIDIA's Llama 3 70B on H100"


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """The time of a whole training, evaluations and saves not counted."""

    mfu: float
    """Causal operations of the model per second, over the peak."""

    peak_flops: float
    """The denominator, of one GPU."""

    peak_name: str
    """Of which precision and GPU it is."""

    tokens_per_second: float
    """Of one GPU."""

    seconds: float
    """Of the training."""

    gpu_hours: float
    """Of all GPUs together."""


def check_utilization(config: TrainingConfig, mfu: float | None) -> None:
    """Refuse a utilization that is none, or that nothing would be computed from.

    Raises:
        ValueError: `mfu` is not in (0, 1], or has no effect.
    """
    if mfu is None:
        return
    if not 0 < mfu <= 1:
        raise ValueError(f"--mfu ({mfu}) must be a share above 0, at most 1")
    if config.execution.gpu not in GPUS:
        raise ValueError(f"--mfu ({mfu}) has no effect with gpu (cpu), whose peak is not known")
    if not config.model.vocab_size:
        raise ValueError(f"--mfu ({mfu}) needs the vocabulary: give --blend, or --set vocab_size=N")


def estimate_duration(config: TrainingConfig, mfu: float | None = None) -> Duration | None:
    """Return the time a config takes, or None on CPUs, which have no stated peak.

    Args:
        config: Its vocabulary must be known.
        mfu: The utilization; None: what NVIDIA reports for the precision.

    Raises:
        ValueError: `mfu` is not in (0, 1], or has no effect.
    """
    gpu, is_fp8 = GPUS.get(config.execution.gpu), config.precision.fp8 != "none"
    check_utilization(config, mfu)
    if gpu is None:
        return None
    share = mfu or (FP8_MFU if is_fp8 else BF16_MFU)
    flops = flops_per_token(config.model, config.batch.sequence_length).causal
    per_second = share * gpu.flops(is_fp8=is_fp8) / flops
    tokens = config.schedule.num_steps * config.batch.tokens_per_step
    return Duration(
        mfu=share,
        peak_flops=gpu.flops(is_fp8=is_fp8),
        peak_name=f"{'FP8' if is_fp8 else 'BF16'}, {gpu.name}",
        tokens_per_second=per_second,
        seconds=tokens / per_second / config.layout.world_size,
        gpu_hours=tokens / per_second / 3600,
    )
