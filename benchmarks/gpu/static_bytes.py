"""Bytes of weights, gradients and optimizer state, counted on the real objects of a process.

What the memory model predicts are the numbers themselves; the buffers that hold them are a little
longer, since their parts begin at multiples. Both are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class StaticBytes:
    """Bytes of one process."""

    weights: int
    """Of the parameters."""

    gradients: int
    """Of the gradients that are accumulated, without padding."""

    buffers: int
    """Of the gradient buffers, with it."""

    optimizer: int
    """Of master weights and moments, with padding nowhere."""


def static_bytes(chunks: list[Any], optimizer: Any) -> StaticBytes:
    """Count a process's objects.

    Args:
        chunks: The model, wrapped for data parallelism.
        optimizer: Megatron-Core's, its state allocated.
    """
    parameters = [parameter for chunk in chunks for parameter in chunk.parameters()]
    buffers = [
        buffer
        for chunk in chunks
        for buffer in chunk.buffers + getattr(chunk, "expert_parallel_buffers", [])
    ]
    return StaticBytes(
        weights=sum(_size(parameter) for parameter in parameters),
        gradients=sum(_size(parameter.main_grad) for parameter in parameters),
        buffers=sum(_size(buffer.grad_data) for buffer in buffers),
        optimizer=sum(
            _optimizer_size(part)
            for part in optimizer.chained_optimizers
            if part.optimizer is not None
        ),
    )


def _size(tensor: Any) -> int:
    return int(tensor.numel() * tensor.element_size())


def _optimizer_size(part: Any) -> int:
    """Return moments, and the master weights that are no view of the model's own weights."""
    inner = part.optimizer
    moments = sum(
        _size(value)
        for state in inner.state.values()
        for value in state.values()
        if hasattr(value, "element_size") and value.dim() > 0  # not a count of steps
    )
    return moments + sum(_size(master) for master in _masters(part))


def _masters(part: Any) -> list[Any]:
    # One replica without the distributed optimizer keeps them under another name.
    groups = getattr(part, "shard_fp32_from_float16_groups", None)
    if groups is None:
        groups = getattr(part, "fp32_from_float16_groups", [])
    return [master for group in groups for master in group if master is not None]
