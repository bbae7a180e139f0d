"""The distributed optimizer's state in a checkpoint: every process saves and loads its own part.

A replica holds master weights and moments for runs of the flattened weights, and where the runs
begin depends on the layout. Each run is cut into boxes of the weight's global tensor; the
checkpoint's reader fills any boxes from any others, so that every layout loads what any other
saved. Nothing is sent: the form of Megatron-Core that loads everywhere, "fully_reshardable",
gathers the state of all replicas, 12 bytes a parameter, in the memory of each at every save. The
names of the tensors are those of that form.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import torch
from megatron.core.dist_checkpointing.dict_utils import nested_values
from megatron.core.dist_checkpointing.mapping import ShardedTensor, ShardedTensorFactory

from megatron_recipes.checkpoints.master_weights import DISTRIBUTED

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""The offset of a box in a tensor, and its size."""

UNSCALED = (torch.float32, torch.bfloat16, torch.int16)
"""Types of state that mean what they say; others have a factor beside them. `int16` is what a
master weight has beyond its weight in BF16."""


def boxes(shape: tuple[int, ...], start: int, end: int) -> Iterator[Box]:
    """Cut the elements `start..end` of a tensor, counted row by row, into boxes, in their order.

    >>> list(boxes((4, 3), 2, 10))
    [((0, 2), (1, 1)), ((1, 0), (2, 3)), ((3, 0), (1, 1))]
    """
    if start >= end:
        return
    if len(shape) == 1:
        yield (start,), (end - start,)
        return
    row = math.prod(shape[1:])
    first, last = -(-start // row), end // row  # the rows first..last are whole
    if first > last:
        yield from _within_row(shape, last, start - last * row, end - last * row)
        return
    yield from _within_row(shape, first - 1, start - (first - 1) * row, row)
    if first < last:
        yield (first, *[0] * (len(shape) - 1)), (last - first, *shape[1:])
    yield from _within_row(shape, last, 0, end - last * row)


def _within_row(shape: tuple[int, ...], row: int, start: int, end: int) -> Iterator[Box]:
    for offset, size in boxes(shape[1:], start, end):
        yield (row, *offset), (1, *size)


class OptimizerShards:
    """What this process holds of the optimizer's state, as parts of global tensors."""

    def __init__(self, optimizer: Any, weights: dict[str, Any]) -> None:
        """Name the state.

        Args:
            optimizer: Its parts are distributed optimizers, with their state allocated.
            weights: The sharded state dict of the model.
        """
        entries = {
            id(entry.data): entry
            for entry in nested_values(weights)
            if isinstance(entry, ShardedTensor | ShardedTensorFactory)
        }
        self._parts = [part for part in optimizer.chained_optimizers if part.optimizer is not None]
        self._copies: list[tuple[Any, torch.Tensor, str, torch.Tensor]] = []
        self.content: dict[str, ShardedTensor] = {}
        """The state; loading fills its tensors in place."""
        for part in self._parts:
            for parameter, start, end in _runs(part):
                for name, values in self._state(part, parameter).items():
                    if values.numel() == end - start:  # not a count of steps
                        prefix = f"optimizer.state.{name}."
                        self._add(entries[id(parameter)], prefix, values.detach(), start)

    def _state(self, part: Any, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        """Return what a part holds of a weight: the tensors themselves, wherever that is possible.

        Megatron-Core would return moments in BF16 as float32 copies: all of them at once may not
        fit beside them on a GPU.
        """
        if not part.config.use_precision_aware_optimizer_no_fp8_or_ds_fp8:
            return dict(part._get_main_param_and_optimizer_states(parameter))
        group, place = part.model_param_group_index_map[parameter]
        key = part.optimizer.param_groups[group]["params"][place]
        state = {}
        for name, values in part.optimizer.state[key].items():
            state["param" if name == "master_param" else name] = values
            if values.dtype not in UNSCALED:
                copy = part.optimizer.get_unscaled_state(key, name)
                self._copies.append((part.optimizer, key, name, copy))
                state[name] = copy
        return state

    def _add(
        self,
        entry: ShardedTensor | ShardedTensorFactory,
        prefix: str,
        values: torch.Tensor,
        at: int,
    ) -> None:
        """Add a run that begins at element `at` of a process's part of a weight."""
        for begin, place in _places(entry):
            start = max(at, begin)
            end = min(at + values.numel(), begin + math.prod(place.local_shape))
            run = values[start - at : max(start, end) - at]
            for shard in _shards(place, prefix, run, start - begin):
                self.content[str(len(self.content))] = shard

    def masters(self) -> dict[str, ShardedTensor]:
        """Return the float32 master weights under the names of the weights themselves."""
        return {
            place: dataclasses.replace(shard, key=shard.key.removeprefix(DISTRIBUTED))
            for place, shard in self.content.items()
            if shard.key.startswith(DISTRIBUTED) and shard.dtype == torch.float32
        }

    @torch.no_grad()
    def put_back(self, step: int) -> None:
        """Let the optimizer go on from what was loaded, `step` steps done."""
        for optimizer, key, name, copy in self._copies:
            optimizer.set_scaled_state(key, name, copy)
        # All else that a group holds follows from the config and the schedule.
        for part in self._parts:
            for group in part.optimizer.param_groups:
                group["step"] = step


def _runs(part: Any) -> Iterator[tuple[torch.nn.Parameter, int, int]]:
    """Yield each weight of which a part of the optimizer holds state, and the run of it."""
    for buckets_of_types in part.gbuf_ranges:
        for buckets in buckets_of_types.values():
            for bucket in buckets:
                for parameter, ranges in bucket["param_map"].items():
                    yield parameter, ranges["param"].start, ranges["param"].end


def _places(entry: ShardedTensor | ShardedTensorFactory) -> Iterator[tuple[int, ShardedTensor]]:
    """Yield the parts that a weight is saved in: the first element of each, and where it is.

    A gated MLP's matrix is two, so that each of them is a run of rows of the global tensor.
    """
    if isinstance(entry, ShardedTensor):
        yield 0, entry
        return
    shape = torch.empty(entry.data.shape, device="meta")
    for place in nested_values(entry.build_fn(entry.key, shape, entry.replica_id, None)):
        assert place.data.is_contiguous(), f"{entry.key} is not split into runs of rows"
        yield place.data.storage_offset(), place


def _shards(
    place: ShardedTensor, prefix: str, run: torch.Tensor, start: int
) -> Iterator[ShardedTensor]:
    axes, taken = place.prepend_axis_num, 0
    model_replica, tensor_replica, _data_replica = place.replica_id
    for offset, size in boxes(place.local_shape, start, start + run.numel()):
        data = run[taken : taken + math.prod(size)].view(*[1] * axes, *size)
        taken += data.numel()
        yield ShardedTensor(
            key=prefix + place.key,
            data=data,
            dtype=data.dtype,
            local_shape=tuple(data.shape),
            global_shape=place.global_shape,
            global_offset=(
                *place.global_offset[:axes],
                *map(sum, zip(place.global_offset[axes:], offset, strict=True)),
            ),
            axis_fragmentations=None,
            # No two data parallel replicas hold the same run.
            replica_id=(model_replica, tensor_replica, 0),
        )
