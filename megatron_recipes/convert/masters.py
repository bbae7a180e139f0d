"""The master weights of a checkpoint, read as if they were its weights."""

import torch
from torch.distributed.checkpoint.metadata import TensorProperties, TensorStorageMetadata

from megatron_recipes.checkpoints.master_weights import DISTRIBUTED, joined, master_key
from megatron_recipes.convert.torch_dist import TorchDistReader


class MasterReader:
    """Reads rows in float32, by the names of the weights."""

    def __init__(self, reader: TorchDistReader, *, fp8_weights: bool) -> None:
        """Look every weight's master up.

        Args:
            reader: The checkpoint.
            fp8_weights: Whether its weights are rounded to FP8: such a weight is no half of a
                master.
        """
        self._reader = reader
        self._keys: dict[str, str] = {}
        self.tensors: dict[str, TensorStorageMetadata] = {}
        """Shape and type of each weight that is there in float32."""
        self.missing: list[str] = []
        """The weights that are not."""
        types = {name: found.properties.dtype for name, found in reader.tensors.items()}
        for name, described in reader.tensors.items():
            if name.startswith("optimizer."):
                continue
            key = master_key(name, types)
            has_rest = types[name] == torch.bfloat16 and types.get(DISTRIBUTED + name) == (
                torch.int16
            )
            if not key and (fp8_weights or not has_rest):
                self.missing.append(name)
                continue
            self._keys[name] = key
            self.tensors[name] = TensorStorageMetadata(
                properties=TensorProperties(dtype=torch.float32), size=described.size, chunks=[]
            )

    def read_rows(self, key: str, layer: int | None, start: int, stop: int) -> torch.Tensor:
        """Return rows of the master of a tensor, or of one layer of it, contiguous.

        Raises:
            ValueError: A piece is damaged, or the pieces do not cover the rows.
        """
        if self._keys[key]:
            return self._reader.read_rows(self._keys[key], layer, start, stop)
        weight = self._reader.read_rows(key, layer, start, stop)
        return joined(weight, self._reader.read_rows(DISTRIBUTED + key, layer, start, stop))
