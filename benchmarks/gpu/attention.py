"""Transformer Engine's attention against PyTorch's: numbers, the kernel it chose, speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from benchmarks.gpu import operands
from benchmarks.gpu.operands import relative_error, require_gpu, verdict

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options

HEADS, GROUPS, SIZE = 32, 8, 128
"""Of Llama 3 8B."""

CHECKED, TIMED = 1024, 8192
"""Tokens that are compared in float32, and that are timed."""

LIMIT = 1.5e-2


def _drawn(sequence: int, options: Options) -> list[torch.Tensor]:
    """Return query, key and value, `[sequence, 1, heads, size]`."""
    return [
        operands.draw(sequence, 1, heads, SIZE, options=options, seed=seed).requires_grad_()
        for seed, heads in enumerate((HEADS, GROUPS, GROUPS))
    ]


def _plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return PyTorch's causal attention, `[sequence, 1, heads * size]`."""
    # [s, b, h, d] -> [b, h, s, d]; each key and value head serves HEADS // GROUPS queries.
    queries, keys, values = (part.permute(1, 2, 0, 3) for part in (query, key, value))
    output = functional.scaled_dot_product_attention(
        queries, keys, values, is_causal=True, enable_gqa=True
    )
    return output.permute(2, 0, 1, 3).flatten(2)


def attention(options: Options) -> dict[str, Any]:
    """Causal attention with grouped queries, both passes."""
    require_gpu(options)
    import transformer_engine.pytorch as te

    from megatron_recipes.active import chosen_attention

    engine = te.DotProductAttention(
        HEADS, SIZE, num_gqa_groups=GROUPS, attention_dropout=0.0, qkv_format="sbhd",
        attn_mask_type="causal", layer_number=1,
    )  # fmt: skip
    drawn = _drawn(CHECKED, options)
    output = engine(*drawn)
    gradient = torch.randn_like(output)
    output.backward(gradient)
    exact = [tensor.detach().float().requires_grad_() for tensor in drawn]
    reference = _plain(*exact)
    reference.backward(gradient.float())
    errors = {"forward": relative_error(output.detach(), reference.detach())}
    for name, ours, theirs in zip("qkv", drawn, exact, strict=True):
        errors[f"grad_{name}"] = relative_error(ours.grad, theirs.grad)
    kernel = chosen_attention()
    found = verdict(errors, LIMIT)
    found |= {"kernel": kernel, "ok": found["ok"] and kernel.startswith(("fused", "flash"))}
    for name, function in (("engine", engine), ("torch", _plain)):
        found |= _speeds(name, function, options)
    return found


def _speeds(name: str, function: Any, options: Options) -> dict[str, float]:
    sequence = 256 if options.tiny else TIMED
    drawn = _drawn(sequence, options)
    gradient = operands.draw(sequence, 1, HEADS * SIZE, options=options)

    def both() -> None:
        torch.autograd.grad(function(*drawn), drawn, gradient)

    # Forward and causal: half of 4 s^2 h d; the backward pass is 2.5 times that.
    flops = 2.0 * sequence**2 * HEADS * SIZE
    with torch.no_grad():
        alone = operands.milliseconds(lambda: function(*drawn), options)
    spent = operands.milliseconds(both, options)
    return operands.speed(f"{name}_forward", flops, alone) | operands.speed(
        f"{name}_forward_backward", 3.5 * flops, spent
    )
