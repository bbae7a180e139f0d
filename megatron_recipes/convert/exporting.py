"""`convert export`: a checkpoint becomes a Hugging Face model's directory."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megatron_recipes.checkpoints.content import first_damage
from megatron_recipes.checkpoints.master_weights import FP8_WEIGHTS
from megatron_recipes.config import ModelConfig
from megatron_recipes.convert.hf_config import (
    CONFIG_FILE,
    make_hf_config,
    read_hf_config,
    with_rows_and_dtype,
)
from megatron_recipes.convert.layout import EMBEDDING, CheckpointWeights
from megatron_recipes.convert.masters import MasterReader
from megatron_recipes.convert.safetensors_files import SafetensorsDirectory, write_directory
from megatron_recipes.convert.tensors import (
    DTYPES,
    Adapted,
    TensorSource,
    dtype_name,
    first_difference,
    num_bytes,
)
from megatron_recipes.convert.tokenizer_files import read_tokenizer, travelling_files
from megatron_recipes.convert.torch_dist import TorchDistReader
from megatron_recipes.convert.writing import check_room, progress, told_with_place
from megatron_recipes.model_identity import weights_identity
from megatron_recipes.run_directory import Checkpoint, hf_files
from megatron_recipes.whole_files import sync_directory, sync_file, write_json

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """How a checkpoint is exported."""

    max_shard_bytes: int = 5 * 10**9
    """Most bytes of tensors in a file."""

    dtype: str = ""
    """Of what is written: one of `DTYPES`, or "" for that of the checkpoint's weights."""

    weights: str = ""
    """`model`: as the training computed with them. `master`: as its optimizer keeps them. "":
    `master` where the training kept its weights in FP8, else `model`."""

    hf: Path | None = None
    """A Hugging Face directory with config and tokenizer; None: those that were kept at import."""

    verify: bool = True
    """Hold the checkpoint's files against their digests, then read what was written and compare
    every tensor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Result:
    """What the directory is to hold."""

    config: dict[str, Any]
    files: dict[str, Path]
    weights: TensorSource
    said: str
    """Which weights they are."""


def export_checkpoint(
    checkpoint: Checkpoint, target: Path, options: ExportOptions, tell: Tell
) -> Path:
    """Write the weights of a checkpoint, saved at any layout, as a Hugging Face directory.

    Args:
        checkpoint: A whole one.
        target: The directory; an export of the same weights in it is kept.
        options: How.
        tell: Prints a line for the person who watches.

    Returns:
        The directory.

    Raises:
        OSError: Files are missing or cannot be written.
        ValueError: The checkpoint is damaged or has no master weights; config and tokenizer do not
            fit it; or something else is at `target`.
    """
    target = target.resolve()
    result = _result(checkpoint, options, tell)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        _check_same(target, result)
        tell(f"already there, and equal: {target}")
        return target
    if options.verify:
        _check_sound(checkpoint)
    check_room(target, num_bytes(result.weights))
    tell(result.said)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.unfinished")
    if temporary.exists():
        shutil.rmtree(temporary)
    temporary.mkdir()
    with told_with_place(temporary):
        _write(temporary, result, options, tell)
    if options.verify:
        difference = first_difference(result.weights, SafetensorsDirectory(temporary))
        if difference:
            raise ValueError(
                f"{temporary}: read again, {difference}; the disk or the memory of this machine "
                "is at fault"
            )
        tell(f"read again: {len(result.weights.specs):,} tensors as in the checkpoint, by xxh3")
    temporary.rename(target)
    sync_directory(target.parent)
    return target


def _result(checkpoint: Checkpoint, options: ExportOptions, tell: Tell) -> _Result:
    model = _model(checkpoint)
    directory = options.hf or hf_files(checkpoint.path)
    files: dict[str, Path] = {}
    rows = model.vocab_size
    if directory:
        kept = read_hf_config(directory, divisor=model.make_vocab_size_divisible_by)
        _check_fits(checkpoint, model, kept.model, directory)
        files, rows = _kept_files(checkpoint, directory), kept.model.vocab_size
    weights, said = _weights(checkpoint, model, rows, options)
    dtype = dtype_name(weights.specs[EMBEDDING].dtype)
    if directory:
        config = with_rows_and_dtype(kept.content, vocab_size=rows, dtype=dtype)
    else:
        config = make_hf_config(model, dtype)
        tell(
            "no Hugging Face files were kept with this checkpoint: its config.json is made, its "
            "tokenizer is for you to add; or name a directory that has both by --hf"
        )
    return _Result(config=config, files=files, weights=weights, said=said)


def _weights(
    checkpoint: Checkpoint, model: ModelConfig, rows: int, options: ExportOptions
) -> tuple[TensorSource, str]:
    """Return what is to be written, and a line that says what it is."""
    where, is_fp8 = str(checkpoint.path), bool(checkpoint.state.get(FP8_WEIGHTS))
    reader = TorchDistReader(checkpoint.path)
    weights: TensorSource = CheckpointWeights(reader, model, rows, where)
    dtype = DTYPES[options.dtype] if options.dtype else None
    said = "weights: as the model computes with them"
    said += ", rounded to FP8 by the training" if is_fp8 else ""
    if (options.weights or ("master" if is_fp8 else "model")) == "master":
        masters = MasterReader(reader, fp8_weights=is_fp8)
        if masters.missing:
            raise ValueError(
                f"{where}: expected the optimizer's master weights, found none of "
                f"{masters.missing[0]}; --weights model exports the model's"
                f"{', which the training rounded to FP8' if is_fp8 else ''}"
            )
        dtype = dtype or weights.specs[EMBEDDING].dtype
        weights = CheckpointWeights(masters, model, rows, where)
        said = "weights: the optimizer's masters, each rounded once"
        said += "; the model's were rounded to FP8 by the training" if is_fp8 else ""
    return (Adapted(weights, dtype=dtype, rows={}) if dtype else weights), said


def _check_sound(checkpoint: Checkpoint) -> None:
    """Refuse files that are not as they were written: what is exported would be as wrong."""
    reason = first_damage(checkpoint.path, sorted(checkpoint.state.get("sha256", {}).items()))
    if reason:
        raise ValueError(f"{checkpoint.path}: {reason}; export another checkpoint")


def _kept_files(checkpoint: Checkpoint, directory: Path) -> dict[str, Path]:
    expected = checkpoint.state["tokenizer"]
    tokenizer = read_tokenizer(directory, sha256=expected)
    if tokenizer.sha256 != expected:
        raise ValueError(
            f"{tokenizer.file}: has the SHA-256 {tokenizer.sha256:.12}, {checkpoint.path} was "
            f"trained with {expected:.12}; name a directory with that tokenizer by --hf"
        )
    return travelling_files(directory, tokenizer, own=True)


def _model(checkpoint: Checkpoint) -> ModelConfig:
    names = [field.name for field in dataclasses.fields(ModelConfig)]
    try:
        return ModelConfig(**{name: checkpoint.state["model"][name] for name in names})
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{checkpoint.path}: its checkpoint.json does not say what the model is: {error!r}"
        ) from None


def _check_fits(checkpoint: Checkpoint, model: ModelConfig, kept: ModelConfig, hf: Path) -> None:
    expected, found = weights_identity(model), weights_identity(kept)
    for name, value in expected.items():
        if found[name] != value:
            raise ValueError(
                f"{hf / CONFIG_FILE}: {name} is {found[name]}, of {checkpoint.path} it is "
                f"{value}; name another directory by --hf"
            )


def _write(path: Path, result: _Result, options: ExportOptions, tell: Tell) -> None:
    with progress(result.weights, tell) as count:
        for name in write_directory(path, result.weights, max_shard_bytes=options.max_shard_bytes):
            count(name)
    for name, file in result.files.items():
        shutil.copyfile(file, path / name)
        sync_file(path / name)
    kept = result.files.get(CONFIG_FILE)
    if kept is None or json.loads(kept.read_bytes()) != result.config:
        write_json(path / CONFIG_FILE, result.config)


def _check_same(target: Path, result: _Result) -> None:
    """Refuse what is there already unless it is what would be written."""
    if not target.is_dir():
        raise NotADirectoryError(f"{target}: expected a directory, found a file")
    try:
        config = json.loads((target / CONFIG_FILE).read_bytes())
        reason = "" if config == result.config else f"its {CONFIG_FILE} is another"
        reason = reason or first_difference(result.weights, SafetensorsDirectory(target))
    except (OSError, ValueError) as error:
        reason = f"it is no whole one ({error})"
    if reason:
        raise ValueError(
            f"{target}: expected nothing, or an export of the same weights, but {reason}; remove "
            "it, or give another directory"
        )
