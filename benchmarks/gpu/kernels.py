"""Part 1: every kernel that the training leans on, against PyTorch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.gpu import adam, attention, layers, linear
from megatron_recipes.rank import prepare_megatron

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options
    from benchmarks.gpu.report import Report

CHECKED, TIMED = (2048, 4096, 3072), (8192, 4096, 14336)
"""Rows, inputs, outputs; the timed one is the first feed-forward product of Llama 3 8B."""

SECONDS = 60.0
"""That one kernel may take, its compilation included: what hangs is ended, and the rest is done."""

TINY_CHECKED, TINY_TIMED = (64, 96, 128), (128, 64, 256)


def kernels(report: Report, options: Options) -> None:
    """Compare numbers first, then speeds."""
    prepare_megatron()
    checked = TINY_CHECKED if options.tiny else CHECKED
    timed = TINY_TIMED if options.tiny else TIMED
    run = partial(report.run, seconds=SECONDS)
    found = run("FP8 rounding, emulated", partial(linear.emulated_errors, checked, options))
    emulated = found.get("errors", {})
    for recipe in ("", *linear.RECIPES):
        run(
            f"linear {recipe or 'BF16'}",
            partial(linear.linear_errors, checked, recipe, options, emulated),
        )
    run("fused attention", partial(attention.attention, options))
    run("RMSNorm and linear", partial(layers.norm, checked, options))
    run("cross entropy", partial(layers.cross_entropy, options))
    run("Adam, float32", partial(adam.adam_float32, options))
    run("Adam, precision-aware", partial(adam.adam_precision_aware, options))
    run("weight gradient", partial(linear.gradient_module_errors, checked, options))
    run("speed of PyTorch", partial(linear.torch_speed, timed, options))
    for recipe in ("", *linear.RECIPES):
        run(
            f"speed of linear {recipe or 'BF16'}",
            partial(linear.linear_speed, timed, recipe, options),
        )
