"""`convert import`: a Hugging Face model's directory becomes a checkpoint to start from."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from megatron_recipes.claim import claimed
from megatron_recipes.config import ModelConfig
from megatron_recipes.convert.hf_config import CONFIG_FILE, with_rows_and_dtype
from megatron_recipes.convert.hf_model import HfModel, ImportOptions
from megatron_recipes.convert.layout import (
    EMBEDDING,
    OUTPUT_LAYER,
    CheckpointWeights,
    check_names_and_shapes,
    check_one_type,
    write_weights,
)
from megatron_recipes.convert.safetensors_files import SafetensorsDirectory
from megatron_recipes.convert.tensors import (
    DTYPES,
    Adapted,
    TensorSource,
    Without,
    digest,
    dtype_name,
    first_difference,
    num_bytes,
)
from megatron_recipes.convert.tokenizer_files import travelling_files
from megatron_recipes.convert.torch_dist import TorchDistReader, TorchDistWriter
from megatron_recipes.convert.writing import check_room, progress, told_with_place
from megatron_recipes.run_directory import (
    HF_FILES,
    Checkpoint,
    FileContent,
    RunDirectory,
    incompleteness,
    read_checkpoint,
    write_state,
)
from megatron_recipes.whole_files import sync_directory, write_json

Tell = Callable[[str], None]


def import_checkpoint(hf: HfModel, target: Path, options: ImportOptions, tell: Tell) -> Checkpoint:
    """Write the weights of a Hugging Face directory as a checkpoint of step 0.

    Args:
        hf: The directory, read.
        target: A directory to hold the checkpoint; an import of the same weights in it is kept.
        options: How.
        tell: Prints a line for the person who watches.

    Returns:
        The whole checkpoint.

    Raises:
        OSError: Files are missing or cannot be written.
        ValueError: The weights are not what their config says, or something else is at `target`.
    """
    source = _read_source(hf, options, tell)
    run = RunDirectory(path=target.resolve())
    _check_target(run)
    check_room(run.path, num_bytes(source))
    run.path.mkdir(parents=True, exist_ok=True)
    with claimed(run.path, tell):
        final, temporary = run.step_directory(0), run.unfinished_directory(0)
        if final.exists():
            _check_same(final, hf, source)
            tell(f"already there, and equal: {final}")
            return read_checkpoint(final)
        if temporary.exists():
            shutil.rmtree(temporary)
        temporary.mkdir()
        with told_with_place(temporary):
            _write(temporary, source, hf, tell)
        if options.verify:
            _check_written(temporary, hf, source, tell)
        temporary.rename(final)
        sync_directory(run.path)
    return read_checkpoint(final)


def _read_source(hf: HfModel, options: ImportOptions, tell: Tell) -> TensorSource:
    """Return the weights as they are to be written, their tables padded."""
    files = _without_derived(SafetensorsDirectory(hf.path), hf, tell)
    check_names_and_shapes(files.specs, hf.config.model, str(hf.path))
    if not options.dtype:
        check_one_type(files.specs, hf.config.model, str(hf.path))
    padded = hf.model.padded_vocab_size
    tables = {name: padded for name in (EMBEDDING, OUTPUT_LAYER) if name in files.specs}
    return Adapted(files, dtype=DTYPES[options.dtype] if options.dtype else None, rows=tables)


def _without_derived(files: TensorSource, hf: HfModel, tell: Tell) -> TensorSource:
    """Leave out what some files have beside the weights.

    Those are tables computed from the config, and the output layer where it is the embedding.

    Raises:
        ValueError: The output layer is to be the embedding, but has other values.
    """
    left_out = [name for name in files.specs if name.endswith(".rotary_emb.inv_freq")]
    is_tied = hf.config.model.share_embeddings_and_output_weights
    if is_tied and {EMBEDDING, OUTPUT_LAYER} <= set(files.specs):
        if digest(files, EMBEDDING) != digest(files, OUTPUT_LAYER):
            raise ValueError(
                f"{hf.path}: {OUTPUT_LAYER} has other values than {EMBEDDING}, but "
                "tie_word_embeddings (true) of its config.json makes them one; set it false if "
                "they are two"
            )
        left_out.append(OUTPUT_LAYER)
    if left_out:
        tell(f"left out, since they follow from the rest: {len(left_out)} such as {left_out[0]}")
    return Without(files, left_out)


def _check_target(run: RunDirectory) -> None:
    """Refuse a directory that holds anything but an import, whole or begun."""
    if run.path.exists() and not run.path.is_dir():
        raise NotADirectoryError(f"{run.path}: expected a directory, found a file")
    own = {run.step_directory(0).name, run.unfinished_directory(0).name, ".lock"}
    for entry in run.path.iterdir() if run.path.is_dir() else ():
        if entry.name not in own:
            raise ValueError(
                f"{run.path}: expected a new or empty directory, found {entry.name} in it; "
                "give another"
            )


def _check_same(final: Path, hf: HfModel, source: TensorSource) -> None:
    """Refuse what is there already unless it is what would be written."""
    reason = incompleteness(final)
    if not reason:
        state = read_checkpoint(final).state
        if state.get("model") != hf.identity or state.get("tokenizer") != hf.tokenizer.sha256:
            reason = "it is of another model, tokenizer or number of rows"
        else:
            reason = first_difference(source, padded_weights(final, hf.model))
    if reason:
        raise ValueError(
            f"{final}: expected nothing, or an import of the same weights, but {reason}; remove "
            "it, or give another directory"
        )


def padded_weights(path: Path, model: ModelConfig) -> TensorSource:
    """Return the weights of a checkpoint under Hugging Face's names, padding rows included."""
    return CheckpointWeights(TorchDistReader(path), model, model.padded_vocab_size, str(path))


def _write(path: Path, source: TensorSource, hf: HfModel, tell: Tell) -> None:
    there, rows = hf.config.model.vocab_size, hf.model.vocab_size
    padded = hf.model.padded_vocab_size
    if padded > there:
        tell(
            f"tables of {there:,} rows: {rows - there:,} added for new tokens and "
            f"{padded - rows:,} as padding, each the mean of those there"
        )
    with TorchDistWriter(path) as writer, progress(source, tell) as count:
        for name in write_weights(writer, source, hf.model):
            count(name)
        contents = writer.finish(hf.model.num_layers)
    contents |= _write_hf_files(path / HF_FILES, hf, dtype_name(source.specs[EMBEDDING].dtype))
    state = {
        "step": 0,
        "consumed_samples": 0,
        "model": hf.identity,
        "tokenizer": hf.tokenizer.sha256,
        "imported_from": str(hf.path.resolve()),
    }
    write_state(path, state, contents)


def _write_hf_files(directory: Path, hf: HfModel, dtype: str) -> dict[str, FileContent]:
    """Keep the small files of the model's directory, `config.json` with rows and type as here."""
    directory.mkdir()
    for name, file in travelling_files(hf.path, hf.tokenizer, own=hf.has_own_tokenizer).items():
        shutil.copyfile(file, directory / name)
    content = with_rows_and_dtype(hf.config.content, vocab_size=hf.model.vocab_size, dtype=dtype)
    if content != hf.config.content:
        write_json(directory / CONFIG_FILE, content)
    return {f"{directory.name}/{file.name}": _content(file) for file in directory.iterdir()}


def _content(file: Path) -> FileContent:
    data = file.read_bytes()
    return FileContent(num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _check_written(path: Path, hf: HfModel, source: TensorSource, tell: Tell) -> None:
    difference = first_difference(source, padded_weights(path, hf.model))
    if difference:
        raise ValueError(
            f"{path}: read again, {difference}; the disk or the memory of this machine is at "
            "fault, or the source has changed meanwhile"
        )
    tell(f"read again: {len(source.specs):,} tensors equal to the source's, by xxh3")
