"""Part 3: Llama 3 8B whole, with its optimizer step, at 8,192 tokens, by the product's benchmark.

A plan that the memory model refuses, or that runs out of the GPU's memory, is noted and the next is
tried: 16 layers at last, which `half_stack` says. Any other failure is one of this part.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.cases import FP8, PRECISION_AWARE, RECIPE, arguments_of, one_gpu
from benchmarks.gpu.failures import Cause
from benchmarks.gpu.program import ProgramError, run_product
from megatron_recipes.config.gpus import GPUS
from megatron_recipes.memory import check_memory, fullest, reserve_bytes, stage_memories
from megatron_recipes.recipes import find_recipe

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options
    from benchmarks.gpu.report import Report
    from megatron_recipes.config import TrainingConfig

BATCH: dict[str, Any] = {
    # As many micro batches for each optimizer step as published runs of 128 sequences on 8 GPUs.
    "global_batch_size": 16
}
FALLBACK: dict[str, Any] = {"num_layers": 16}

PLANS: dict[str, tuple[dict[str, Any], ...]] = {
    "BF16": (PRECISION_AWARE, PRECISION_AWARE | FALLBACK),
    # Weights stay in BF16; all layers are in FP8, as in the fastest published runs.
    "FP8": (PRECISION_AWARE | FP8, PRECISION_AWARE | FP8 | FALLBACK),
}
STEPS, WARM_UP = 5, 2
TINY_STEPS, TINY_WARM_UP = 2, 1


def throughput(report: Report, options: Options) -> None:
    """Measure BF16, then FP8."""
    for number, (name, plans) in enumerate(PLANS.items()):
        report.run(name, partial(_first_that_fits, name, plans, options, len(PLANS) - number))


def _first_that_fits(
    name: str, plans: tuple[dict[str, Any], ...], options: Options, count: int = 1
) -> dict[str, Any]:
    options = options.first_of(count)
    refused = []
    for number, fields in enumerate(plans):
        config = one_gpu(options, **(BATCH | fields))
        if reason := _refusal(config):
            refused.append(reason)
            continue
        try:
            found = measure(config, options, f"{name}-{number}", STEPS, WARM_UP)
        except ProgramError as error:
            if error.cause is not Cause.DEVICE_MEMORY:
                raise
            refused.append(str(error)[:1000])
            continue
        whole = find_recipe(RECIPE).model.num_layers
        half = {"half_stack": config.model.num_layers < whole} if not options.tiny else {}
        return found | half | {"num_layers": config.model.num_layers, "refused": refused}
    raise MemoryError(f"no plan fits: {refused}")


def _refusal(config: TrainingConfig) -> str:
    """Return what the memory model says of a config that does not fit its GPU; else ""."""
    gpu = GPUS.get(config.execution.gpu)
    if gpu is None:
        return ""
    # By its numbers: a config may be refused for other reasons too, and those are failures.
    if fullest(stage_memories(config)).total + reserve_bytes(gpu) <= gpu.memory_bytes:
        return ""
    try:
        check_memory(config)
    except ValueError as reason:
        return str(reason)
    raise AssertionError("the memory model's check holds what its numbers refuse")


def measure(
    config: TrainingConfig, options: Options, name: str, steps: int, warm_up: int
) -> dict[str, Any]:
    """Run `megatron-recipes benchmark`; return its figures, and the memory that was predicted.

    Raises:
        ProgramError: It failed.
    """
    if options.tiny:
        steps, warm_up = TINY_STEPS, TINY_WARM_UP
    directory = options.work / "throughput" / name
    shutil.rmtree(directory, ignore_errors=True)
    recipe, *settings = arguments_of(config)
    run_product(
        options, "benchmark", recipe, *settings, "--output", directory, "--steps", str(steps),
        "--warm-up", str(warm_up), logs=directory,
    )  # fmt: skip
    result = json.loads((directory / "result.json").read_bytes())["results"][0]
    measured = result["measured"]
    return {
        "settings": arguments_of(config),
        "figures": result["figures"],
        "step_seconds": measured["seconds"],
        "losses": measured["losses"],
        "active": measured["active"],
        "peak_memory_bytes": measured["peak_memory_bytes"],
        "predicted_memory_bytes": fullest(stage_memories(config)).total,
    }
