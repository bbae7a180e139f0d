"""Which layout of some GPUs is fastest, by the estimate, among those that fit their memory."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from megatron_recipes.config import TrainingConfig
from megatron_recipes.estimate.rates import gpu_and_rates
from megatron_recipes.estimate.step_time import Throughput, estimate
from megatron_recipes.estimate.workload import workload_of
from megatron_recipes.memory import check_memory, fullest, stage_memories
from megatron_recipes.settings import with_fields

TENSOR_SIZES = (1, 2, 4, 8)
PIPELINE_SIZES = (1, 2, 4, 8, 16)
CONTEXT_SIZES = (1, 2, 4, 8)
CHUNKS = (1, 2, 4, 5, 8, 10)
"""Model chunks of a stage; those that do not divide its layers are refused by the config."""
MEDIAN_ERROR = 0.05
"""Of the estimate against published runs, rounded up to a whole percent: layouts that are closer to
each other are not told apart."""
WIDE_TENSOR = 4
"""Above this, matrices are cut smaller than the estimate knows the cost of: from TP4 to TP8 a
published fine-tuning of 70B lost 28 %, the estimate says a few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A layout that the config's checks accept and the memory holds."""

    config: TrainingConfig
    """The training at that layout."""

    throughput: Throughput
    """What the estimate says of it."""

    memory_bytes: float
    """Of the fullest stage."""

    @property
    def name(self) -> str:
        """Its sizes, those of 1 left out."""
        layout, execution = self.config.layout, self.config.execution
        sizes = (
            ("TP", layout.tensor_model_parallel_size),
            ("PP", layout.pipeline_model_parallel_size),
            ("VP", layout.virtual_pipeline_model_parallel_size),
            ("CP", layout.context_parallel_size),
            ("DP", layout.data_parallel_size),
        )
        words = [f"{short}{size}" for short, size in sizes if size > 1] or ["one GPU"]
        if execution.recompute_granularity == "full":
            words.append(f"recompute {execution.recompute_num_layers}")
        return " ".join(words)


def estimate_config(config: TrainingConfig) -> Throughput:
    """Return the throughput of a training.

    Raises:
        ValueError: Its `gpu` has no published rates.
    """
    gpu, rates = gpu_and_rates(config.execution.gpu)
    return estimate(workload_of(config), gpu, rates)


def rank_layouts(config: TrainingConfig, num_gpus: int) -> list[Candidate]:
    """Return the layouts of `num_gpus` GPUs that fit, fastest first.

    The batch, the precision and the model stay; each layout recomputes as few whole layers as its
    memory asks for.
    """
    found = []
    for fields in layout_fields(config, num_gpus, CHUNKS):
        # Tensor and context parallelism talk in every layer: only inside a node.
        talking = fields["tensor_model_parallel_size"] * fields["context_parallel_size"]
        if talking > config.execution.gpus_per_node:
            continue
        candidate = _with_least_recomputation(config, fields)
        if candidate:
            found.append(candidate)
    found.sort(key=lambda candidate: -candidate.throughput.tokens_per_second_per_gpu)
    return found


def not_told_apart(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Return the first of ranked layouts, and those closer to it than the estimate's own error."""
    if not ranked:
        return []
    least = (1 - MEDIAN_ERROR) * ranked[0].throughput.tokens_per_second_per_gpu
    return [each for each in ranked if each.throughput.tokens_per_second_per_gpu >= least]


def recommended(ranked: Sequence[Candidate]) -> Candidate:
    """Return the simplest of the layouts that are not told apart; there is at least one.

    Tensor parallelism above 4 last, recomputation next to last; then the fewest processes that
    share a replica of the model; then the fewest stages; then the fastest by the estimate.
    """

    def complexity(candidate: Candidate) -> tuple[bool, bool, int, int, float]:
        layout = candidate.config.layout
        return (
            layout.tensor_model_parallel_size > WIDE_TENSOR,
            candidate.config.execution.recompute_granularity != "none",
            layout.model_parallel_size,
            layout.pipeline_model_parallel_size,
            -candidate.throughput.tokens_per_second_per_gpu,
        )

    return min(not_told_apart(ranked), key=complexity)


def layout_fields(
    config: TrainingConfig, num_gpus: int, chunks: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Yield the fields of each layout that fills `num_gpus` processes, not checked further.

    Args:
        config: Says whether there are GPUs, on which communication overlaps.
        num_gpus: Processes.
        chunks: Model chunks of a stage to try, where there is a pipeline.
    """
    on_gpu = config.execution.gpu != "cpu"
    for tensor, pipeline, context in itertools.product(TENSOR_SIZES, PIPELINE_SIZES, CONTEXT_SIZES):
        replicas, rest = divmod(num_gpus, tensor * pipeline * context)
        if rest:
            continue
        overlaps = replicas * context > 1 and on_gpu
        for virtual in chunks if pipeline > 1 else (1,):
            yield {
                "tensor_model_parallel_size": tensor,
                "sequence_parallel": tensor > 1,
                "tp_comm_overlap": tensor > 1 and on_gpu,
                "pipeline_model_parallel_size": pipeline,
                "virtual_pipeline_model_parallel_size": virtual,
                "context_parallel_size": context,
                "data_parallel_size": replicas,
                "overlap_grad_reduce": overlaps,
                "overlap_param_gather": overlaps,
            }


def _with_least_recomputation(config: TrainingConfig, fields: dict[str, Any]) -> Candidate | None:
    layers = config.model.num_layers // fields["pipeline_model_parallel_size"]
    most = max(1, layers // fields["virtual_pipeline_model_parallel_size"])
    for count in sorted({0, 1, 2, 4, 8, most // 4, most // 2, most}):
        if count > most:
            break
        again = {
            "recompute_granularity": "full" if count else "none",
            "recompute_method": "block" if count else "none",
            "recompute_num_layers": count,
            "recompute_modules": "",
        }
        try:
            tried = with_fields(config, **fields, **again)
        except ValueError:
            return None
        try:
            check_memory(tried)
        except ValueError:
            continue
        return Candidate(
            config=tried,
            throughput=estimate_config(tried),
            memory_bytes=fullest(stage_memories(tried)).total,
        )
    return None
