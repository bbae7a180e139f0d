"""The figures of a step: speed, model FLOP/s, their share of the peak, memory, time left."""

import resource
from dataclasses import dataclass
from typing import Any

import torch

from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.gpus import GPUS
from megatron_recipes.flops import flops_per_token

TERA = 1e12
KIBI = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    """What one GPU could compute: the denominator of MFU."""

    tflops: float
    """Dense, in 10^12 operations per second."""

    name: str
    """Number, GPU and format."""


def peak_of(config: TrainingConfig) -> Peak | None:
    """Return the peak of the config's GPU in its format; a CPU has none that means anything."""
    gpu = GPUS.get(config.execution.gpu)
    if gpu is None:
        return None
    is_fp8 = config.precision.fp8 != "none"
    tflops = (gpu.fp8_flops if is_fp8 else gpu.bf16_flops) / TERA
    return Peak(
        tflops=tflops, name=f"{tflops:g} TFLOP/s ({gpu.name}, {'FP8' if is_fp8 else 'BF16'})"
    )


class StepFigures:
    """What follows from the seconds of a step."""

    def __init__(self, config: TrainingConfig) -> None:
        self._tokens = config.batch.tokens_per_step
        self._processes = config.layout.world_size
        self._flops = flops_per_token(config.model, config.batch.sequence_length).causal
        self._peak = peak_of(config)
        is_bounded = config.batch.document_bounded_attention
        self._formula = "causal, of whole sequences" if is_bounded else "causal"

    def of(self, seconds: float) -> dict[str, Any]:
        """Return the figures of a step, as they stand in the metrics file.

        `mfu` is a share, null without a peak; `flops_formula` and `mfu_denominator` say of what.
        Attention counts the pairs of whole sequences, also where it is bounded by documents, and
        padding counts as tokens; the formula says so. `benchmark` counts what documents have.
        """
        per_second = self._tokens / seconds
        tflops = per_second * self._flops / self._processes / TERA
        return {
            "tokens_per_second": per_second,
            "tokens_per_second_per_gpu": per_second / self._processes,
            "model_tflops_per_gpu": tflops,
            "flops_formula": self._formula,
            "mfu": tflops / self._peak.tflops if self._peak else None,
            "mfu_denominator": self._peak.name if self._peak else "none",
        }


def peak_memory_bytes() -> int:
    """Return the most memory this process has held: allocated on its GPU, else resident."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBI
