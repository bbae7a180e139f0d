"""One training, resolved from what the user gave: checked before any process starts."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from megatron_recipes.blend import Blend, read_blend
from megatron_recipes.config import TrainingConfig
from megatron_recipes.limits import check_limits
from megatron_recipes.recipes import find_recipe
from megatron_recipes.run_directory import (
    Checkpoint,
    RunDirectory,
    check_weights_fit,
    find_checkpoint,
)
from megatron_recipes.settings import apply_settings, with_vocabulary
from megatron_recipes.sinks import SinkOptions


class MisuseError(ValueError):
    """What was asked for is contradictory, before any file is looked at: exit status 2."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One training as a process is given it."""

    config: TrainingConfig
    """Complete: the vocabulary is known."""

    blend: Blend
    """The data."""

    run: RunDirectory
    """The checkpoint directory."""

    start_path: Path | None
    """What `--from` names."""

    start_from: Checkpoint | None
    """The checkpoint there, whose weights the training begins with; None once it has its own."""

    cache: Path
    """Where dataset indices are kept; machines need not share it."""

    sinks: SinkOptions = field(default_factory=SinkOptions)
    """Where metrics go beside `metrics.jsonl`."""

    def identity(self) -> dict[str, Any]:
        """Return what `config.json` holds and a resumed run is compared with."""
        return {
            **dataclasses.asdict(self.config),
            "blend": self.blend.identity(),
            "from": None if self.start_path is None else str(self.start_path),
        }


def resolve_config(recipe: str, settings: Sequence[str]) -> TrainingConfig:
    """Return a recipe with its settings applied.

    Raises:
        MisuseError: There is no such recipe or field, or the config is refused.
    """
    try:
        return apply_settings(find_recipe(recipe), settings)
    except ValueError as error:
        raise MisuseError(str(error)) from error


def resolve_with_data(
    recipe: str, settings: Sequence[str], blend: Path | None
) -> tuple[TrainingConfig, Blend | None]:
    """Return a recipe and its data, if any, held against each other and the recipe's GPU.

    Raises:
        MisuseError: The recipe or a setting is wrong.
        OSError: A file is missing.
        ValueError: Data, config and GPU do not fit each other.
    """
    config = resolve_config(recipe, settings)
    data = read_blend(blend) if blend else None
    if data:
        config = with_vocabulary(config, data.vocab_size)
    check_limits(config, data)
    return config, data


def make_job(
    recipe: str,
    *,
    blend: Path,
    checkpoint_dir: Path,
    start_from: Path | None,
    settings: Sequence[str],
    cache: Path | None = None,
    sinks: SinkOptions | None = None,
) -> Job:
    """Return the training the user asked for, with everything checked that can be without torch.

    Raises:
        MisuseError: The recipe or a setting is wrong.
        OSError: A file is missing.
        ValueError: Files, config and machine do not fit each other.
    """
    config = resolve_config(recipe, settings)
    sinks = sinks or SinkOptions()
    sinks.check_installed()
    if config.needs_gpu:
        config.check_machine(**machine())
    data = read_blend(blend)
    config = with_vocabulary(config, data.vocab_size)
    check_limits(config, data)
    run = RunDirectory(path=checkpoint_dir.resolve())
    # What a training began with may have moved on or gone when it has checkpoints of its own.
    begins = start_from is not None and run.newest_checkpoint()[0] is None
    checkpoint = find_checkpoint(start_from) if start_from and begins else None
    if checkpoint:
        check_weights_fit(checkpoint, config, data.tokenizer)
    return Job(
        config=config,
        blend=data,
        run=run,
        start_path=None if start_from is None else start_from.resolve(),
        start_from=checkpoint,
        cache=run.cache if cache is None else cache.resolve(),
        sinks=sinks,
    )


def machine() -> dict[str, bool]:
    """Return what `TrainingConfig.check_machine` asks; imports torch, so only when it matters."""
    import torch

    return {
        "has_cuda": torch.cuda.is_available(),
        "has_transformer_engine": importlib.util.find_spec("transformer_engine") is not None,
    }
