"""Transformer Engine's modules as PyTorch computes them: for what compares kernels, on a CPU.

Only what `benchmarks.gpu` calls is here, under the same names and arguments.
"""

from __future__ import annotations

import contextlib
from types import ModuleType
from typing import Any

import torch
from torch.nn import functional

LOW_BITS, HALF = 0xFFFF, 0x8000


class Linear(torch.nn.Linear):
    def __init__(self, inputs: int, outputs: int, **options: Any) -> None:
        super().__init__(
            inputs, outputs, bias=options["bias"], dtype=options["params_dtype"],
            device=options["device"],
        )  # fmt: skip

    def forward(
        self, inputs: torch.Tensor, is_first_microbatch: bool | None = None
    ) -> torch.Tensor:
        assert is_first_microbatch in (None, True, False)
        return super().forward(inputs)


class LayerNormLinear(torch.nn.Module):
    def __init__(self, inputs: int, outputs: int, **options: Any) -> None:
        super().__init__()
        assert options["normalization"] == "RMSNorm"
        self.eps, dtype = options["eps"], options["params_dtype"]
        self.weight = torch.nn.Parameter(torch.zeros(outputs, inputs, dtype=dtype))
        self.layer_norm_weight = torch.nn.Parameter(torch.ones(inputs, dtype=dtype))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        width = inputs.shape[-1:]
        return (
            functional.rms_norm(inputs, width, self.layer_norm_weight, self.eps) @ self.weight.t()
        )


class DotProductAttention(torch.nn.Module):
    def __init__(self, heads: int, size: int, **options: Any) -> None:
        super().__init__()
        assert (heads % options["num_gqa_groups"], options["attn_mask_type"]) == (0, "causal")
        self.repeats, self.size = heads // options["num_gqa_groups"], size

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.permute(1, 2, 0, 3) for part in (query, key, value))
        k, v = (part.repeat_interleave(self.repeats, dim=1) for part in (k, v))
        scores = q @ k.transpose(-1, -2) / self.size**0.5
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        output = scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v
        return output.permute(2, 0, 1, 3).flatten(2)


class FusedAdam(torch.optim.AdamW):
    """With `use_decoupled_grad` the parameter is BF16, and the state keeps what it lacks."""

    def __init__(self, parameters: list[torch.nn.Parameter], **options: Any) -> None:
        assert options.pop("adam_w_mode")
        names = ("lr", "betas", "eps", "weight_decay")
        settings = {name: options.pop(name) for name in names}
        super().__init__(parameters, **settings)
        self.is_split = options.get("store_param_remainders", False)
        self.parameter = parameters[0]
        self.master = torch.nn.Parameter(self.parameter.detach().float().clone())
        self.inner = torch.optim.AdamW([self.master], **settings)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        if not self.is_split:
            super().step(closure)
            return
        self.master.grad = self.parameter.decoupled_grad.float()  # type: ignore[attr-defined]
        self.inner.step()
        bits = self.master.detach().view(torch.int32)
        low = bits & LOW_BITS
        remainder = torch.where(low >= HALF, low - LOW_BITS - 1, low).to(torch.int16)
        upper = ((bits >> 16) + (remainder < 0).to(torch.int32)).to(torch.int16)
        self.parameter.data.copy_(upper.view(torch.bfloat16))
        self.state[self.parameter]["master_param"] = remainder


def parallel_cross_entropy(
    logits: torch.Tensor,
    labels: torch.Tensor,
    label_smoothing: float,
    reduce_loss: bool,
    dist_process_group: Any,
    ignore_idx: int,
    is_cg_capturable: bool,
) -> torch.Tensor:
    assert not any((label_smoothing, reduce_loss, dist_process_group, is_cg_capturable))
    flat = logits.float().flatten(0, 1)
    losses = functional.cross_entropy(
        flat, labels.flatten(), reduction="none", ignore_index=ignore_idx
    )
    return losses.view(labels.shape)


def modules() -> dict[str, ModuleType]:
    """Return what to put into `sys.modules`."""
    root, engine = ModuleType("transformer_engine"), ModuleType("transformer_engine.pytorch")
    entropy, optimizers = ModuleType("cross_entropy"), ModuleType("optimizers")
    for module, contents in (
        (root, {"pytorch": engine}),
        (engine, {
            "Linear": Linear, "LayerNormLinear": LayerNormLinear,
            "DotProductAttention": DotProductAttention, "autocast": autocast,
        }),
        (entropy, {"parallel_cross_entropy": parallel_cross_entropy}),
        (optimizers, {"FusedAdam": FusedAdam}),
    ):  # fmt: skip
        vars(module).update(contents)
    return {
        "transformer_engine": root,
        "transformer_engine.pytorch": engine,
        "transformer_engine.pytorch.cross_entropy": entropy,
        "transformer_engine.pytorch.optimizers": optimizers,
    }


def autocast(enabled: bool, recipe: Any) -> contextlib.AbstractContextManager[None]:  # noqa: ARG001
    """Products stay in BF16, which a check of FP8 has to see."""
    return contextlib.nullcontext()
