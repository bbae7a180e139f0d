"""What `--from` names, held against a recipe and its data without torch.

Either a checkpoint of ours or a Hugging Face directory, which is imported.
"""

from dataclasses import dataclass
from pathlib import Path

from megatron_recipes.blend import Blend
from megatron_recipes.config import TrainingConfig
from megatron_recipes.convert.hf_config import is_hf_directory
from megatron_recipes.convert.hf_model import (
    HfModel,
    ImportOptions,
    read_hf_model,
    settings_that_differ,
)
from megatron_recipes.model_identity import check_weights_fit
from megatron_recipes.run_directory import (
    Checkpoint,
    RunDirectory,
    find_checkpoint,
    incompleteness,
    read_checkpoint,
)
from megatron_recipes.settings import with_fields


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


def find_source(path: Path, config: TrainingConfig, blend: Blend, *, imported: Path) -> Source:
    """Return what `--from` names, if it is the recipe's model and of the data's tokenizer.

    Args:
        path: A checkpoint, the directory of a training, or a Hugging Face directory.
        config: The training's; its vocabulary is known.
        blend: The data.
        imported: Where a Hugging Face directory is imported to, or has been.

    Raises:
        OSError: There is nothing of the kind.
        ValueError: It names what differs, with both values.
    """
    final = RunDirectory(path=imported).step_directory(0)
    if is_hf_directory(path) and incompleteness(final):
        model = _read_hugging_face(path, config, blend)
        state = {"model": model.identity, "tokenizer": model.tokenizer.sha256}
        checkpoint = Checkpoint(path=final, step=0, consumed_samples=0, state=state)
        return Source(checkpoint=checkpoint, hf_model=model)
    checkpoint = read_checkpoint(final) if is_hf_directory(path) else find_checkpoint(path)
    check_weights_fit(path, checkpoint, config, blend.tokenizer)
    return Source(checkpoint=checkpoint)


def check_source(path: Path, config: TrainingConfig, blend: Blend | None) -> str:
    """Refuse weights of another model than the recipe's, or of another tokenizer than the data's.

    Args:
        path: A checkpoint, the directory of a training, or a Hugging Face directory.
        config: The recipe; its vocabulary may be open.
        blend: The data, if that is known.

    Returns:
        What it is, for the user.

    Raises:
        OSError: There is nothing of the kind.
        ValueError: It names what differs, with both values.
    """
    if is_hf_directory(path):
        sha256 = _read_hugging_face(path, config, blend).tokenizer.sha256
        return f"{path}: same model, tokenizer sha256 {sha256:.12}; `train` imports it"
    checkpoint = find_checkpoint(path)
    tokenizer = blend.tokenizer if blend else str(checkpoint.state["tokenizer"])
    if not config.model.vocab_size:
        config = with_fields(config, vocab_size=checkpoint.state["model"]["vocab_size"])
    check_weights_fit(path, checkpoint, config, tokenizer)
    return f"{checkpoint.path}: same model, tokenizer sha256 {tokenizer:.12}"


def _read_hugging_face(path: Path, config: TrainingConfig, blend: Blend | None) -> HfModel:
    wanted = blend.tokenizer if blend else ""
    found = read_hf_model(path, import_options(config), tokenizer=wanted)
    differing = settings_that_differ(found.model, config.model)
    if differing:
        raise ValueError(
            f"--from {path}: another model than that of {config.recipe}: {', '.join(differing)}; "
            "take its recipe, or --set each"
        )
    tokenizer = found.tokenizer
    if blend and tokenizer.sha256 != blend.tokenizer:
        raise ValueError(
            f"--from {path}: {tokenizer.file.name} has sha256 {tokenizer.sha256:.12} and "
            f"{tokenizer.num_ids} tokens, the data was made with {blend.tokenizer:.12} of "
            f"{blend.vocab_size}; tokenize it with the model's"
        )
    return found
