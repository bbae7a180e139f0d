"""The groups of a blend as packed conversations: what is trained, what is held out, how often.

Which conversations share a sequence, and so the order of the data, follows from what rooms are
rounded up to. A checkpoint remembers that, and a resumed training keeps it.
"""

from dataclasses import dataclass

from megatron_recipes.batching import document_multiple
from megatron_recipes.blend import Blend, Group
from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.checks import named
from megatron_recipes.run_directory import Checkpoint
from megatron_recipes.tuning.conversations import (
    MixedConversations,
    NothingFitsError,
    PackedConversations,
    pack_group,
    packing_line,
)

MULTIPLE = "document_multiple"
"""Under this name `checkpoint.json` keeps what rooms are rounded up to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversations:
    """What a training on conversations reads."""

    train: MixedConversations
    """All groups, interleaved."""

    valid: dict[str, PackedConversations]
    """The held-out sequences of each group that has any."""

    notices: tuple[str, ...]
    """How each group fills its sequences, and which are not evaluated."""


def open_conversations(config: TrainingConfig, blend: Blend, multiple: int) -> Conversations:
    """Return the conversations of a blend, packed; the same on every process.

    Packing takes seconds and the masks are read for it once: nothing is worth a cache.

    Args:
        config: The training.
        blend: Its data.
        multiple: What rooms are rounded up to.

    Raises:
        ValueError: Nothing of a group to train on fits, or it is shown more than `max_epochs`
            times.
    """
    train = [pack_group(config, group, multiple) for group in blend.train]
    mixed = MixedConversations(
        train,
        [group.weight for group in blend.train],
        config.schedule.num_steps * config.batch.global_batch_size,
    )
    notices = []
    for place, (group, packed) in enumerate(zip(blend.train, train, strict=True)):
        shown = mixed.samples_of(place)
        _check_epochs(config, group.name, shown, packed)
        notices.append(packing_line(group.name, packed, shown / len(packed.packing)))
    valid = {}
    for group in blend.valid:
        held_out, line = _held_out(config, group, multiple)
        notices.append(line)
        if held_out:
            valid[group.name] = held_out
    return Conversations(train=mixed, valid=valid, notices=tuple(notices))


def kept_multiple(config: TrainingConfig, checkpoint: Checkpoint | None) -> int:
    """Return what rooms are rounded up to: what the checkpoint was trained with, if there is one.

    Raises:
        ValueError: The layout needs more than that.
    """
    needed = document_multiple(config.layout.context_parallel_size)
    if checkpoint is None or not config.batch.pack_conversations:
        return needed
    # Before there was the name, rooms were what the layout needed.
    before = document_multiple(checkpoint.state["layout"]["context_parallel_size"])
    kept = int(checkpoint.state.get(MULTIPLE, before))
    if kept % needed:
        raise ValueError(
            f"{checkpoint.path}: expected conversations packed in multiples of {needed} tokens, "
            f"which {named(config.layout, 'context_parallel_size')} needs, found {kept}: packed "
            "anew they would come in another order; resume with a context_parallel_size that "
            f"needs no more, or begin another training --from {checkpoint.path}"
        )
    return kept


def _check_epochs(
    config: TrainingConfig, name: str, shown: int, packed: PackedConversations
) -> None:
    """Refuse a group whose sequences are shown more often than `max_epochs`."""
    epochs = shown / len(packed.packing)
    if epochs > config.batch.max_epochs:
        total = config.schedule.num_steps * config.batch.global_batch_size
        raise ValueError(
            f"group {name} would be read {epochs:.2f} times: of {total:,} sequences "
            f"({named(config.schedule, 'num_steps')} x {named(config.batch, 'global_batch_size')}) "
            f"{shown:,} are from its {len(packed.packing):,}, more than max_epochs "
            f"({config.batch.max_epochs:g}); lower num_steps or the group's weight, or raise "
            "max_epochs"
        )


def _held_out(
    config: TrainingConfig, group: Group, multiple: int
) -> tuple[PackedConversations | None, str]:
    """Return a held-out group, packed, and a line on it; None where nothing can be evaluated."""
    reason = "it has no tokens"
    if group.tokens:
        try:
            packed = pack_group(config, group, multiple)
        except NothingFitsError as error:
            reason = str(error)
        else:
            return packed, packing_line(f"{group.name}, held out", packed)
    return None, f"held-out group {group.name} is not evaluated: {reason}"
