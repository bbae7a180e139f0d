"""Transformer Engine's FusedAdam against PyTorch's AdamW, in float32 and as 8B is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu import operands
from benchmarks.gpu.operands import relative_error, require_gpu, verdict

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options

SETTINGS: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
NUMBERS, STEPS = 1 << 20, 10


def _reference(start: torch.Tensor, gradients: list[torch.Tensor]) -> torch.Tensor:
    parameter = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([parameter], **SETTINGS)
    for gradient in gradients:
        parameter.grad = gradient.float()
        optimizer.step()
    return parameter.detach()


def _drawn(options: Options) -> tuple[torch.Tensor, list[torch.Tensor]]:
    start, *gradients = (
        operands.draw(NUMBERS, options=options, seed=seed) for seed in range(STEPS + 1)
    )
    return start, gradients


def adam_float32(options: Options) -> dict[str, Any]:
    """Ten updates of float32 weights."""
    require_gpu(options)
    from transformer_engine.pytorch.optimizers import FusedAdam

    drawn, gradients = _drawn(options)
    start = drawn.float()
    parameter = torch.nn.Parameter(start.clone())
    optimizer = FusedAdam([parameter], adam_w_mode=True, **SETTINGS)
    for gradient in gradients:
        parameter.grad = gradient.float()
        optimizer.step()
    update = _reference(start, gradients) - start
    found = verdict({"update": relative_error(parameter.detach() - start, update)}, 5e-4)
    plain = torch.optim.AdamW([torch.nn.Parameter(start.clone())], fused=True, **SETTINGS)
    plain.param_groups[0]["params"][0].grad = gradients[0].float()
    return found | {
        "engine_ms": operands.milliseconds(optimizer.step, options),
        "torch_ms": operands.milliseconds(plain.step, options),
    }


def adam_precision_aware(options: Options) -> dict[str, Any]:
    """Ten updates with 10 bytes a parameter: BF16 weights and moments, half of the master kept."""
    require_gpu(options)
    from transformer_engine.pytorch.optimizers import FusedAdam

    start, gradients = _drawn(options)
    parameter = torch.nn.Parameter(start.clone())
    optimizer = FusedAdam(
        [parameter], adam_w_mode=True, master_weights=True, use_decoupled_grad=True,
        master_weight_dtype=torch.float32, exp_avg_dtype=torch.bfloat16,
        exp_avg_sq_dtype=torch.bfloat16, store_param_remainders=True, **SETTINGS,
    )  # fmt: skip
    for gradient in gradients:
        parameter.decoupled_grad = gradient  # type: ignore[attr-defined]
        optimizer.step()
    state = optimizer.state[parameter]
    exact = _reference(start.float(), gradients)
    master = _master(parameter.detach(), state["master_param"])
    errors = {
        "update_of_master": relative_error(master - start.float(), exact - start.float()),
        "parameter": relative_error(parameter.detach(), exact),
    }
    return verdict(errors, {"update_of_master": 3e-2, "parameter": 5e-3}) | {
        "state": {name: str(value.dtype) for name, value in state.items()},
        "engine_ms": operands.milliseconds(optimizer.step, options),
    }


def _master(parameter: torch.Tensor, remainder: torch.Tensor) -> torch.Tensor:
    """Return the float32 weights: BF16 ones above, the remainder's 16 bits below.

    The parameter was rounded up where the remainder's highest bit is set.
    """
    lower = remainder.to(torch.int32)
    upper = parameter.view(torch.int16).to(torch.int32) - (lower < 0).to(torch.int32)
    return ((upper << 16) | (lower & 0xFFFF)).view(torch.float32)
