"""One training, resolved from what the user gave: checked before any process starts."""

import dataclasses
import importlib.util
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from megatron_recipes.blend import Blend, read_blend
from megatron_recipes.config import TrainingConfig
from megatron_recipes.convert.hf_model import HfModel
from megatron_recipes.limits import check_limits
from megatron_recipes.recipes import find_recipe
from megatron_recipes.run_directory import (
    HF_FILES,
    Checkpoint,
    RunDirectory,
    hf_files,
)
from megatron_recipes.settings import apply_settings, with_vocabulary
from megatron_recipes.sinks import SinkOptions
from megatron_recipes.source import find_source, import_options


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

    hf_model: HfModel | None = None
    """What `--from` names, if that is a Hugging Face directory which `start_from` is yet to be
    imported from."""

    def fetch_start(self, tell: Callable[[str], None]) -> None:
        """Bring into the training's directory what is missing of what it starts from.

        One process calls this, which has the claim on the directory. Weights of a Hugging Face
        directory become a checkpoint; its small files are kept, so that an export can have them.

        Raises:
            OSError: A file is missing or cannot be written.
            ValueError: The weights are not what their config says.
        """
        if self.hf_model:
            from megatron_recipes.convert.importing import import_checkpoint

            tell(f"importing {self.hf_model.path} into {self.run.imported}")
            options = import_options(self.config)
            import_checkpoint(self.hf_model, self.run.imported, options, tell)
        kept = self.run.path / HF_FILES
        source = hf_files(self.start_from.path) if self.start_from else None
        if source and not kept.exists():
            temporary = self.run.path / f".{HF_FILES}.unfinished"
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(source, temporary)
            temporary.rename(kept)

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
    checkpoint, hf_model = None, None
    if start_from and begins:
        source = find_source(start_from, config, data, imported=run.imported)
        checkpoint, hf_model = source.checkpoint, source.hf_model
    return Job(
        config=config,
        blend=data,
        run=run,
        start_path=None if start_from is None else start_from.resolve(),
        start_from=checkpoint,
        cache=run.cache if cache is None else cache.resolve(),
        sinks=sinks,
        hf_model=hf_model,
    )


def machine() -> dict[str, bool]:
    """Return what `TrainingConfig.check_machine` asks; imports torch, so only when it matters."""
    import torch

    return {
        "has_cuda": torch.cuda.is_available(),
        "has_transformer_engine": importlib.util.find_spec("transformer_engine") is not None,
    }
