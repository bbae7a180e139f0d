"""What compares kernels, with PyTorch in the place of Transformer Engine: right, then wrong."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import engine_stand_in
import pytest
import torch

from benchmarks.gpu import adam, attention, layers, linear, operands
from benchmarks.gpu.operands import relative_error, verdict
from benchmarks.gpu.options import Options
from megatron_recipes import fused_weight_gradient

SIZES = (64, 96, 128)
OPTIONS = Options(
    device="cpu", tiny=True, results=Path("results"), work=Path("work"), blend=None,
    text=Path("text"), deadline=time.monotonic() + 3600,
)  # fmt: skip

CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "linear": lambda: linear.linear_errors(SIZES, "", OPTIONS, {}),
    "norm": lambda: layers.norm(SIZES, OPTIONS),
    "cross entropy": lambda: layers.cross_entropy(OPTIONS),
    "Adam": lambda: adam.adam_float32(OPTIONS),
    "Adam, precision-aware": lambda: adam.adam_precision_aware(OPTIONS),
    "attention": lambda: attention.attention(OPTIONS),
}


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    active = ModuleType("active")
    active.chosen_attention = lambda: "fused 1"  # type: ignore[attr-defined]
    replaced = engine_stand_in.modules() | {"megatron_recipes.active": active}
    for name, module in replaced.items():
        monkeypatch.setitem(sys.modules, name, module)
    for module in (adam, attention, layers, linear):
        monkeypatch.setattr(module, "require_gpu", lambda _options: None)
    monkeypatch.setattr(linear, "engine_recipe", lambda name: name)
    monkeypatch.setattr(adam, "NUMBERS", 4096)
    monkeypatch.setattr(attention, "CHECKED", 64)
    for name, value in (("HEADS", 4), ("GROUPS", 2), ("SIZE", 32)):
        monkeypatch.setattr(attention, name, value)


@pytest.mark.parametrize("name", CHECKS)
def test_a_right_kernel_holds(name: str) -> None:
    found = CHECKS[name]()
    assert found["ok"], found
    assert found["errors"]
    assert all(error <= found["limits"][part] for part, error in found["errors"].items())


@pytest.mark.parametrize(
    ("name", "owner", "attribute"),
    [
        ("linear", engine_stand_in.Linear, "forward"),
        ("norm", engine_stand_in.LayerNormLinear, "forward"),
        ("attention", engine_stand_in.DotProductAttention, "forward"),
    ],
)
def test_a_wrong_kernel_does_not(
    name: str, owner: Any, attribute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(owner, attribute)
    monkeypatch.setattr(owner, attribute, lambda self, *args, **kw: 1.02 * right(self, *args, **kw))
    assert CHECKS[name]()["ok"] is False


@pytest.mark.parametrize(("kernel", "holds"), [
    ("fused 1", True), ("flash 3", True), ("unfused", False), ("", False),
])  # fmt: skip
def test_attention_has_to_be_fused(
    kernel: str, holds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["megatron_recipes.active"], "chosen_attention", lambda: kernel)
    found = CHECKS["attention"]()
    assert (found["ok"], found["kernel"]) == (holds, kernel)
    # It is refused for what it is: its numbers are right.
    assert all(error <= found["limits"][part] for part, error in found["errors"].items())


def test_attention_without_its_mask_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.Tensor.masked_fill
    monkeypatch.setattr(torch.Tensor, "masked_fill", lambda self, *_arguments: self)
    assert CHECKS["attention"]()["ok"] is False
    monkeypatch.setattr(torch.Tensor, "masked_fill", right)
    assert CHECKS["attention"]()["ok"] is True


@pytest.mark.parametrize("name", ["wgrad_gemm_accum_fp32", "wgrad_gemm_accum_fp16"])
def test_a_wrong_weight_gradient_does_not_hold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert linear.gradient_module_errors(SIZES, OPTIONS)["ok"] is True

    def overwriting(inputs: torch.Tensor, gradient: torch.Tensor, main: torch.Tensor) -> None:
        main.copy_(gradient.t().float() @ inputs.float())  # and adds nothing up

    monkeypatch.setattr(fused_weight_gradient, name, overwriting)
    assert linear.gradient_module_errors(SIZES, OPTIONS)["ok"] is False


@pytest.mark.parametrize("recipe", linear.RECIPES)
def test_fp8_that_rounds_too_much_does_not_hold(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated = linear.emulated_errors(SIZES, OPTIONS)["errors"]
    right = engine_stand_in.Linear.forward

    def rounding(grid: float) -> Any:
        """Return a layer whose output is on a grid, as a share of its greatest value."""

        def forward(self: Any, inputs: torch.Tensor, **options: Any) -> torch.Tensor:
            output = right(self, inputs, **options)
            step = grid * output.detach().abs().max()
            return output + ((output / step).round() * step - output).detach()

        return forward

    monkeypatch.setattr(engine_stand_in.Linear, "forward", rounding(0.02))
    kept = linear.linear_errors(SIZES, recipe, OPTIONS, emulated)
    assert (kept["ok"], kept["fp8_used"]) == (True, True), kept
    monkeypatch.setattr(engine_stand_in.Linear, "forward", rounding(0.2))
    lost = linear.linear_errors(SIZES, recipe, OPTIONS, emulated)
    assert (lost["ok"], lost["fp8_used"]) == (False, True), lost


def test_a_wrong_loss_or_update_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    right = engine_stand_in.parallel_cross_entropy
    modules = engine_stand_in.modules()
    entropy = modules["transformer_engine.pytorch.cross_entropy"]
    monkeypatch.setitem(sys.modules, "transformer_engine.pytorch.cross_entropy", entropy)
    vars(entropy)["parallel_cross_entropy"] = lambda *args: 1.01 * right(*args)
    assert CHECKS["cross entropy"]()["ok"] is False
    step = engine_stand_in.FusedAdam.step
    monkeypatch.setattr(engine_stand_in.FusedAdam, "step", lambda self: (step(self), step(self)))
    assert CHECKS["Adam"]()["ok"] is False
    assert CHECKS["Adam, precision-aware"]()["ok"] is False


@pytest.mark.parametrize("recipe", linear.RECIPES)
def test_fp8_that_is_as_exact_as_bf16_was_none(recipe: str) -> None:
    emulated = linear.emulated_errors(SIZES, OPTIONS)
    assert emulated["ok"]
    found = linear.linear_errors(SIZES, recipe, OPTIONS, emulated["errors"])
    assert (found["ok"], found["fp8_used"]) == (False, False)
    assert all(error < found["limits"][part] for part, error in found["errors"].items())


def test_speeds_name_their_peak() -> None:
    found = linear.linear_speed(SIZES, "", OPTIONS)
    assert found["forward_tflops"] > 0
    assert "forward_backward_of_989" in found
    assert operands.speed("x", 2e12, 1000.0, 1979.0) == {
        "x_ms": 1000.0,
        "x_tflops": 2.0,
        "x_of_1979": 2 / 1979,
    }


def test_no_number_is_no_success() -> None:
    broken = torch.tensor([float("nan")])
    assert verdict({"loss": relative_error(broken, torch.ones(1))}, 1.0)["ok"] is False
