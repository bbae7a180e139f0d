"""Weight gradients added to the main gradients by the matrix product that computes them.

Megatron-Core's own linear layers (with Transformer Engine only the output layer is one) import
this from `fused_weight_gradient_mlp_cuda`, a module of NVIDIA's apex. Where that is not installed,
`install` puts this one under its name: the same two functions, through Transformer Engine's matrix
product on a GPU, through PyTorch elsewhere.
"""

import importlib.util
import sys

import torch

NAME = "fused_weight_gradient_mlp_cuda"


def install() -> None:
    """Stand in for apex's module if it is absent; before the first import of Megatron-Core."""
    if NAME not in sys.modules and importlib.util.find_spec(NAME) is None:
        sys.modules[NAME] = sys.modules[__name__]


def wgrad_gemm_accum_fp32(
    inputs: torch.Tensor, output_gradients: torch.Tensor, main_gradients: torch.Tensor
) -> None:
    """Add `output_gradients.T @ inputs` to float32 gradients, no sum rounded below float32.

    Args:
        inputs: `[tokens, columns]`.
        output_gradients: `[tokens, rows]`, the same type.
        main_gradients: `[rows, columns]`, float32; changed.
    """
    if inputs.is_cuda and inputs.dtype != torch.float32:
        _accumulate_on_gpu(inputs, output_gradients, main_gradients)
    else:
        main_gradients.addmm_(output_gradients.float().t(), inputs.float())


def wgrad_gemm_accum_fp16(
    inputs: torch.Tensor, output_gradients: torch.Tensor, main_gradients: torch.Tensor
) -> None:
    """Add `output_gradients.T @ inputs` to gradients of the inputs' own 16-bit type.

    Args:
        inputs: `[tokens, columns]`.
        output_gradients: `[tokens, rows]`, the same type.
        main_gradients: `[rows, columns]`, the same type; changed.
    """
    main_gradients.addmm_(output_gradients.t(), inputs)


def _accumulate_on_gpu(
    inputs: torch.Tensor, output_gradients: torch.Tensor, main_gradients: torch.Tensor
) -> None:
    # PyTorch has no product of 16-bit matrices that adds to a float32 one.
    from transformer_engine.pytorch.cpp_extensions import general_gemm

    general_gemm(
        inputs,
        output_gradients,
        out_dtype=main_gradients.dtype,
        layout="NT",
        out=main_gradients,
        accumulate=True,
        grad=True,
    )
