"""What `--from` names, as far as it can be held against a recipe and its data without torch.

Either a checkpoint of ours, or a Hugging Face directory: `config.json` with the sizes, beside it
the tokenizer's file, whose sha256 is what a dataset's sidecar names.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from megatron_recipes.blend import Blend
from megatron_recipes.config import ModelConfig, TrainingConfig
from megatron_recipes.run_directory import check_weights_fit, find_checkpoint

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")
"""What a model's directory holds its tokenizer in; data may have been made with either."""

SIZES = {
    "num_layers": "num_hidden_layers",
    "hidden_size": "hidden_size",
    "ffn_hidden_size": "intermediate_size",
    "num_attention_heads": "num_attention_heads",
    "num_query_groups": "num_key_value_heads",
    "padded_vocab_size": "vocab_size",
    "rotary_base": "rope_theta",
    "layernorm_epsilon": "rms_norm_eps",
    "max_position_embeddings": "max_position_embeddings",
    "share_embeddings_and_output_weights": "tie_word_embeddings",
}
"""Fields of a model, and what Hugging Face calls them."""


def check_source(path: Path, config: TrainingConfig, blend: Blend | None) -> str:
    """Refuse to start from another model than the recipe's or with another tokenizer's data.

    Args:
        path: A checkpoint, the directory of a training, or a Hugging Face directory.
        config: The recipe; its vocabulary may be open.
        blend: The data, if that is known.

    Returns:
        What it is, for the user.

    Raises:
        OSError: There is nothing of the kind.
        ValueError: It names the first field that differs, with both values.
    """
    found = _hugging_face_config(path)
    if found is None:
        checkpoint = find_checkpoint(path)
        tokenizer = blend.tokenizer if blend else str(checkpoint.state["tokenizer"])
        check_weights_fit(checkpoint, config, tokenizer)
        return f"{checkpoint.path}, step {checkpoint.step:,}"
    _check_sizes(path, found, config.model)
    return f"{path}, {found['architectures'][0]}; {_check_tokenizer(path, blend)}"


def _hugging_face_config(path: Path) -> dict[str, Any] | None:
    file = path / "config.json"
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"--from {file}: expected a model's config in JSON: {error}") from None
    is_model = isinstance(content, dict) and isinstance(content.get("architectures"), list)
    return content if is_model and content["architectures"] else None


def _check_sizes(path: Path, found: dict[str, Any], model: ModelConfig) -> None:
    # Newer files of `transformers` keep the base of rotary positions one level deeper.
    there = found.get("rope_parameters") or {}
    for name, name_there in SIZES.items():
        ours, theirs = getattr(model, name), found.get(name_there, there.get(name_there))
        is_open = theirs is None or (name == "padded_vocab_size" and not model.vocab_size)
        if is_open or (name == "max_position_embeddings" and not ours):
            continue
        if ours != theirs:
            raise ValueError(
                f"--from {path}: {name_there} is {theirs} there, but {name} is {ours} here; "
                "take the recipe of that model, or set the field"
            )


def _check_tokenizer(path: Path, blend: Blend | None) -> str:
    hashes = {}
    for name in TOKENIZER_FILES:
        if (path / name).is_file():
            with (path / name).open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    if not hashes:
        raise FileNotFoundError(
            f"--from {path}: expected {' or '.join(TOKENIZER_FILES)} beside config.json, found "
            "neither, so the data's tokenizer cannot be held against it"
        )
    if blend is None:
        return f"tokenizer sha256 {next(iter(hashes.values())):.12}"
    for name, digest in hashes.items():
        if digest == blend.tokenizer:
            return f"{name} made the data"
    there = ", ".join(f"{name} {digest:.12}" for name, digest in hashes.items())
    raise ValueError(
        f"--from {path}: the data was made with the tokenizer of sha256 {blend.tokenizer:.12}, the "
        f"model has {there}; tokenize the data with the model's"
    )
