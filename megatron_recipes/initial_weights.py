"""Initial weights that do not depend on the layout.

Megatron-Core draws each process's weights from its own random state: another layout, another
model. Here every matrix is drawn by its name and layer in the whole model, in blocks of rows that
each have their own seed, and a process keeps its part: the first loss of a fresh run is the same
for any number of processes. A block bounds the memory that takes.
"""

import hashlib
import math
from collections.abc import Iterator

import torch
from megatron.core.dist_checkpointing.dict_utils import nested_values
from megatron.core.dist_checkpointing.mapping import ShardedTensor, ShardedTensorFactory
from megatron.core.models.gpt import GPTModel

from megatron_recipes.config import TrainingConfig

BLOCK_ROWS = 1024
"""Rows drawn at once: 64 MiB in float32 for rows of 16,384."""

SCALED = (".linear_proj.weight", ".linear_fc2.weight")
"""Matrices that write to the residual stream."""


def set_initial_weights(model: GPTModel, config: TrainingConfig) -> None:
    """Give every matrix its initial values: normal, those that write to the residual stream scaled.

    Norms and biases keep theirs, one and zero. Weights kept in FP8 keep what Megatron-Core drew:
    they have no float to write to.
    """
    if config.precision.fp8_param_gather:
        return
    std = config.model.init_method_std
    scaled_std = std / math.sqrt(2 * config.model.num_layers)
    with torch.no_grad():
        for part in _matrices(model):
            is_scaled = part.key.endswith(SCALED)
            _fill(part, scaled_std if is_scaled else std, config.schedule.seed)


def _matrices(model: GPTModel) -> Iterator[ShardedTensor]:
    for value in nested_values(model.sharded_state_dict()):
        # The two halves of a gated projection are one tensor here and two in the whole model.
        parts = nested_values(value.build()) if isinstance(value, ShardedTensorFactory) else [value]
        for part in parts:
            if isinstance(part, ShardedTensor) and part.data is not None and part.data.dim() == 2:
                yield part


def _fill(part: ShardedTensor, std: float, seed: int) -> None:
    axis = part.prepend_axis_num
    place = (seed, part.key, *part.global_offset[:axis])
    first_row, first_column = part.global_offset[axis:]
    num_rows, num_columns = part.data.shape
    width = part.global_shape[-1]
    for block in range(first_row // BLOCK_ROWS, -(-(first_row + num_rows) // BLOCK_ROWS)):
        rows = _block(place, block, width, std)
        start = block * BLOCK_ROWS
        low, high = max(first_row, start), min(first_row + num_rows, start + BLOCK_ROWS)
        mine = rows[low - start : high - start, first_column : first_column + num_columns]
        part.data[low - first_row : high - first_row].copy_(mine)


def _block(place: tuple[object, ...], block: int, width: int, std: float) -> torch.Tensor:
    """Return `[BLOCK_ROWS, width]`, float32, drawn on the host: the same on every device."""
    name = "\0".join(str(part) for part in (*place, block))
    digest = hashlib.sha256(name.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))
    return torch.empty(BLOCK_ROWS, width).normal_(0.0, std, generator=generator)
