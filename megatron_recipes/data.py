"""Megatron-Core's datasets over a blend, and the micro batches read from them.

The order of the training data is fixed by the seed, the blend and the steps of the whole
training, and of conversations by how they were packed; nothing is remembered from one step to the
next.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import megatron.core
import torch
from megatron.core import parallel_state
from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
from megatron.core.utils import get_batch_on_this_cp_rank

from megatron_recipes.batching import document_multiple, micro_batch_indices
from megatron_recipes.blend import Blend, Group
from megatron_recipes.config import TrainingConfig
from megatron_recipes.dataset_cache import cached
from megatron_recipes.documents import BOUNDS, LONGEST, ROOMS, packs_documents, with_bounds
from megatron_recipes.tuning.groups import open_conversations
from megatron_recipes.world import World, virtual_stages

Batch = dict[str, torch.Tensor]
"""`tokens`, `labels`, `loss_mask`, `position_ids`, each `[micro_batch_size, sequence_length]`; with
document-bounded attention also its mask, or the documents' bounds."""

KEYS = ("tokens", "labels", "loss_mask", "position_ids")
NO_TOKEN = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class BlendTokenizer:
    """What the datasets ask of a tokenizer, answered from the sidecars."""

    vocab_size: int
    """Token ids."""

    eod: int
    """The token that ends a document."""

    pad: int = NO_TOKEN
    """No token: padding is masked by position, never by the value of a token."""

    @property
    def unique_identifiers(self) -> dict[str, str]:
        """What enters the name of a cached index."""
        return {"vocab_size": str(self.vocab_size), "eod": str(self.eod)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Datasets:
    """What a run reads."""

    train: Any
    """`len` sequences in the order of training."""

    valid: dict[str, Any]
    """The held-out sequences of each group that has at least one."""

    notices: tuple[str, ...]
    """Lines on what is left out, and how conversations fill their sequences."""


def build_datasets(
    config: TrainingConfig, blend: Blend, cache: Path, *, multiple: int | None = None
) -> Datasets:
    """Return the datasets of a run; every process calls this together.

    Args:
        config: The training.
        blend: Its data.
        cache: Where indices are kept, which are built once, as `dataset_cache` says.
        multiple: What the rooms of packed conversations are rounded up to; None: what the layout
            needs.

    Raises:
        ValueError: Conversations do not fit the config: see `open_conversations`.
    """
    if config.batch.pack_conversations:
        needed = document_multiple(config.layout.context_parallel_size)
        packed = open_conversations(config, blend, multiple or needed)
        return Datasets(train=packed.train, valid={**packed.valid}, notices=packed.notices)
    depends_on = {
        "paths": [str(path) for path in blend.prefixes()],
        "data": blend.identity(),
        "samples": config.schedule.num_steps * config.batch.global_batch_size,
        "sequence_length": config.batch.sequence_length,
        "document_bounded_attention": config.batch.document_bounded_attention,
        "seed": config.schedule.seed,
        "megatron_core": megatron.core.__version__,
    }
    found: Datasets = cached(cache, depends_on, functools.partial(_open_datasets, config, blend))
    return found


def _open_datasets(config: TrainingConfig, blend: Blend, cache: Path) -> Datasets:
    prefixes, weights = blend.weighted_prefixes()
    num_samples = config.schedule.num_steps * config.batch.global_batch_size
    # The blend asks each part for the ceiling of its share, so the whole is up to one sample per
    # part greater, and parts must be built that much larger, or an IndexError ends the start.
    surplus = max(0.005, (len(prefixes) + 1) / num_samples)
    options = _dataset_options(config, blend, cache)
    train = _build([(prefixes, weights), None, None], [num_samples, 0, 0], surplus, options)[0]
    valid, too_small = {}, []
    for group in blend.valid:
        usable, lines = usable_prefixes(group, config.batch.sequence_length)
        too_small += lines
        if usable:
            valid[group.name] = _build([None, (usable, None), None], [0, None, 0], 0.0, options)[1]
    return Datasets(train=train, valid=valid, notices=tuple(too_small))


def usable_prefixes(group: Group, sequence_length: int) -> tuple[list[str], list[str]]:
    """Return the prefixes that hold at least one sequence, and a line for each that does not."""
    usable, lines = [], []
    for part in group.parts:
        if part.tokens > sequence_length:
            usable.append(str(part.prefix))
        else:
            lines.append(
                f"held-out part {part.prefix} of group {group.name} is not evaluated: it has "
                f"{part.tokens} tokens, one sequence needs {sequence_length + 1}"
            )
    return usable, lines


def _dataset_options(config: TrainingConfig, blend: Blend, cache: Path) -> dict[str, Any]:
    return {
        "random_seed": config.schedule.seed,
        "sequence_length": config.batch.sequence_length,
        "path_to_cache": str(cache),
        "tokenizer": BlendTokenizer(
            vocab_size=blend.vocab_size, eod=NO_TOKEN - 1 if blend.eod_id is None else blend.eod_id
        ),
        "reset_position_ids": False,
        "reset_attention_mask": False,
        "eod_mask_loss": False,
        "create_attention_mask": False,
        "inter_document_masking": config.batch.document_bounded_attention,
    }


def _build(blends: list[Any], sizes: list[Any], surplus: float, options: dict[str, Any]) -> Any:
    config = GPTDatasetConfig(blend_per_split=blends, mid_level_dataset_surplus=surplus, **options)
    return BlendedMegatronDatasetBuilder(GPTDataset, sizes, lambda: True, config).build()


def training_batches(
    dataset: Any, config: TrainingConfig, world: World, consumed_samples: int
) -> Iterator[Batch]:
    """Yield this replica's micro batches of the step that follows `consumed_samples`."""
    for indices in micro_batch_indices(
        consumed_samples=consumed_samples,
        global_batch_size=config.batch.global_batch_size,
        micro_batch_size=config.batch.micro_batch_size,
        data_parallel_rank=world.data_parallel_rank,
        data_parallel_size=world.data_parallel_size,
    ):
        yield _collate(dataset, indices, len(dataset), config, world)


def num_evaluation_microbatches(dataset: Any, config: TrainingConfig, world: World) -> int:
    """Return the forward passes of a replica over the held-out sequences of one group."""
    sequences = min(len(dataset), config.schedule.evaluation_sequences)
    passes = -(-sequences // (config.batch.micro_batch_size * world.data_parallel_size))
    # Interleaved, they run in groups of as many as there are stages.
    group = config.layout.pipeline_model_parallel_size if virtual_stages(config.layout) else 1
    return -(-passes // group) * group


def evaluation_batches(dataset: Any, config: TrainingConfig, world: World) -> Iterator[Batch]:
    """Yield this replica's micro batches of one group's first held-out sequences.

    The last ones are filled up with sequences that do not count.
    """
    micro_batch_size = config.batch.micro_batch_size
    num_sequences = min(len(dataset), config.schedule.evaluation_sequences)
    passes = num_evaluation_microbatches(dataset, config, world)
    for indices in micro_batch_indices(
        consumed_samples=0,
        global_batch_size=passes * micro_batch_size * world.data_parallel_size,
        micro_batch_size=micro_batch_size,
        data_parallel_rank=world.data_parallel_rank,
        data_parallel_size=world.data_parallel_size,
    ):
        yield _collate(dataset, indices, num_sequences, config, world)


def _collate(
    dataset: Any, indices: range, num_sequences: int, config: TrainingConfig, world: World
) -> Batch:
    sequences = [
        dataset[index] if index < num_sequences else _uncounted(dataset[0]) for index in indices
    ]
    keys = (*KEYS, BOUNDS, LONGEST) if config.batch.document_bounded_attention else KEYS
    batch: dict[str, Any] = with_bounds(
        {key: torch.stack([sequence[key] for sequence in sequences]) for key in keys},
        config.layout.context_parallel_size,
        packs=packs_documents(config),
    )
    # The longest document is a number that the host needs.
    batch = {
        key: tensor if key == LONGEST else _moved(tensor, world.device)
        for key, tensor in batch.items()
    }
    if BOUNDS in batch:
        batch[ROOMS] = None  # which is looked up where processes share packed documents
    # Without a group named, the sequence would be cut over all processes.
    mine: Batch = get_batch_on_this_cp_rank(
        batch, is_hybrid_cp=False, cp_group=parallel_state.get_context_parallel_group()
    )
    return mine


def _uncounted(sequence: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a sequence whose loss does not count; Megatron-Core's blends give none themselves."""
    return sequence | {"loss_mask": torch.zeros_like(sequence["loss_mask"])}


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    # Only from pinned memory does a copy not wait for what the device still computes.
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
