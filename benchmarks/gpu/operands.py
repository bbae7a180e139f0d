"""Tensors to compare kernels on, what differs between two results, how long one call takes."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu.report import SkippedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.gpu.options import Options

SEED = 1234
BF16_PEAK, FP8_PEAK = 989.0, 1979.0
"""Dense TFLOP/s of H100 SXM and H200, by NVIDIA's data sheet."""

Sizes = tuple[int, int, int]
"""Rows, inputs and outputs of a linear layer."""


def require_gpu(options: Options) -> None:
    """Skip what only a GPU with Transformer Engine does."""
    if not options.on_gpu:
        raise SkippedError("needs a GPU and Transformer Engine")


def draw(*shape: int, options: Options, seed: int = SEED) -> torch.Tensor:
    """Return normally distributed BF16 numbers."""
    generator = torch.Generator(options.device).manual_seed(seed)
    return torch.randn(*shape, generator=generator, device=options.device).bfloat16()


def linear_operands(sizes: Sizes, options: Options) -> tuple[torch.Tensor, ...]:
    """Return input `[rows, inputs]`, weight `[outputs, inputs]`, gradient `[rows, outputs]`."""
    rows, inputs, outputs = sizes
    weight = draw(outputs, inputs, options=options, seed=SEED + 1) / math.sqrt(inputs)
    return (
        draw(rows, inputs, options=options),
        weight,
        draw(rows, outputs, options=options, seed=SEED + 2),
    )


def linear_reference(
    inputs: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the three products of a linear layer, in float32."""
    inputs, weight, gradient = inputs.float(), weight.float(), gradient.float()
    return {
        "forward": inputs @ weight.t(),
        "dgrad": gradient @ weight,
        "wgrad": gradient.t() @ inputs,
    }


def relative_error(found: torch.Tensor | None, exact: torch.Tensor | None) -> float:
    """Return the norm of the difference over the norm of what is exact, in float32."""
    assert found is not None, "a gradient is missing"
    assert exact is not None, "a gradient of the reference is missing"
    return float((found.float() - exact.float()).norm() / exact.float().norm())


def verdict(errors: dict[str, float], limits: dict[str, float] | float) -> dict[str, Any]:
    """Return errors and limits, and `ok`: every error is a number within its limit."""
    each = limits if isinstance(limits, dict) else dict.fromkeys(errors, limits)
    within = all(errors[name] <= limit for name, limit in each.items())  # NaN is not
    return {"errors": errors, "limits": each, "ok": within}


def milliseconds(
    function: Callable[[], Any], options: Options, *, warm_up: int = 5, repeats: int = 20
) -> float:
    """Return the median time of a call, by CUDA's events on a GPU."""
    if options.tiny:
        warm_up, repeats = 1, 3
    for _ in range(warm_up):
        function()
    return statistics.median(_one_call(function, options) for _ in range(repeats))


def _one_call(function: Callable[[], Any], options: Options) -> float:
    if not options.on_gpu:
        begun = time.perf_counter()
        function()
        return (time.perf_counter() - begun) * 1e3
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    function()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last))


def speed(name: str, flops: float, spent: float, peak: float | None = None) -> dict[str, float]:
    """Return milliseconds and TFLOP/s, and their share of a peak, under `name`."""
    tflops = flops / spent / 1e9
    found = {f"{name}_ms": spent, f"{name}_tflops": tflops}
    return found | ({f"{name}_of_{peak:.0f}": tflops / peak} if peak else {})
