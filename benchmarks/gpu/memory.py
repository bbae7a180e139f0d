"""Part 6: the memory model's prediction against the measured peak, for five configurations.

Without a GPU only static bytes are compared: weights, gradients and optimizer state of the CPU
twins. Each result says what was compared, with which settings, and what of the configuration the
twin does not have.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.cases import FP8, PRECISION_AWARE, arguments_of, one_gpu
from benchmarks.gpu.throughput import measure

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options
    from benchmarks.gpu.report import Report

LIMIT = 0.05
ON_GPU = "the whole prediction with the most that PyTorch's allocator gave out at once"
ON_CPU = (
    "static bytes alone: weights, gradients, optimizer state. Nothing here measures activations, "
    "logits, FP8 copies or the allocator"
)

BASE: dict[str, Any] = {"num_layers": 8, "global_batch_size": 2}

CASES: dict[str, dict[str, Any]] = {
    "BF16, float32 states": {},
    "BF16, precision-aware": PRECISION_AWARE | {"num_layers": 16},
    "BF16, every layer computed again": {
        "recompute_granularity": "full",
        "recompute_method": "uniform",
        "recompute_num_layers": 1,
    },
    "BF16, two sequences, feed-forward computed again": {
        "micro_batch_size": 2,
        "recompute_granularity": "selective",
        "recompute_modules": "mlp",
    },
    "FP8 weights and products": FP8 | {"fp8_param_gather": True},
}


def memory(report: Report, options: Options) -> None:
    """Compare each configuration; 8 layers of Llama 3 8B unless it says otherwise."""
    compare = _peak if options.on_gpu else _static
    for number, (name, fields) in enumerate(CASES.items()):
        count = len(CASES) - number
        report.run(name, partial(compare, name, BASE | fields, options, count))


def _peak(name: str, fields: dict[str, Any], options: Options, count: int) -> dict[str, Any]:
    options = options.first_of(count)
    config = one_gpu(options, **fields)
    found = measure(config, options, f"memory {name}".replace(" ", "_").replace(",", ""), 2, 2)
    predicted, peak = found["predicted_memory_bytes"], found["peak_memory_bytes"]
    error = predicted / peak - 1
    print(f"{name}: predicted {predicted / 1e9:.2f} GB, measured {peak / 1e9:.2f}, {error:+.1%}")
    return {
        "compared": ON_GPU,
        "settings": found["settings"],
        "predicted_bytes": predicted,
        "peak_bytes": peak,
        "error": error,
        "limit": LIMIT,
        "ok": abs(error) <= LIMIT,
    }


def _static(name: str, fields: dict[str, Any], options: Options, _count: int) -> dict[str, Any]:
    from benchmarks.gpu.worlds import world_of_one
    from megatron_recipes.config.cpu_twin import cpu_twin
    from megatron_recipes.memory import fullest, stage_memories

    config = one_gpu(options, **fields)
    gpus = dataclasses.replace(options, device="cuda")
    _, lost = cpu_twin(one_gpu(gpus, **fields))
    twins = [other for other, its in CASES.items() if one_gpu(options, **(BASE | its)) == config]
    predicted = fullest(stage_memories(config))
    with world_of_one(config) as (_world, chunks, optimizer):
        from benchmarks.gpu.static_bytes import static_bytes

        found = static_bytes(chunks, optimizer)
    pairs = {
        "weights": (predicted.weights, found.weights),
        "gradients": (predicted.gradients, found.gradients),
        "optimizer": (predicted.optimizer, found.optimizer),
    }
    return {
        "compared": ON_CPU,
        "settings": arguments_of(config),
        "not_on_a_cpu": list(lost),
        "same_as": [other for other in twins if other != name],
        "predicted_bytes": {part: pair[0] for part, pair in pairs.items()},
        "found_bytes": {part: pair[1] for part, pair in pairs.items()},
        "buffer_bytes": found.buffers,
        "ok": all(expected == counted for expected, counted in pairs.values()),
    }
