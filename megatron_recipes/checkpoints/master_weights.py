"""Where a checkpoint keeps what a weight was rounded from.

A model's weights are in the checkpoint as it computes with them: in BF16, or, where the training
keeps them in FP8, in BF16 with no more than FP8 leaves. The optimizer's master weights lie beside:

| tensor | type | saved by |
|---|---|---|
| `optimizer.state.param.NAME` | float32 | the distributed optimizer |
| `optimizer.state.param.NAME` | int16: the lower half of the float32 | Transformer Engine's FusedAdam, of BF16 weights |
| `optimizer.state.fp32_param.NAME` | float32 | Megatron-Core's optimizer that is not distributed |

A weight in float32 is its own master.
"""  # noqa: E501

from collections.abc import Mapping
from pathlib import Path

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

DISTRIBUTED = "optimizer.state.param."
"""What stands before the name of a weight in that of its master, or of the rest of it."""
WHOLE = "optimizer.state.fp32_param."
"""The same, of an optimizer that is not distributed."""

FP8_WEIGHTS = "fp8_weights"
"""The field of `checkpoint.json` that says whether the training kept its weights in FP8."""


def master_key(weight: str, types: Mapping[str, torch.dtype]) -> str:
    """Return the name of the tensor that has a weight in float32, or "" if none has.

    >>> master_key("a", {"a": torch.bfloat16, "optimizer.state.param.a": torch.float32})
    'optimizer.state.param.a'
    """
    for name in (weight, DISTRIBUTED + weight, WHOLE + weight):
        if types.get(name) == torch.float32:
            return name
    return ""


def tensor_types(checkpoint: Path) -> dict[str, torch.dtype]:
    """Return the type of every tensor of a checkpoint."""
    metadata = FileSystemReader(checkpoint).read_metadata()
    return {
        name: described.properties.dtype
        for name, described in metadata.state_dict_metadata.items()
        if isinstance(described, TensorStorageMetadata)
    }


def joined(weight: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Return the float32 masters of BF16 weights and the int16 that FusedAdam keeps beside them.

    The rest is the lower half of the master's bits. The weight is the upper half, and one more
    where the lower is 2^15 or above: rounded to nearest, ties away from zero (Transformer Engine
    2.14, `multi_tensor/adam.cu`).

    >>> hex(joined(torch.tensor([1.0]).bfloat16(), torch.tensor([-1]).short()).view(torch.int32))
    '0x3f7fffff'
    """
    upper = weight.view(torch.int16).int() - (rest < 0).int()
    return (upper << 16 | rest.int() & 0xFFFF).view(torch.float32)
