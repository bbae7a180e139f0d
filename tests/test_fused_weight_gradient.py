"""The stand-in for apex's module: its arithmetic, and that Megatron-Core takes it."""

import sys

import pytest
import torch
from forked_world import run_world
from training_world import small, train_steps, unchecked

from megatron_recipes import fused_weight_gradient


def random_gradients(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(256, 24, generator=generator).to(dtype)
    return inputs, torch.randn(256, 40, generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_float32_gradients_take_the_product_without_rounding_it_to_16_bits(
    dtype: torch.dtype,
) -> None:
    inputs, outputs = random_gradients(dtype)
    main = torch.full((40, 24), 0.5)
    exact = 0.5 + outputs.double().T @ inputs.double()
    fused_weight_gradient.wgrad_gemm_accum_fp32(inputs, outputs, main)
    assert main.dtype == torch.float32
    assert (main - exact).abs().max() < 1e-4
    fused_weight_gradient.wgrad_gemm_accum_fp32(inputs, outputs, main)
    assert (main - (2 * exact - 0.5)).abs().max() < 1e-4


def test_16_bit_gradients_stay_in_their_own_type() -> None:
    inputs, outputs = random_gradients(torch.bfloat16)
    main = torch.zeros(40, 24, dtype=torch.bfloat16)
    fused_weight_gradient.wgrad_gemm_accum_fp16(inputs, outputs, main)
    exact = outputs.double().T @ inputs.double()
    assert main.dtype == torch.bfloat16
    assert ((main - exact).abs() <= 0.005 * exact.abs() + 0.01).all()


def module_that_megatron_took() -> tuple[str, bool]:
    from megatron.core.tensor_parallel import layers

    return layers.fused_weight_gradient_mlp_cuda.__name__, layers._grad_accum_fusion_available


def test_megatron_core_takes_it_under_the_name_it_imports() -> None:
    assert run_world(module_that_megatron_took, 1) == [
        ("megatron_recipes.fused_weight_gradient", True)
    ]


def test_module_that_is_installed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = object()
    monkeypatch.setitem(sys.modules, fused_weight_gradient.NAME, installed)
    fused_weight_gradient.install()
    assert sys.modules[fused_weight_gradient.NAME] is installed


def test_training_through_it_has_the_same_losses() -> None:
    config = small("tensor_model_parallel_size=2")
    fused = unchecked(config, {"execution": {"gradient_accumulation_fusion": True}})
    plain, found = (run_world(train_steps, 2, each, 5)[0] for each in (config, fused))
    assert found["losses"] == pytest.approx(plain["losses"], abs=5e-6)
    assert found["grad_norms"] == pytest.approx(plain["grad_norms"], rel=1e-5)
