"""What a training may not exceed: the memory of its GPU, the epochs of its data."""

from megatron_recipes.blend import Blend, Group, check_masks
from megatron_recipes.config import TrainingConfig
from megatron_recipes.memory import check_memory


def num_epochs(config: TrainingConfig, group: Group) -> float:
    """Return how often a training reads each token of a group."""
    return config.schedule.num_steps * config.batch.tokens_per_step * group.weight / group.tokens


def check_limits(config: TrainingConfig, blend: Blend | None) -> None:
    """Refuse a training that does not fit its GPU or its data, or reads a group too often.

    Raises:
        ValueError: It names the numbers and what to change.
    """
    check_memory(config)
    if blend:
        check_masks(blend, packs_conversations=config.batch.pack_conversations)
    for group in blend.train if blend else ():
        epochs = num_epochs(config, group)
        if epochs > config.batch.max_epochs:
            trained = config.schedule.num_steps * config.batch.tokens_per_step
            raise ValueError(
                f"group {group.name} would be read {epochs:.2f} times: num_steps "
                f"({config.schedule.num_steps}) x {config.batch.tokens_per_step:,} tokens, of "
                f"which {group.weight * trained:,.0f} from its {group.tokens:,}, is more than "
                f"max_epochs ({config.batch.max_epochs:g}); lower num_steps or the group's "
                "weight, or raise max_epochs"
            )
