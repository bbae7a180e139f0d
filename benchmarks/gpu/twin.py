"""Part 2: two layers on the GPU, in BF16 and FP8, against their CPU twin, in loss.

Both are the product's own: config, model, optimizer, step. Initial weights are drawn on the host,
so both begin with the same numbers. FP8 weights keep those that Megatron-Core draws, another
model: `fp8_param_gather` is left to the parts that do not compare with a CPU.
"""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.cases import FP8, PRECISION_AWARE, TINY, arguments_of, one_gpu
from benchmarks.gpu.program import run_module

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options
    from benchmarks.gpu.report import Report
    from megatron_recipes.config import TrainingConfig

TWO_LAYERS: dict[str, Any] = {
    "num_layers": 2,
    "hidden_size": 1024,
    "ffn_hidden_size": 3584,
    "num_attention_heads": 16,
    "num_query_groups": 4,
    "kv_channels": 64,
    "vocab_size": 8192,
    "sequence_length": 512,
    "micro_batch_size": 2,
    "global_batch_size": 4,
    "num_steps": 20,
    "lr_warmup_steps": 0,
    "lr_decay_style": "constant",
    "min_learning_rate": 0.0,
    # Above this the loss leaps, and BF16 leaves the float32 curve without being wrong.
    "learning_rate": 2e-4,
}

VARIANTS: dict[str, tuple[dict[str, Any], float]] = {
    "BF16": ({}, 0.05),
    "BF16, precision-aware": (PRECISION_AWARE, 0.05),
    "FP8 tensorwise": (FP8, 0.15),
    "FP8 tensorwise, precision-aware": (FP8 | PRECISION_AWARE, 0.15),
    "FP8 blockwise": (FP8 | {"fp8_recipe": "blockwise"}, 0.15),
    "FP8 delayed": (
        FP8
        | {
            "fp8_recipe": "delayed",
            "fp8_amax_history_len": 16,
            "fp8_amax_compute_algo": "max",
        },
        0.2,
    ),
}
"""Fields, and the greatest gap to the twin in a step's loss; those of FP8 are guesses."""

TINY_VARIANTS: dict[str, tuple[dict[str, Any], float]] = {
    "float32": (
        {"params_dtype": "float32", "gradient_accumulation_fusion": False},
        0.05,
    )
}
"""What a CPU can compare with its BF16 twin."""

LEAST_FALL, TINY_FALL = 1.0, 0.05
"""By which the loss falls, if gradients and optimizer do their work."""


def twin(report: Report, options: Options) -> None:
    """Train the twin, then every variant."""
    found = report.run("CPU twin, BF16", partial(_train_twin, options))
    reference = found.get("losses", [])
    variants = VARIANTS if options.on_gpu else TINY_VARIANTS
    for number, (name, (fields, limit)) in enumerate(variants.items()):
        count = len(variants) - number
        report.run(name, partial(_compare, name, fields, limit, reference, options, count))


def _config(options: Options, fields: dict[str, Any]) -> TrainingConfig:
    fast = {"num_steps": 6, "learning_rate": 2e-3} if options.tiny else {}
    sizes = TWO_LAYERS | (TINY if options.tiny else {})
    return one_gpu(options, **(sizes | fast | fields))


def _train_twin(options: Options) -> dict[str, Any]:
    here = dataclasses.replace(options, device="cpu")
    return {"measured_on": "cpu"} | _train("twin", _config(here, {}), here)


def _train(name: str, config: TrainingConfig, options: Options) -> dict[str, Any]:
    directory = options.work / "twin" / name.replace(" ", "_").replace(",", "")
    directory.mkdir(parents=True, exist_ok=True)
    case, found = directory / "case.json", directory / "found.json"
    content = {"settings": arguments_of(config), "num_steps": config.schedule.num_steps}
    case.write_text(json.dumps(content))
    run_module(options, "benchmarks.gpu.losses", case, found)
    result: dict[str, Any] = json.loads(found.read_bytes())
    fall = result["losses"][0] - result["losses"][-1]
    return result | {"fall": fall, "ok": fall > (TINY_FALL if options.tiny else LEAST_FALL)}


def _compare(
    name: str,
    fields: dict[str, Any],
    limit: float,
    reference: list[float],
    options: Options,
    count: int,
) -> dict[str, Any]:
    if not reference:
        raise LookupError("the CPU twin has no losses to compare with: see why above")
    options = options.first_of(count)
    found = _train(name, _config(options, fields), options)
    gaps = [abs(a - b) for a, b in zip(found["losses"], reference, strict=True)]
    return found | {
        "first_gap": gaps[0],
        "largest_gap": max(gaps),
        "limit": limit,
        "ok": found["ok"] and max(gaps) <= limit,
    }
