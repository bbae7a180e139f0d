"""What of a plan's later trainings can be told to be wrong before the first one is started."""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING

from megatron_recipes.convert.hf_config import is_hf_directory
from megatron_recipes.job import resolve_config, resolve_with_data
from megatron_recipes.model_identity import weights_identity
from megatron_recipes.run_directory import HF_FILES, RunDirectory, find_checkpoint, hf_files
from megatron_recipes.source import check_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from megatron_recipes.blend import Blend
    from megatron_recipes.config import TrainingConfig
    from megatron_recipes.plan import PlannedTraining


def check_ahead(training: PlannedTraining, earlier: Sequence[PlannedTraining]) -> None:
    """Refuse what would stop a training once those before it are done.

    Args:
        training: One of a plan.
        earlier: Those before it.

    Raises:
        MisuseError: The recipe or a setting is wrong.
        OSError: What it starts from is neither there nor made by one of them.
        ValueError: Config, data, GPU and what it starts from do not fit each other.
    """
    config = resolve_config(training.recipe, training.settings)
    if training.is_done:
        return
    data = None
    if training.blend.is_file():
        config, data = resolve_with_data(training.recipe, training.settings, training.blend)
    has_own, _ = RunDirectory(path=training.checkpoint_dir).newest_checkpoint()
    if training.start_from is None or has_own:
        return
    within = [training.start_from, *training.start_from.parents]
    maker = next((other for other in earlier if other.checkpoint_dir in within), None)
    if maker:
        _check_same_model(maker, config)
    elif training.start_from.exists():
        check_source(training.start_from, config, data)
    else:
        raise FileNotFoundError(
            f"from {training.start_from}: expected a checkpoint, a Hugging Face directory or the "
            f"name of a training before it, found no such path; before it are: "
            f"{', '.join(other.name for other in earlier) or 'none'}"
        )
    if data and config.batch.pack_conversations:
        _check_conversations(data, _model_files(training, earlier))


def _check_conversations(data: Blend, model_files: Path | None) -> None:
    """Refuse masks that the training would refuse, which may be weeks away."""
    if importlib.util.find_spec("megatron") is None:
        return  # where trainings are only listed, for another machine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Megatron-Core's, that this is no rank of a training
        from megatron_recipes.tuning.checks import check_blend

        check_blend(data, model_files)


def _model_files(training: PlannedTraining, earlier: Sequence[PlannedTraining]) -> Path | None:
    """Return where the Hugging Face files are that will travel to a training, if anywhere yet."""
    makers = {other.checkpoint_dir: other for other in earlier}
    while not (kept := training.checkpoint_dir / HF_FILES).is_dir():
        source = training.start_from
        if source is None:
            return None
        maker = next((makers[path] for path in (source, *source.parents) if path in makers), None)
        if maker is None:
            return source if is_hf_directory(source) else hf_files(find_checkpoint(source).path)
        training = maker
    return kept


def _check_same_model(maker: PlannedTraining, config: TrainingConfig) -> None:
    """Refuse to start from the weights of another model."""
    there = weights_identity(resolve_config(maker.recipe, maker.settings).model)
    for name, value in weights_identity(config.model).items():
        # The rows of a vocabulary that is that of the data are not known yet.
        is_open = name == "padded_vocab_size" and 0 in (value, there[name])
        if value != there[name] and not is_open:
            raise ValueError(
                f"from {maker.name}: {name} is {there[name]} there and {value} here; start from a "
                "training of the same model"
            )
