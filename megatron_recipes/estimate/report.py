"""The estimate of a config as `show --estimate` prints it."""

from dataclasses import fields

from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.gpus import GPUS
from megatron_recipes.estimate.layouts import (
    MEDIAN_ERROR,
    Candidate,
    estimate_config,
    not_told_apart,
    rank_layouts,
    recommended,
)
from megatron_recipes.estimate.step_time import StepTime, Throughput

NUM_LAYOUTS = 3
"""That are listed."""
LEAST_SHARE = 0.005
"""Parts of a step below this are not listed."""


def estimate_lines(config: TrainingConfig) -> list[tuple[str, str]]:
    """Return labels and texts: throughput, the parts of a step, the fastest layouts.

    Raises:
        ValueError: The config's `gpu` has no published rates, or its vocabulary is not known.
    """
    if not config.model.vocab_size:
        raise ValueError("--estimate needs the vocabulary: give --blend, or --set vocab_size=N")
    found = estimate_config(config)
    seconds = config.schedule.num_steps * found.step.seconds
    hours = seconds * config.layout.world_size / 3600
    lines = [
        ("estimate", throughput_text(config, found)),
        ("", f"{found.step.seconds:.2f} s a step: {parts_text(found.step)}"),
        ("", f"{seconds / 86_400:.1f} days or {hours:,.0f} GPU-hours for all steps"),
    ]
    ranked = rank_layouts(config, config.layout.world_size)
    for number, candidate in enumerate(ranked[:NUM_LAYOUTS]):
        lines.append(("fastest" if number == 0 else "", layout_text(candidate)))
    if not ranked:
        return [*lines, ("fastest", "no layout of as many GPUs fits their memory")]
    close = len(not_told_apart(ranked))
    return [
        *lines,
        (
            "recommended",
            f"{recommended(ranked).name}, the simplest of {close} within {MEDIAN_ERROR:.0%} of the "
            "fastest: the estimate's own error, so it does not tell them apart",
        ),
    ]


def throughput_text(config: TrainingConfig, found: Throughput) -> str:
    """Return tokens/s, TFLOP/s by both formulas, and MFU with its formula and denominators."""
    gpu = GPUS[config.execution.gpu]
    utilization = f"{found.model_flops_causal / gpu.bf16_flops:.1%} of {gpu.bf16_flops / 1e12:,.0f}"
    if config.precision.fp8 != "none":
        share = found.model_flops_causal / gpu.fp8_flops
        utilization = f"{share:.1%} of {gpu.fp8_flops / 1e12:,.0f} (FP8), {utilization} (BF16)"
    causal, full = found.model_flops_causal / 1e12, found.model_flops_full / 1e12
    whole = ", attention over whole sequences" if config.batch.document_bounded_attention else ""
    return (
        f"{found.tokens_per_second_per_gpu:,.0f} tokens/s/GPU; {causal:.0f} TFLOP/s causal, "
        f"{full:.0f} full; causal MFU {utilization}{whole}"
    )


def parts_text(step: StepTime) -> str:
    """Return the parts of a step with their shares, greatest first."""
    shares = {field.name: getattr(step, field.name) / step.seconds for field in fields(step)}
    listed = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{name.replace('_', ' ')} {share:.0%}" for name, share in listed if share >= LEAST_SHARE
    )


def layout_text(candidate: Candidate) -> str:
    """Return one layout with its tokens/s and memory."""
    return (
        f"{candidate.name}: {candidate.throughput.tokens_per_second_per_gpu:,.0f} tokens/s/GPU, "
        f"{candidate.memory_bytes / 1e9:.0f} GB"
    )
