"""Directories of safetensors files, read and written a block of rows at a time.

A file is 8 bytes with the header's length (little endian), the header, and the tensors' bytes back
to back. The header is JSON, `{name: {"dtype", "shape", "data_offsets": [begin, end]}}`, offsets
counted from its end, and text under `__metadata__`. Source: the format's description in the
safetensors repository. Nothing is mapped into memory, so that no page of a file counts as ours.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from megatron_recipes.convert.tensors import TensorSource, TensorSpec, num_bytes, raw_bytes

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_MAX_HEADER_BYTES = 100_000_000
"""The library's own limit."""


@dataclass(frozen=True, slots=True)
class _Place:
    file: Path
    offset: int
    spec: TensorSpec


class SafetensorsDirectory:
    """The weights of a Hugging Face model directory."""

    def __init__(self, path: Path) -> None:
        """Read the headers of every file.

        Raises:
            OSError: There are no weights, or a file of them is missing.
            ValueError: A file is damaged or no safetensors, or the index and the files differ.
        """
        self._places: dict[str, _Place] = {}
        for file, expected in _files(path).items():
            places = _read_header(file)
            for name in expected:
                if name not in places:
                    raise ValueError(
                        f"{file}: expected the tensor {name}, which {INDEX_FILE} says is in it, "
                        "found no such tensor; fetch both again"
                    )
            for name in places:
                if name in self._places:
                    raise ValueError(
                        f"{file}: {name} is also in {self._places[name].file.name}; "
                        "expected each tensor once"
                    )
            self._places |= places

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Every tensor of every file."""
        return {name: place.spec for name, place in self._places.items()}

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return rows `start` to `stop` of a tensor."""
        place = self._places[name]
        rows = torch.empty((stop - start, *place.spec.shape[1:]), dtype=place.spec.dtype)
        with place.file.open("rb", buffering=0) as file:
            file.seek(place.offset + start * place.spec.row_bytes)
            _read_exactly(file, raw_bytes(rows), place.file)
        return rows


def _read_exactly(file: Any, into: memoryview, path: Path) -> None:
    done = 0
    while done < len(into):
        count = file.readinto(into[done:])
        if not count:
            raise ValueError(f"{path}: the file ended while it was read; fetch it again")
        done += count


def _files(path: Path) -> dict[Path, list[str]]:
    """Return the weight files of a directory, each with the tensors an index says it has."""
    index = path / INDEX_FILE
    if not index.is_file():
        if (path / SINGLE_FILE).is_file():
            return {path / SINGLE_FILE: []}
        pickled = sorted(path.glob("pytorch_model*.bin")) or sorted(path.glob("*.pth"))
        found = (
            f"found {pickled[0].name}, a pickle, which could run any program; convert it with "
            "transformers: from_pretrained, save_pretrained"
            if pickled
            else "found neither; fetch the model's weights"
        )
        raise FileNotFoundError(f"{path}: expected {SINGLE_FILE} or {INDEX_FILE}, {found}")
    try:
        weight_map = json.loads(index.read_bytes())["weight_map"]
        files: dict[Path, list[str]] = {}
        for name, file in weight_map.items():
            files.setdefault(path / Path(file).name, []).append(name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index}: expected an index with a weight_map: {error!r}") from None
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: expected the shard that {INDEX_FILE} names, it is missing; fetch it"
            )
    return files


def _read_header(file: Path) -> dict[str, _Place]:
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if size < 8 or length > min(_MAX_HEADER_BYTES, size - 8):
            raise ValueError(
                f"{file}: expected a safetensors file, its {size} bytes do not hold the header "
                "they begin with; fetch it again"
            )
        text = opened.read(length)
    try:
        header: dict[str, Any] = json.loads(text)
        header.pop("__metadata__", None)
        places = {
            name: _place(file, 8 + length, entry, name) for name, entry in sorted(header.items())
        }
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file}: expected a safetensors header: {error!r}") from None
    end = max((place.offset + place.spec.num_bytes for place in places.values()), default=0)
    if places and end != size:
        raise ValueError(f"{file}: has {size} bytes instead of {end}; fetch it again")
    return places


def _place(file: Path, data: int, entry: dict[str, Any], name: str) -> _Place:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if entry["dtype"] not in _DTYPES:
        raise ValueError(
            f"{file}: {name} is {entry['dtype']}; expected {', '.join(_DTYPES)}: quantized weights "
            "cannot be trained, take the ones they were made of"
        )
    spec = TensorSpec(shape, _DTYPES[entry["dtype"]])
    if not all(isinstance(axis, int) and axis > 0 for axis in shape) or len(shape) not in (1, 2):
        raise ValueError(f"{file}: {name} has the shape {list(shape)}; expected one or two axes")
    if begin < 0 or end - begin != spec.num_bytes:
        raise ValueError(
            f"{file}: {name} of shape {list(shape)} has {end - begin} bytes instead of "
            f"{spec.num_bytes}; fetch it again"
        )
    return _Place(file, data + begin, spec)


def plan_shards(specs: Mapping[str, TensorSpec], max_bytes: int) -> list[list[str]]:
    """Return the tensors of each shard, in order: a shard ends where the next would exceed it.

    One tensor that is greater than `max_bytes` is a shard of its own.
    """
    shards: list[list[str]] = []
    filled = max_bytes + 1
    for name, spec in specs.items():
        if filled + spec.num_bytes > max_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += spec.num_bytes
    return shards


def write_directory(path: Path, source: TensorSource, *, max_shard_bytes: int) -> Iterator[str]:
    """Write all tensors of a source as shards, and their index where there are several.

    Yields:
        The name of each tensor once it is written.
    """
    shards = plan_shards(source.specs, max_shard_bytes)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        several = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        file = path / (SINGLE_FILE if len(shards) == 1 else several)
        yield from _write_file(file, source, names)
        weight_map |= dict.fromkeys(names, file.name)
    if len(shards) > 1:
        total = num_bytes(source)
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (path / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _write_file(path: Path, source: TensorSource, names: list[str]) -> Iterator[str]:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        spec = source.specs[name]
        header[name] = {
            "dtype": _NAMES[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [offset, offset + spec.num_bytes],
        }
        offset += spec.num_bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            for start, stop in source.specs[name].blocks():
                file.write(raw_bytes(source.read(name, start, stop)))
            yield name
        file.flush()
        os.fsync(file.fileno())
