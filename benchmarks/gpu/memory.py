"""Part 6: the memory model's prediction against the measured peak, for five configurations.

Where there is no GPU, what a CPU holds the same of is compared: weights, gradients and optimizer
state of the CPU twins, to the byte.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.cases import FP8, PRECISION_AWARE, one_gpu
from benchmarks.gpu.throughput import measure

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options
    from benchmarks.gpu.report import Report

LIMIT = 0.05

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
    for name, fields in CASES.items():
        compare = _peak if options.on_gpu else _static
        report.run(name, partial(compare, name, BASE | fields, options))


def _peak(name: str, fields: dict[str, Any], options: Options) -> dict[str, Any]:
    config = one_gpu(options, **fields)
    found = measure(config, options, f"memory {name}".replace(" ", "_").replace(",", ""), 2, 2)
    predicted, peak = found["predicted_memory_bytes"], found["peak_memory_bytes"]
    error = predicted / peak - 1
    print(f"{name}: predicted {predicted / 1e9:.2f} GB, measured {peak / 1e9:.2f}, {error:+.1%}")
    return {
        "settings": found["settings"],
        "predicted_bytes": predicted,
        "peak_bytes": peak,
        "error": error,
        "limit": LIMIT,
        "ok": abs(error) <= LIMIT,
    }


def _static(_name: str, fields: dict[str, Any], options: Options) -> dict[str, Any]:
    from benchmarks.gpu.worlds import world_of_one
    from megatron_recipes.memory import fullest, stage_memories

    config = one_gpu(options, **fields)
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
        "predicted": {part: pair[0] for part, pair in pairs.items()},
        "found": {part: pair[1] for part, pair in pairs.items()},
        "buffers": found.buffers,
        "ok": all(expected == counted for expected, counted in pairs.values()),
    }
