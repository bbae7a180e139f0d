"""What `--from` names, held against a recipe and its data without torch.

Either a checkpoint of ours or a Hugging Face directory, which `convert import` would make one of.
"""

from pathlib import Path

from megatron_recipes.blend import Blend
from megatron_recipes.config import TrainingConfig
from megatron_recipes.convert.hf_config import is_hf_directory
from megatron_recipes.convert.hf_model import ImportOptions, read_hf_model, settings_that_differ
from megatron_recipes.run_directory import check_weights_fit, find_checkpoint
from megatron_recipes.settings import with_fields


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
        return _check_hugging_face(path, config, blend)
    checkpoint = find_checkpoint(path)
    tokenizer = blend.tokenizer if blend else str(checkpoint.state["tokenizer"])
    if not config.model.vocab_size:
        config = with_fields(config, vocab_size=checkpoint.state["model"]["vocab_size"])
    check_weights_fit(path, checkpoint, config, tokenizer)
    return f"{checkpoint.path}: same model, tokenizer sha256 {tokenizer:.12}"


def _check_hugging_face(path: Path, config: TrainingConfig, blend: Blend | None) -> str:
    divisor = config.model.make_vocab_size_divisible_by
    found = read_hf_model(path, ImportOptions(make_vocab_size_divisible_by=divisor))
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
    return (
        f"{path}: same model, tokenizer sha256 {tokenizer.sha256:.12}; "
        "`convert import` makes it a checkpoint"
    )
