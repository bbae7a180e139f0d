"""Megatron-Core's checkpoint format `torch_dist`, written and read a piece at a time.

| file | holds |
|---|---|
| `__0_0.distcp`, `__0_1.distcp`, ... | pieces of tensors and objects, each as of `torch.save` |
| `.metadata` | a pickle: the shape of each tensor, and file, offset and length of each piece |
| `metadata.json` | the name of the format |

The matrices of all layers are one tensor with a first axis of layers. A piece is a block of rows of
one layer; whoever loads reads the pieces that its own share overlaps. Megatron-Core also asks for
an `_extra_state` of its modules (the scales of FP8), which is None where there is none, and for
the `common_state` that is no tensor.
"""

import hashlib
import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, Self, cast

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader, _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.utils import _create_file_view

from megatron_recipes.convert.tensors import TensorSpec
from megatron_recipes.run_directory import FileContent

FILE_BYTES = 4 * 1024**3
"""A file that has reached this is followed by another."""
CACHE_BYTES = 128 * 1024**2
"""Pieces kept while they are read; the greatest piece counts even if it is greater."""

EXTRA_STATES = (
    "self_attention.core_attention",
    "self_attention.linear_qkv",
    "self_attention.linear_proj",
    "mlp.linear_fc1",
    "mlp.linear_fc2",
)
"""Modules of a layer that ask for an extra state, with Megatron-Core's or Transformer Engine's
layers; one that nobody asks for does no harm."""


class TorchDistWriter:
    """Writes one checkpoint's tensors into an empty directory; a context that ends its files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[_DigestedFile] = []
        self._tensors: dict[str, Any] = {}
        self._places: dict[MetadataIndex, _StorageInfo] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def add_rows(
        self, key: str, spec: TensorSpec, start: int, rows: torch.Tensor, layer: tuple[int, int]
    ) -> None:
        """Write a block of rows.

        Args:
            key: The tensor.
            spec: Shape and type of one layer of it.
            start: The first row.
            rows: The rows, contiguous, in a storage of their own.
            layer: Which of how many layers; `(0, 0)`: the tensor has no axis of layers.
        """
        number, num_layers = layer
        leading = (num_layers,) if num_layers else ()
        offset = torch.Size([*((number,) if leading else ()), start, *[0] * (rows.dim() - 1)])
        saved = rows.unsqueeze(0) if leading else rows
        described = self._tensors.setdefault(
            key,
            TensorStorageMetadata(
                properties=TensorProperties(dtype=spec.dtype),
                size=torch.Size([*leading, *spec.shape]),
                chunks=[],
            ),
        )
        described.chunks.append(ChunkStorageMetadata(offsets=offset, sizes=saved.shape))
        self._save(MetadataIndex(key, offset), saved)

    def add_object(self, key: str, value: object, place: tuple[int, int] = (0, 1)) -> None:
        """Write what is no tensor, as the object at a place among several."""
        name = f"{key}/shard_{place[0]}_{place[1]}"
        self._tensors[name] = BytesStorageMetadata()
        self._save(MetadataIndex(name), [value])

    def finish(self, num_layers: int) -> dict[str, FileContent]:
        """Write what Megatron-Core asks for beside tensors, and the list of all.

        Returns:
            What was written, by name of the file.
        """
        for layer in range(num_layers):
            for module in EXTRA_STATES:
                self.add_object(f"decoder.layers.{module}._extra_state", None, (layer, num_layers))
        self.add_object("decoder.final_layernorm._extra_state", None)
        self.add_object("common_state", {})
        self._close()
        metadata = Metadata(state_dict_metadata=self._tensors, storage_data=self._places)
        kind = {"sharded_backend": "torch_dist", "sharded_backend_version": 1}
        for name, content in (
            (".metadata", pickle.dumps(metadata)),
            ("metadata.json", json.dumps(kind).encode()),
        ):
            self._files.append(_DigestedFile(self._path / name))
            self._files[-1].write(content)
            self._close()
        return {file.path.name: file.content for file in self._files}

    def _save(self, index: MetadataIndex, value: object) -> None:
        if not self._files or self._files[-1].num_bytes >= FILE_BYTES:
            self._close()
            self._files.append(_DigestedFile(self._path / f"__0_{len(self._files)}.distcp"))
        file = self._files[-1]
        begin = file.num_bytes
        torch.save(value, cast("IO[bytes]", file))
        self._places[index] = _StorageInfo(file.path.name, begin, file.num_bytes - begin)

    def _close(self) -> None:
        if self._files:
            self._files[-1].close()


class _DigestedFile:
    """A file that is appended to, by `torch.save` among others, and its digest."""

    def __init__(self, path: Path) -> None:
        self.path, self.num_bytes = path, 0
        self._file, self._digest = path.open("wb"), hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        self._digest.update(data)
        self.num_bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Do nothing: the file is flushed when it is whole."""

    def close(self) -> None:
        """Wait until the file is on the disk; once is enough."""
        if self._file.closed:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    @property
    def content(self) -> FileContent:
        """Size and digest of what was written."""
        return FileContent(num_bytes=self.num_bytes, sha256=self._digest.hexdigest())


class TorchDistReader:
    """Reads rows of a checkpoint's tensors, whatever layout wrote it."""

    def __init__(self, path: Path) -> None:
        """Read the list of all pieces.

        Raises:
            ValueError: It cannot be read.
        """
        self._path = path
        try:
            metadata = FileSystemReader(path).read_metadata()
        except (OSError, pickle.UnpicklingError, EOFError, AttributeError) as error:
            raise ValueError(
                f"{path}: expected a checkpoint of megatron-recipes, but its .metadata cannot be "
                f"read: {error}"
            ) from None
        self._places = metadata.storage_data
        self.tensors: dict[str, Any] = {
            name: described
            for name, described in metadata.state_dict_metadata.items()
            if isinstance(described, TensorStorageMetadata)
        }
        self._cache: OrderedDict[MetadataIndex, torch.Tensor] = OrderedDict()

    def read_rows(self, key: str, layer: int | None, start: int, stop: int) -> torch.Tensor:
        """Return rows of a tensor, or of one layer of it, contiguous.

        Raises:
            ValueError: A piece is damaged, or the pieces do not cover the rows.
        """
        described = self.tensors[key]
        shape = described.size[1 if layer is not None else 0 :]
        rows = torch.empty((stop - start, *shape[1:]), dtype=described.properties.dtype)
        covered = 0
        for chunk in described.chunks:
            covered += self._copy(key, layer, chunk, start, rows)
        if covered != rows.numel():
            raise ValueError(
                f"{self._path}: the pieces of {key} hold {covered} of {rows.numel()} values"
            )
        return rows

    def _copy(
        self, key: str, layer: int | None, chunk: ChunkStorageMetadata, start: int, into: Any
    ) -> int:
        """Copy what a piece has of the rows; returns how many values that is."""
        offsets, sizes = list(chunk.offsets), list(chunk.sizes)
        if layer is not None:
            if not offsets[0] <= layer < offsets[0] + sizes[0]:
                return 0
            first_layer, offsets, sizes = offsets[0], offsets[1:], sizes[1:]
        first = max(start, offsets[0])
        last = min(start + into.shape[0], offsets[0] + sizes[0])
        if first >= last:
            return 0
        piece = self._piece(MetadataIndex(key, chunk.offsets))
        if layer is not None:
            piece = piece[layer - first_layer]
        part = piece[first - offsets[0] : last - offsets[0]]
        columns = [
            slice(offset, offset + size)
            for offset, size in zip(offsets[1:], sizes[1:], strict=True)
        ]
        into[(slice(first - start, last - start), *columns)] = part
        return int(part.numel())

    def _piece(self, index: MetadataIndex) -> torch.Tensor:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        place = self._places[index]
        room = CACHE_BYTES - place.length
        while self._cache and sum(piece.nbytes for piece in self._cache.values()) > room:
            self._cache.popitem(last=False)
        self._cache[index] = self._load(index, place)
        return self._cache[index]

    def _load(self, index: MetadataIndex, place: _StorageInfo) -> torch.Tensor:
        path = self._path / place.relative_path
        try:
            with path.open("rb") as file:
                view = cast("IO[bytes]", _create_file_view(file, place.offset, place.length))
                piece: torch.Tensor = torch.load(view, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path}: the piece of {index.fqn} cannot be read: {reason}") from None
        return piece
