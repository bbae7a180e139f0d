"""Tensors by name, read a block of rows at a time.

A row is what the first axis counts; a vector's rows are its elements.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import xxhash

BLOCK_BYTES = 32 * 1024**2
"""Most bytes of a block: what a conversion holds at once. Reading is as fast as with greater ones,
and a tensor parallel process that loads its share reads little that is not its own."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""The types weights may have, by the name that `config.json` and `--dtype` use."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a tensor is without its values."""

    shape: tuple[int, ...]
    """One or two axes."""

    dtype: torch.dtype
    """One of `DTYPES`."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def num_bytes(self) -> int:
        """Bytes of all rows."""
        return self.shape[0] * self.row_bytes

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Return first row, and the one behind the last, of each block in turn."""
        rows = max(1, BLOCK_BYTES // self.row_bytes)
        for start in range(0, self.shape[0], rows):
            yield start, min(start + rows, self.shape[0])


class TensorSource(Protocol):
    """Where tensors are read from."""

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Every tensor there is."""

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return rows `start` to `stop` of a tensor, contiguous."""


class RowReader(Protocol):
    """Where Megatron-Core's tensors are read from."""

    @property
    def tensors(self) -> Mapping[str, Any]:
        """Size and type of every tensor there is, as `TensorStorageMetadata`."""

    def read_rows(self, key: str, layer: int | None, start: int, stop: int) -> torch.Tensor:
        """Return rows of a tensor, or of one layer of it, contiguous."""


class Without:
    """A source that does not show some of its tensors."""

    def __init__(self, source: TensorSource, names: Collection[str]) -> None:
        self._source = source
        self.specs = {name: spec for name, spec in source.specs.items() if name not in names}

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return rows of one that is shown."""
        return self._source.read(name, start, stop)


class Adapted:
    """A source with another type, and with tables grown by rows that are the mean of their rows.

    The mean is the choice that disturbs least: the logit of such a row is the mean of the logits,
    and the exponential of a mean is at most the mean of the exponentials. So n rows added to N
    take at most n / N of the probability that the others had; rows of zeros have no such bound.
    """

    def __init__(
        self, source: TensorSource, *, dtype: torch.dtype | None, rows: Mapping[str, int]
    ) -> None:
        """Wrap a source.

        Args:
            source: What is read.
            dtype: The type of all tensors; None keeps that of each.
            rows: How many rows a tensor is to have, at least as many as it has; by name.
        """
        self._source = source
        self._means: dict[str, torch.Tensor] = {}
        self.specs = {
            name: TensorSpec((rows.get(name, spec.shape[0]), *spec.shape[1:]), dtype or spec.dtype)
            for name, spec in source.specs.items()
        }

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return rows of the adapted tensor."""
        there = self._source.specs[name].shape[0]
        dtype = self.specs[name].dtype
        if stop <= there and dtype == self._source.specs[name].dtype:
            return self._source.read(name, start, stop)
        rows = torch.empty((stop - start, *self.specs[name].shape[1:]), dtype=dtype)
        # A block of a narrower type has more rows than one of the source's.
        most = max(1, BLOCK_BYTES // self._source.specs[name].row_bytes)
        num_old = max(0, min(stop, there) - start)
        for first in range(0, num_old, most):
            last = min(first + most, num_old)
            rows[first:last] = self._source.read(name, start + first, start + last)
        if num_old < stop - start:
            rows[num_old:] = self._mean(name)
        return rows

    def _mean(self, name: str) -> torch.Tensor:
        if name not in self._means:
            spec = self._source.specs[name]
            total = torch.zeros(spec.shape[1:], dtype=torch.float64)
            for start, stop in spec.blocks():
                total += self._source.read(name, start, stop).sum(dim=0, dtype=torch.float64)
            self._means[name] = total / spec.shape[0]
        return self._means[name]


def raw_bytes(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor, shared with it."""
    return memoryview(tensor.view(torch.uint8).numpy()).cast("B")


def num_bytes(source: TensorSource) -> int:
    """Return the bytes of all tensors of a source."""
    return sum(spec.num_bytes for spec in source.specs.values())


def digest(source: TensorSource, name: str) -> str:
    """Return the xxh3 of a tensor's bytes."""
    found = xxhash.xxh3_128()
    for start, stop in source.specs[name].blocks():
        found.update(raw_bytes(source.read(name, start, stop)))
    return found.hexdigest()


def first_difference(expected: TensorSource, found: TensorSource) -> str:
    """Return what the first tensor that differs has other than expected, or ""."""
    for name in [*expected.specs, *(name for name in found.specs if name not in expected.specs)]:
        if name not in found.specs:
            return f"{name} is missing"
        if name not in expected.specs:
            return f"{name} is one too many"
        there, here = expected.specs[name], found.specs[name]
        if there != here:
            return f"{name} is {describe(here)} instead of {describe(there)}"
        if digest(expected, name) != digest(found, name):
            return f"{name} has other values"
    return ""


def describe(spec: TensorSpec) -> str:
    """Return shape and type as text."""
    return f"{list(spec.shape)} {dtype_name(spec.dtype)}"


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a type without that of its package."""
    return str(dtype).removeprefix("torch.")
