"""What a model's weights depend on, as checkpoints say it and trainings are held against it."""

import dataclasses
from pathlib import Path
from typing import Any

from megatron_recipes.config import ModelConfig, TrainingConfig
from megatron_recipes.run_directory import Checkpoint
from megatron_recipes.settings import flatten


def check_weights_fit(
    path: Path, checkpoint: Checkpoint, config: TrainingConfig, tokenizer: str
) -> None:
    """Refuse to start from the weights of another model or tokenizer.

    Args:
        path: What `--from` names.
        checkpoint: What is there.
        config: The training's.
        tokenizer: The SHA-256 of the one that made its data.

    Raises:
        ValueError: It names the first field that differs.
    """
    wanted = flatten(weights_identity(config.model) | {"tokenizer": tokenizer})
    found = flatten(checkpoint.state["model"] | {"tokenizer": checkpoint.state["tokenizer"]})
    if config.model.vocab_size == 0:  # that of the data, which is not known
        del wanted["padded_vocab_size"]
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ValueError(
                f"--from {path}: {name} is {found.get(name)} there and {value} here; "
                "start from a checkpoint of the same model and tokenizer"
            )


_WEIGHTS_DEPEND_ON = (
    "num_layers",
    "hidden_size",
    "ffn_hidden_size",
    "num_attention_heads",
    "num_query_groups",
    "kv_channels",
    "padded_vocab_size",
    "rotary_base",
    "rotary_scaling_factor",
    "add_qkv_bias",
    "layernorm_epsilon",
    "share_embeddings_and_output_weights",
)


def weights_identity(model: ModelConfig) -> dict[str, Any]:
    """Return what the weights' shapes and meaning depend on."""
    return {name: getattr(model, name) for name in _WEIGHTS_DEPEND_ON}


def model_identity(config: TrainingConfig) -> dict[str, Any]:
    """Return what `checkpoint.json` says of the model: every field, and the rows of its tables."""
    model = config.model
    return dataclasses.asdict(model) | {"padded_vocab_size": model.padded_vocab_size}


def layout_sizes(config: TrainingConfig) -> dict[str, int]:
    """Return the sizes that give each process its place."""
    layout = config.layout
    return {
        "tensor_model_parallel_size": layout.tensor_model_parallel_size,
        "pipeline_model_parallel_size": layout.pipeline_model_parallel_size,
        "context_parallel_size": layout.context_parallel_size,
        "data_parallel_size": layout.data_parallel_size,
    }
