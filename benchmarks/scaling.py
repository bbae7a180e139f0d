"""Write docs/scaling.md: what 8B and 70B cost on 8 to 1,024 H100s, and how far to believe it.

    python -m benchmarks.scaling

Every number comes from `megatron_recipes.estimate`; nothing is measured here.
"""

import statistics
from collections.abc import Iterator
from pathlib import Path

from megatron_recipes.estimate.fit import predictions
from megatron_recipes.estimate.layouts import (
    MEDIAN_ERROR,
    WIDE_TENSOR,
    Candidate,
    not_told_apart,
    rank_layouts,
    recommended,
)
from megatron_recipes.estimate.rates import PUBLISHED
from megatron_recipes.recipes import find_recipe

PAGE = Path(__file__).parents[1] / "docs/scaling.md"
GPUS = (8, 16, 32, 64, 128, 256, 512, 1024)
SHOWN = 3
"""Layouts of each number of GPUs, beside the recommended one; of those that differ only in chunks
the fastest."""
TOKENS = 100e9
"""That days and GPU-hours are given for: about stage 1."""
RECIPES = (
    ("Llama 3 8B, BF16", "llama3_8b"),
    ("Llama 3 8B, FP8", "llama3_8b_fp8"),
    ("Llama 3 70B, BF16", "llama3_70b"),
    ("Llama 3 70B, FP8", "llama3_70b_fp8"),
)

INTRODUCTION = """\
# What a training costs, on paper

`megatron-recipes show RECIPE --estimate` computes the time of a step from operations, bytes moved
and link speeds, for any layout, without a GPU. This page is its study of Llama 3 on H100:
`python -m benchmarks.scaling` writes it again. **Nothing on it was measured by us.**

## How it is computed

A step is the sum of its parts, on the fullest pipeline stage
(`megatron_recipes/estimate/step_time.py` has each formula): matrix products and attention by their
operations over a share of the dense peak; norms, rotary positions, SwiGLU, casts and the sum of
weight gradients by the bytes they move; tensor and context parallel communication by bytes over
NVLink, as far as nothing hides it; the idle pipeline, (p - 1) / v micro batches for p stages of v
chunks; activations and gradients between stages, once there and back for each micro batch and
chunk, over the network unless all stages are in one machine; the optimizer by the bytes of its
states and gradients; the first gather of weights and the last reduction of gradients.
Recomputation takes time and counts in no throughput.

Rates of H100 SXM. Those that were published (`estimate/rates.py` names where) are other people's
measurements of kernels; the rest is assumed, and the fit below replaces two of the three:
"""

LIMITS = """\
## What it does not know

- Stragglers, failures, checkpoints and data that come late; clocks that fall in a hot rack.
- Overlap is a constant share, not a schedule; small micro batches and short sequences are
  faster on paper than in a machine that waits for kernel launches.
- The network is one number: 40 GB/s a GPU's port, whatever lies between the machines. A collective
  over replicas uses the ports of all its members in a machine; how long a message takes to begin is
  counted nowhere, which would show on 512 GPUs and more.
- Batches are the recipes' 512 sequences at every number of GPUs, so that 1,024 GPUs have one or
  two micro batches each: pipelines idle and reductions show. A larger batch would hide both.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


def page() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *_rates(), "", *_errors(), "", *_sizes(), LIMITS])


def _rates() -> Iterator[str]:
    rates = PUBLISHED["h100"]
    nvlink, network = rates.nvlink_bytes_per_second, rates.network_bytes_per_second
    yield "| rate | value | from |"
    yield "|---|---|---|"
    for rate, value, source in (
        (
            "matrix products in BF16, share of 989 TFLOP/s",
            f"{rates.bf16_share:.2f}",
            "assumed: below the 0.78 to 0.81 of one large square product",
        ),
        ("matrix products in FP8, share of 1,979 TFLOP/s", f"{rates.fp8_share:.2f}", "published"),
        ("attention, share of 989 TFLOP/s", f"{rates.attention_share:.2f}", "published"),
        ("memory", f"{rates.memory_bytes_per_second / 1e12:.2f} TB/s", "published"),
        ("NVLink, a GPU", f"{nvlink / 1e9:.0f} GB/s", "published"),
        (
            "network, a GPU's port",
            f"{network / 1e9:.0f} GB/s",
            "assumed: 80 % of 400 Gbit/s",
        ),
        (
            "tensor and interleaved pipeline parallel communication that shows",
            f"{rates.exposed_share:.2f}",
            "assumed",
        ),
    ):
        yield f"| {rate} | {value} | {source} |"


def _errors() -> Iterator[str]:
    found = predictions()
    errors = [abs(prediction.error) for prediction in found]
    yield "## Against published runs"
    yield ""
    yield (
        "Every Megatron-based run of Llama that we know the layout of. *From rates* uses the table "
        "above; *held out* fits the three shares of the peak and the share that shows to all runs "
        "of other families (a family: one source, model and kind), so no run had a part in its own "
        f"prediction. Error of the held-out prediction: median {statistics.median(errors):.1%}, "
        f"worst {max(errors):.1%}."
    )
    yield ""
    yield "| run | source | tokens/s/GPU | from rates | held out | error |"
    yield "|---|---|---|---|---|---|"
    for each in found:
        yield (
            f"| {each.run.name} | {each.run.source} | {each.run.tokens_per_second_per_gpu:,.0f} "
            f"| {each.published:,.0f} | {each.held_out:,.0f} | {each.error:+.1%} |"
        )


def _sizes() -> Iterator[str]:
    yield "## Layouts"
    yield ""
    yield (
        f"The fastest {SHOWN} layouts that fit 80 GB by the memory model of `show`, sequence "
        "8,192, 512 sequences a step, gradients accumulated in float32. Days and GPU-hours are for "
        f"{TOKENS / 1e9:,.0f} billion tokens; MFU is causal, of 989 (BF16) or 1,979 (FP8) TFLOP/s."
    )
    yield ""
    yield (
        f"**Not told apart (≈)** are layouts within {MEDIAN_ERROR:.0%} of the fastest, the median "
        "error above rounded up; how many they are in all stands beside the fastest. "
        "**Recommended, in bold,** is the simplest of them, in a row of its own if it is not among "
        f"the fastest: tensor parallelism above {WIDE_TENSOR} last (from TP4 to TP8 a published "
        "fine-tuning of 70B lost 28 %, far more than the estimate says), recomputation next to "
        "last; then the fewest processes that share a replica; then the fewest pipeline stages; "
        "then the fastest."
    )
    for title, recipe in RECIPES:
        yield ""
        yield f"### {title}"
        yield ""
        yield (
            "| GPUs | layout | beside the fastest | tokens/s/GPU | TFLOP/s causal | MFU | GB "
            "| days | GPU-hours |"
        )
        yield "|---|---|---|---|---|---|---|---|---|"
        for num_gpus in GPUS:
            yield from _rows(recipe, num_gpus)
    yield ""


def _rows(recipe: str, num_gpus: int) -> Iterator[str]:
    config = find_recipe(recipe)
    peak = 1979e12 if config.precision.fp8 != "none" else 989e12
    ranked = _distinct(rank_layouts(config, num_gpus))
    if not ranked:
        yield f"| {num_gpus:,} | none fits | | | | | | | |"
        return
    chosen, close = recommended(ranked), not_told_apart(ranked)
    shown = ranked[:SHOWN]
    for candidate in [*shown, *([] if chosen in shown else [chosen])]:
        found = candidate.throughput
        seconds = TOKENS / found.tokens_per_second_per_gpu / num_gpus
        behind = found.tokens_per_second_per_gpu / ranked[0].throughput.tokens_per_second_per_gpu
        beside = f"{'≈ ' if candidate in close else ''}{behind - 1:+.1%}"
        yield (
            f"| {num_gpus:,} | {f'**{candidate.name}**' if candidate is chosen else candidate.name}"
            f" | {f'first of {len(close)} (≈)' if candidate is ranked[0] else beside} "
            f"| {found.tokens_per_second_per_gpu:,.0f} "
            f"| {found.model_flops_causal / 1e12:.0f} | {found.model_flops_causal / peak:.1%} "
            f"| {candidate.memory_bytes / 1e9:.0f} | {seconds / 86_400:.2f} "
            f"| {seconds * num_gpus / 3600:,.0f} |"
        )


def _distinct(ranked: list[Candidate]) -> list[Candidate]:
    chosen: dict[tuple[int, ...], Candidate] = {}
    for candidate in ranked:
        layout = candidate.config.layout
        sizes = (
            layout.tensor_model_parallel_size,
            layout.pipeline_model_parallel_size,
            layout.context_parallel_size,
        )
        chosen.setdefault(sizes, candidate)
    return list(chosen.values())


if __name__ == "__main__":
    main()
