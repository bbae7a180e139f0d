"""Transformer Engine's norm and cross entropy against PyTorch's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from benchmarks.gpu import operands
from benchmarks.gpu.operands import (
    Sizes,
    linear_operands,
    relative_error,
    require_gpu,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.gpu.options import Options

EPSILON = 1e-5
IGNORED = -100


def norm(sizes: Sizes, options: Options) -> dict[str, Any]:
    """RMSNorm inside the linear layer that follows it, as the model's layers have it."""
    require_gpu(options)
    import transformer_engine.pytorch as te

    inputs, weight, gradient = linear_operands(sizes, options)
    layer = te.LayerNormLinear(
        sizes[1], sizes[2], eps=EPSILON, bias=False, normalization="RMSNorm",
        params_dtype=torch.bfloat16, device=options.device,
    )  # fmt: skip
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.layer_norm_weight.copy_(torch.linspace(0.5, 1.5, sizes[1], device=options.device))
    inputs.requires_grad_()
    output = layer(inputs)
    output.backward(gradient)
    exact = inputs.detach().float().requires_grad_()
    scale = layer.layer_norm_weight.detach().float().requires_grad_()
    reference = functional.rms_norm(exact, (sizes[1],), scale, eps=EPSILON) @ weight.float().t()
    reference.backward(gradient.float())
    errors = {
        "forward": relative_error(output.detach(), reference.detach()),
        "dgrad": relative_error(inputs.grad, exact.grad),
        "norm_wgrad": relative_error(layer.layer_norm_weight.grad, scale.grad),
    }
    plain = torch.nn.RMSNorm(sizes[1], EPSILON, device=options.device, dtype=torch.bfloat16)
    found = verdict(errors, 1.5e-2)
    for name, function in (
        ("engine", layer),
        ("torch", lambda tensor: functional.linear(plain(tensor), weight)),
    ):
        found[f"{name}_forward_ms"] = operands.milliseconds(partial(function, inputs), options)
    return found


def cross_entropy(options: Options) -> dict[str, Any]:
    """The fused loss of 8,192 tokens over Llama 3's vocabulary, with a label that is ignored."""
    require_gpu(options)
    from transformer_engine.pytorch.cross_entropy import parallel_cross_entropy

    tokens, vocabulary = (64, 512) if options.tiny else (8192, 128_256)
    logits = 2 * operands.draw(tokens, 1, vocabulary, options=options)
    labels = torch.randint(vocabulary, (tokens, 1), device=options.device)
    labels[0, 0] = IGNORED

    def engine(given: torch.Tensor) -> torch.Tensor:
        # The kernel writes the gradient over the logits it is given: a product leaves ours.
        losses: torch.Tensor = parallel_cross_entropy(
            given * 1, labels, 0.0, False, None, IGNORED, False
        )
        return losses

    def plain(given: torch.Tensor) -> torch.Tensor:
        flat = given.float().flatten(0, 1)
        return functional.cross_entropy(
            flat, labels.flatten(), reduction="none", ignore_index=IGNORED
        )

    def both(function: Callable[[torch.Tensor], torch.Tensor], over: torch.Tensor) -> None:
        torch.autograd.grad(function(over).sum(), over)

    results = {}
    found: dict[str, Any] = {}
    for name, function in (("engine", engine), ("torch", plain)):
        leaf = logits.clone().requires_grad_()
        losses = function(leaf)
        losses.sum().backward()
        results[name] = (losses.detach().flatten(), leaf.grad)
        found[f"{name}_forward_backward_ms"] = operands.milliseconds(
            partial(both, function, leaf), options, warm_up=3, repeats=10
        )
    errors = {
        what: relative_error(results["engine"][place], results["torch"][place])
        for place, what in enumerate(("loss", "gradient"))
    }
    return found | verdict(errors, {"loss": 1e-3, "gradient": 1e-2})
