"""What `--from` names: a checkpoint of ours, or a Hugging Face directory that becomes one.

It is held against the recipe and the data's tokenizer without torch and without reading weights.
"""

from dataclasses import dataclass
from pathlib import Path

from megatron_recipes.blend import Blend
from megatron_recipes.config import TrainingConfig
from megatron_recipes.convert.hf_config import is_hf_directory
from megatron_recipes.convert.hf_model import HfModel, ImportOptions, read_hf_model
from megatron_recipes.run_directory import (
    Checkpoint,
    RunDirectory,
    check_weights_fit,
    find_checkpoint,
    incompleteness,
    read_checkpoint,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a training's first weights come from."""

    checkpoint: Checkpoint
    """What holds them; of a model that is yet to be imported, what will hold them."""

    hf_model: HfModel | None = None
    """The Hugging Face directory that is yet to be imported."""


def import_options(config: TrainingConfig) -> ImportOptions:
    """Return how a Hugging Face directory is imported for a training."""
    return ImportOptions(make_vocab_size_divisible_by=config.model.make_vocab_size_divisible_by)


def find_source(
    path: Path, config: TrainingConfig, blend: Blend | None, *, imported: Path
) -> Source:
    """Return what a path names, if it is the recipe's model and the data's tokenizer made it.

    Args:
        path: A checkpoint, the directory of a training, or a Hugging Face directory.
        config: The recipe; its vocabulary may be open.
        blend: The data, if that is known.
        imported: Where a Hugging Face directory is imported to, or has been.

    Raises:
        OSError: There is nothing of the kind.
        ValueError: It is damaged, or differs; the message names the first field that does.
    """
    wanted = blend.tokenizer if blend else ""
    source = _find(path, config, wanted, RunDirectory(path=imported).step_directory(0))
    checkpoint = source.checkpoint
    check_weights_fit(path, checkpoint, config, wanted or str(checkpoint.state["tokenizer"]))
    return source


def _find(path: Path, config: TrainingConfig, tokenizer: str, imported: Path) -> Source:
    if not is_hf_directory(path):
        return Source(checkpoint=find_checkpoint(path))
    if not incompleteness(imported):
        return Source(checkpoint=read_checkpoint(imported))
    hf_model = read_hf_model(path, import_options(config), tokenizer=tokenizer)
    state = {"model": hf_model.identity, "tokenizer": hf_model.tokenizer.sha256}
    checkpoint = Checkpoint(path=imported, step=0, consumed_samples=0, state=state)
    return Source(checkpoint=checkpoint, hf_model=hf_model)


def check_source(path: Path, config: TrainingConfig, blend: Blend | None) -> str:
    """Refuse to start from another model than the recipe's or with another tokenizer's data.

    Returns:
        What it is, for the user.

    Raises:
        OSError: There is nothing of the kind.
        ValueError: As `find_source`.
    """
    source = find_source(path, config, blend, imported=path / "imported")
    if source.hf_model is None:
        return f"{source.checkpoint.path}, step {source.checkpoint.step:,}"
    tokenizer = source.hf_model.tokenizer
    made = "made the data" if blend else f"has the sha256 {tokenizer.sha256:.12}"
    architecture = source.hf_model.config.content["model_type"]
    return f"{path}, {architecture}, to be imported; {tokenizer.file.name} {made}"
