"""Linear layers: Transformer Engine's in BF16 and three FP8 recipes against PyTorch's.

FP8 is held against the rounding that it cannot avoid, which PyTorch emulates: operands scaled to
the range of the format, rounded to it, multiplied in float32.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu import operands
from benchmarks.gpu.operands import (
    BF16_PEAK,
    FP8_PEAK,
    Sizes,
    linear_operands,
    linear_reference,
    relative_error,
    require_gpu,
    verdict,
)

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options

RECIPES = ("tensorwise", "blockwise", "delayed")
BF16_LIMIT = 1e-2
FP8_FACTOR = 1.5
"""How much worse than the emulation a recipe may be."""

LEAST_FP8_ERROR = 1e-2
"""A product as exact as BF16 was not in FP8."""


def engine_recipe(name: str) -> Any:
    """Return Transformer Engine's recipe of that name."""
    from transformer_engine.common.recipe import (
        DelayedScaling,
        Float8BlockScaling,
        Float8CurrentScaling,
        Format,
    )

    if name == "tensorwise":
        return Float8CurrentScaling(fp8_format=Format.HYBRID)
    if name == "blockwise":
        return Float8BlockScaling()
    return DelayedScaling(fp8_format=Format.HYBRID, amax_history_len=16, amax_compute_algo="max")


def _autocast(recipe: str) -> Any:
    import transformer_engine.pytorch as te

    return te.autocast(enabled=bool(recipe), recipe=engine_recipe(recipe) if recipe else None)


def _engine_layer(sizes: Sizes, options: Options) -> Any:
    import transformer_engine.pytorch as te

    return te.Linear(
        sizes[1], sizes[2], bias=False, params_dtype=torch.bfloat16, device=options.device
    )


def emulated_errors(sizes: Sizes, options: Options) -> dict[str, Any]:
    """What E4M3 inputs and weights and E5M2 gradients, scaled per tensor, cost in accuracy."""

    def rounded(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        scale = torch.finfo(dtype).max / tensor.abs().max().float()
        return (tensor.float() * scale).to(dtype).float() / scale

    inputs, weight, gradient = linear_operands(sizes, options)
    exact = linear_reference(inputs, weight, gradient)
    emulated = linear_reference(
        rounded(inputs, torch.float8_e4m3fn),
        rounded(weight, torch.float8_e4m3fn),
        rounded(gradient, torch.float8_e5m2),
    )
    errors = {name: relative_error(emulated[name], exact[name]) for name in exact}
    return {"errors": errors, "ok": all(0.01 < error < 0.15 for error in errors.values())}


def linear_errors(
    sizes: Sizes, recipe: str, options: Options, emulated: dict[str, float]
) -> dict[str, Any]:
    """Forward and backward of a layer against PyTorch in float32; `recipe` "" is BF16."""
    require_gpu(options)
    inputs, weight, gradient = linear_operands(sizes, options)
    layer = _engine_layer(sizes, options)
    with torch.no_grad():
        layer.weight.copy_(weight)
    # Delayed scaling begins with a scale of 1 and learns the real one from the passes before.
    for _ in range(4 if recipe == "delayed" else 1):
        inputs = inputs.detach().requires_grad_()
        layer.weight.grad = None
        with _autocast(recipe):
            output = layer(inputs)
        output.backward(gradient)
    exact = linear_reference(inputs.detach(), weight, gradient)
    errors = {
        "forward": relative_error(output.detach(), exact["forward"]),
        "dgrad": relative_error(inputs.grad, exact["dgrad"]),
        "wgrad": relative_error(layer.weight.grad, exact["wgrad"]),
    }
    if not recipe:
        return verdict(errors, BF16_LIMIT)
    found = verdict(errors, {name: FP8_FACTOR * emulated[name] for name in errors})
    used = errors["forward"] > LEAST_FP8_ERROR
    return found | {"fp8_used": used, "ok": found["ok"] and used}


def gradient_module_errors(sizes: Sizes, options: Options) -> dict[str, Any]:
    """Two gradients accumulated by our `fused_weight_gradient`, in float32 and in BF16."""
    from megatron_recipes import fused_weight_gradient

    inputs, weight, gradient = linear_operands(sizes, options)
    exact = 2 * linear_reference(inputs, weight, gradient)["wgrad"]
    errors: dict[str, float] = {}
    found: dict[str, Any] = {}
    flops = 2.0 * math.prod(sizes)
    for name, dtype in (("fp32", torch.float32), ("fp16", torch.bfloat16)):
        accumulate = getattr(fused_weight_gradient, f"wgrad_gemm_accum_{name}")
        main = torch.zeros_like(weight, dtype=dtype)
        for _ in range(2):
            accumulate(inputs, gradient, main)
        errors[name] = relative_error(main, exact)
        spent = operands.milliseconds(partial(accumulate, inputs, gradient, main), options)
        found |= operands.speed(name, flops, spent)
    return found | verdict(errors, {"fp32": 1e-4, "fp16": 1e-2})


def torch_speed(sizes: Sizes, options: Options) -> dict[str, Any]:
    """PyTorch's BF16 product, and on a GPU its FP8 one: what the layers are held against."""
    inputs, weight, _ = linear_operands(sizes, options)
    flops = 2.0 * math.prod(sizes)
    spent = operands.milliseconds(lambda: inputs @ weight.t(), options)
    found = operands.speed("bf16", flops, spent, BF16_PEAK if options.on_gpu else None)
    if not options.on_gpu:
        return found
    small, small_weight = inputs.to(torch.float8_e4m3fn), weight.to(torch.float8_e4m3fn)
    one = torch.ones((), device=options.device)

    def scaled() -> torch.Tensor:
        return torch._scaled_mm(
            small, small_weight.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16,
            use_fast_accum=True,
        )  # fmt: skip

    return found | operands.speed("fp8", flops, operands.milliseconds(scaled, options), FP8_PEAK)


def linear_speed(sizes: Sizes, recipe: str, options: Options) -> dict[str, Any]:
    """One layer, casts included; the weight is cast once, as in later micro batches."""
    require_gpu(options)
    inputs, _, gradient = linear_operands(sizes, options)
    inputs.requires_grad_()
    layer = _engine_layer(sizes, options)

    def forward(*, first: bool) -> torch.Tensor:
        with _autocast(recipe):
            output: torch.Tensor = layer(inputs, is_first_microbatch=first)
        return output

    def both(*, first: bool) -> None:
        torch.autograd.grad(forward(first=first), (inputs, layer.weight), gradient)

    both(first=True)
    flops, peak = 2.0 * math.prod(sizes), FP8_PEAK if recipe else BF16_PEAK
    spent = operands.milliseconds(lambda: both(first=False), options)
    with torch.no_grad():
        alone = operands.milliseconds(lambda: forward(first=False), options)
    return operands.speed("forward", flops, alone, peak) | operands.speed(
        "forward_backward", 3 * flops, spent, peak
    )
