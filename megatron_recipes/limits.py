"""What a training may not exceed: the memory of its GPU, the epochs of its data."""

from megatron_recipes.blend import Blend, Group, check_masks
from megatron_recipes.config import TrainingConfig
from megatron_recipes.memory import check_memory


def num_epochs(config: TrainingConfig, group: Group) -> float:
    """Return how often a training reads each token of a group.

    Of conversations it is how often if all of them were packed without a gap: only when they are
    packed is it known how many are left out, and how many sequences the rest fills.
    """
    return config.schedule.num_steps * config.batch.tokens_per_step * group.weight / group.tokens


def fewest_epochs(config: TrainingConfig, group: Group) -> float:
    """Return how often a training reads a group at the least.

    First-fit leaves no more than one sequence with half its room empty, so that conversations fill
    no more than twice the sequences their rooms need, and one. A room is rounded up to
    2 `context_parallel_size` and has one token less than its conversation: of the shortest, of two
    tokens, it is `context_parallel_size` times as long as that.
    """
    if not config.batch.pack_conversations:
        return num_epochs(config, group)
    shown = config.schedule.num_steps * config.batch.global_batch_size * group.weight
    rooms = group.tokens * config.layout.context_parallel_size
    return shown / (2 * rooms / config.batch.sequence_length + 1)


def check_limits(config: TrainingConfig, blend: Blend | None) -> None:
    """Refuse a training that does not fit its GPU or its data, or reads a group too often.

    How often conversations are read is known when they are packed, at the start of a training; what
    is too often however they are packed is refused here.

    Raises:
        ValueError: It names the numbers and what to change.
    """
    check_memory(config)
    if blend:
        check_masks(blend, packs_conversations=config.batch.pack_conversations)
    for group in blend.train if blend else ():
        epochs = fewest_epochs(config, group)
        if epochs > config.batch.max_epochs:
            trained = config.schedule.num_steps * config.batch.tokens_per_step
            least = "at least " if config.batch.pack_conversations else ""
            raise ValueError(
                f"group {group.name} would be read {least}{epochs:.2f} times: num_steps "
                f"({config.schedule.num_steps}) x {config.batch.tokens_per_step:,} tokens, of "
                f"which {group.weight * trained:,.0f} from its {group.tokens:,}, is more than "
                f"max_epochs ({config.batch.max_epochs:g}); lower num_steps or the group's "
                "weight, or raise max_epochs"
            )
