"""The figures of a measurement, every formula and denominator named."""

import statistics
from dataclasses import dataclass
from typing import Any

from megatron_recipes.benchmark.content import Content
from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.gpus import GPUS
from megatron_recipes.flops import flops_per_token, recomputed_flops_per_token

TERA = 1e12

FORMULAS = {
    "tokens_per_second_per_gpu": (
        "tokens of a step / median step time / GPUs (on a CPU: processes). Of packed conversations "
        "only their own tokens count, the mean of the measured steps; with_padding counts whole "
        "sequences, as published runs do"
    ),
    "median_step_seconds": (
        "from the end of a step's last kernel to the end of the next one's, on rank 0 (CUDA "
        "events; on a CPU the system's clock)"
    ),
    "model_tflops_per_gpu": (
        "tokens/s/GPU x FLOP per token: linear = 6 (L (2 h nh d + 2 h ng d + 3 h f) + V h), causal "
        "adds 6 L nh d s, full adds 12 L nh d s; recomputation is in neither. s is the sequence "
        "length; where attention is bounded by documents of l tokens it is sum l^2 / sum l of "
        "those that were read (attended_tokens)"
    ),
    "recomputed_tflops_per_gpu": (
        "tokens/s/GPU x operations that the backward pass does a second time; in no other figure"
    ),
    "mfu": "model TFLOP/s / dense peak of one GPU, the one named; causal or full as named",
    "peak_memory_gb": (
        "the most that PyTorch's allocator gave out at once since the process began, its greatest "
        "of all processes, in 10^9 bytes; CUDA's context, NCCL and what the allocator holds unused "
        "come on top (on a CPU: the most that was resident)"
    ),
    "padding_share": "inputs that only fill sequences / all inputs of the measured steps",
    "joules_per_token": (
        "energy of all GPUs over the measured steps, as their drivers count it, / tokens of those "
        "steps"
    ),
}
"""By the beginning of the figures' names; h hidden, d head size, nh query heads, ng key/value
heads, f feed-forward, L layers, V vocabulary (padded)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One measurement of one config."""

    config: TrainingConfig
    """What was measured."""

    measured: dict[str, Any]
    """`measured.json`."""

    @property
    def seconds(self) -> float:
        """The median step."""
        return float(statistics.median(self.measured["seconds"]))

    @property
    def content(self) -> Content | None:
        """What the measured steps read where documents bound attention; else None."""
        found = self.measured.get("content")
        return Content(**found) if found else None

    @property
    def tokens_per_step(self) -> float:
        """Tokens of documents in a step, the mean of those measured."""
        content = self.content
        if content is None:
            return self.config.batch.tokens_per_step
        return content.tokens / len(self.measured["seconds"])

    @property
    def tokens_per_second_per_gpu(self) -> float:
        """Tokens of a step over its time and the processes; padding is none."""
        return self.tokens_per_step / self.seconds / self.config.layout.world_size

    def figures(self) -> dict[str, Any]:
        """Return the figures, JSON-ready: names say formula, denominator and unit."""
        config, content, tokens = self.config, self.content, self.tokens_per_second_per_gpu
        attended = content.attended_tokens if content else config.batch.sequence_length
        flops = flops_per_token(config.model, attended)
        causal, full = tokens * flops.causal / TERA, tokens * flops.full / TERA
        again = recomputed_flops_per_token(config, attended)
        return {
            "tokens_per_second_per_gpu": tokens,
            **self._packing(),
            "model_tflops_per_gpu_causal": causal,
            "model_tflops_per_gpu_full": full,
            "recomputed_tflops_per_gpu": tokens * again / TERA,
            **self._utilization(causal, full),
            "median_step_seconds": self.seconds,
            "fastest_step_seconds": min(self.measured["seconds"]),
            "slowest_step_seconds": max(self.measured["seconds"]),
            "peak_memory_gb": self.measured["peak_memory_bytes"] / 1e9,
            **self._energy(),
            "first_loss": self.measured["losses"][0],
            "last_loss": self.measured["losses"][-1],
            "gpus": config.layout.world_size,
        }

    def _packing(self) -> dict[str, float]:
        content = self.content
        if content is None:
            return {}
        batch, bounded = self.config.batch, {"attended_tokens": content.attended_tokens}
        if not batch.pack_conversations:  # whole sequences of documents: nothing is padded
            return bounded
        whole = batch.tokens_per_step / self.seconds / self.config.layout.world_size
        return {
            "tokens_per_second_per_gpu_with_padding": whole,
            "padding_share": content.padding / (content.padding + content.tokens),
            **bounded,
        }

    def _utilization(self, causal: float, full: float) -> dict[str, float]:
        gpu = GPUS.get(self.config.execution.gpu)
        if gpu is None:
            return {}
        return {
            f"mfu_{formula}_of_{peak / TERA:.0f}_{precision}": tflops * TERA / peak
            for formula, tflops in (("causal", causal), ("full", full))
            for precision, peak in (("bf16", gpu.bf16_flops), ("fp8", gpu.fp8_flops))
        }

    def _energy(self) -> dict[str, float]:
        joules = self.measured["joules"]
        if joules is None:
            return {}
        tokens = self.tokens_per_step * len(self.measured["seconds"])
        return {"joules_per_token": joules / tokens}
