"""A Hugging Face model's directory, as far as its small files tell; no weights are read.

Nothing here imports torch, so a training that is to start from one is checked before any process
is started.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megatron_recipes.config import ModelConfig
from megatron_recipes.convert.hf_config import HfConfig, read_hf_config
from megatron_recipes.convert.tokenizer_files import Tokenizer, read_tokenizer
from megatron_recipes.model_identity import weights_identity


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOptions:
    """How a model is imported."""

    dtype: str = ""
    """Of the weights: one of `DTYPES`, or "" for that of the files."""

    vocab_size: int = 0
    """Rows of the tables, those of added tokens included; 0: as many as there are."""

    make_vocab_size_divisible_by: int = 128
    """What the rows are padded to a multiple of."""

    tokenizer: Path | None = None
    """A file or directory; None: the one in the model's directory."""

    verify: bool = True
    """Read what was written and compare every tensor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HfModel:
    """A Hugging Face directory as far as its small files tell: what it would become."""

    path: Path
    """It."""

    config: HfConfig
    """Its `config.json`, `make_vocab_size_divisible_by` as asked for."""

    model: ModelConfig
    """What the checkpoint's model is: with the rows of added tokens."""

    tokenizer: Tokenizer
    """Its tokenizer, or the one that was named instead."""

    has_own_tokenizer: bool
    """Whether none was named instead."""

    @property
    def identity(self) -> dict[str, Any]:
        """What `checkpoint.json` says of the model."""
        return dataclasses.asdict(self.model) | {"padded_vocab_size": self.model.padded_vocab_size}


def read_hf_model(path: Path, options: ImportOptions, *, tokenizer: str = "") -> HfModel:
    """Return what an import of a directory would give; no weights are read.

    Args:
        path: The directory.
        options: How it is imported.
        tokenizer: The SHA-256 of the file that made the data, if the directory has it.

    Raises:
        OSError: Config or tokenizer are missing.
        ValueError: They are damaged or not supported, or the tokenizer has more ids than rows.
    """
    config = read_hf_config(path, divisor=options.make_vocab_size_divisible_by)
    rows = options.vocab_size or config.model.vocab_size
    if rows < config.model.vocab_size:
        raise ValueError(
            f"{path}: its tables have {config.model.vocab_size} rows; --vocab-size ({rows}) can "
            "only add to them"
        )
    found = read_tokenizer(options.tokenizer or path, sha256=tokenizer)
    if found.num_ids > rows:
        raise ValueError(
            f"{found.file}: the tokenizer has {found.num_ids} ids and the tables have "
            f"{rows} rows; give --vocab-size {found.num_ids} to add rows for them"
        )
    return HfModel(
        path=path,
        config=config,
        model=dataclasses.replace(config.model, vocab_size=rows),
        tokenizer=found,
        has_own_tokenizer=options.tokenizer is None,
    )


def settings_that_differ(found: ModelConfig, recipe: ModelConfig) -> list[str]:
    """Return what `--set` would make a recipe's model that of a checkpoint, field by field."""
    fields = [*weights_identity(found), "vocab_size", "make_vocab_size_divisible_by"]
    if recipe.vocab_size == 0 or recipe.padded_vocab_size == found.padded_vocab_size:
        fields = fields[:-2]
    return [
        f"{name}={str(getattr(found, name)).lower()} (the recipe has {getattr(recipe, name)})"
        for name in fields
        if getattr(found, name) != getattr(recipe, name) and name != "padded_vocab_size"
    ]
