"""The figures of a measurement, every formula and denominator named."""

import statistics
from dataclasses import dataclass
from typing import Any

from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.gpus import GPUS
from megatron_recipes.estimate.published import MODELS, RUNS
from megatron_recipes.flops import flops_per_token, recomputed_flops_per_token

TERA = 1e12


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
    def tokens_per_second_per_gpu(self) -> float:
        """Tokens of a step over its time and the processes."""
        return self.config.batch.tokens_per_step / self.seconds / self.config.layout.world_size

    def figures(self) -> dict[str, Any]:
        """Return the figures, JSON-ready: names say formula and denominator."""
        batch, layout = self.config.batch, self.config.layout
        flops = flops_per_token(self.config.model, batch.sequence_length)
        tokens = self.tokens_per_second_per_gpu
        causal, full = tokens * flops.causal / TERA, tokens * flops.full / TERA
        found: dict[str, Any] = {
            "tokens_per_second_per_gpu": tokens,
            "model_tflops_per_gpu_causal": causal,
            "model_tflops_per_gpu_full": full,
            "recomputed_tflops_per_gpu": tokens * recomputed_flops_per_token(self.config) / TERA,
            "median_step_seconds": self.seconds,
            "fastest_step_seconds": min(self.measured["seconds"]),
            "slowest_step_seconds": max(self.measured["seconds"]),
            "peak_memory_gb": self.measured["peak_memory_bytes"] / 1e9,
            "first_loss": self.measured["losses"][0],
            "last_loss": self.measured["losses"][-1],
            "gpus": layout.world_size,
        }
        gpu = GPUS.get(self.config.execution.gpu)
        if gpu:
            for formula, tflops in (("causal", causal), ("full", full)):
                for precision, peak in (("bf16", gpu.bf16_flops), ("fp8", gpu.fp8_flops)):
                    name = f"mfu_{formula}_of_{peak / TERA:.0f}_{precision}"
                    found[name] = tflops * TERA / peak
        joules = self.measured["joules_of_rank_0"]
        if joules is not None:
            steps = len(self.measured["seconds"])
            found["joules_per_token"] = joules / steps / batch.tokens_per_step * layout.world_size
        return found


def anchors(config: TrainingConfig) -> list[tuple[str, float]]:
    """Return published runs of the same model and kind: name with source, tokens/s/GPU."""
    model = config.model
    for known in MODELS.values():
        same = (
            known.num_layers == model.num_layers
            and known.hidden_size == model.hidden_size
            and known.ffn_hidden_size == model.ffn_hidden_size
            and known.vocab_size == model.vocab_size
        )
        if same:
            return [
                (f"{run.name} ({run.source})", run.tokens_per_second_per_gpu)
                for run in RUNS
                if run.work.model == known
                and run.work.trains_weights
                and bool(run.work.attended_tokens) == config.batch.pack_conversations
            ]
    return []
