"""Conversations whose loss counts in places only: pieces that fit a sequence, packed whole."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import torch
from megatron.core.datasets import helpers

from megatron_recipes.batching import document_multiple
from megatron_recipes.blend import Group, Part
from megatron_recipes.config import TrainingConfig
from megatron_recipes.documents import BOUNDS, LONGEST
from megatron_recipes.tuning.masked_documents import MASK_SUFFIX, MaskedDocuments
from megatron_recipes.tuning.packing import Packing, pack
from megatron_recipes.tuning.pieces import find_pieces

PADDING_TOKEN = 0
"""Any token: nothing attends to padding, and its loss does not count."""


class NothingFitsError(ValueError):
    """No conversation of a group can be trained on, or evaluated."""


class PackedConversations:
    """Sequences of whole conversations, each epoch in an order of its own.

    A sample holds what Megatron-Core's own dataset gives: `tokens`, `labels`, `loss_mask` and
    `position_ids`, each `[sequence_length]`; `cu_seqlens`, `[sequence_length + 1]`, where its
    documents begin, padded with the sequence's length; `max_seqlen`, the longest document's.
    Padding is a document by itself, nobody else looks at it.
    """

    def __init__(
        self,
        documents: MaskedDocuments,
        sequence_length: int,
        *,
        seed: int,
        document_multiple: int = 1,
        splits_long: bool = True,
        num_samples: int | None = None,
    ) -> None:
        """Find the pieces of the documents and pack them.

        Args:
            documents: What is trained on.
            sequence_length: Inputs of a sequence.
            seed: Of the order of the sequences.
            document_multiple: What a document's room is rounded up to, for context parallelism.
            splits_long: Whether a conversation longer than a sequence is cut at the ends of turns,
                or dropped.
            num_samples: Samples of all epochs; None: one epoch.

        Raises:
            NothingFitsError: No conversation fits whose loss counts anywhere.
            ValueError: `sequence_length` is no multiple of `document_multiple`.
        """
        self.documents, self.sequence_length, self.seed = documents, sequence_length, seed
        self.document_multiple = document_multiple
        self.pieces = find_pieces(documents, sequence_length, splits_long=splits_long)
        self.packing: Packing = pack(
            self.pieces.lengths - 1, sequence_length, multiple=document_multiple
        )
        if not len(self.packing):
            raise NothingFitsError(
                f"{documents.prefixes[0]}: expected conversations whose loss counts somewhere and "
                f"that fit sequence_length ({sequence_length}), found none in "
                f"{len(documents):,} documents"
            )
        self.num_samples = len(self.packing) if num_samples is None else num_samples
        self._epoch, self._order = -1, numpy.empty(0, numpy.int64)

    def __len__(self) -> int:
        """Return the number of samples, of all epochs."""
        return self.num_samples

    def sequence_of(self, index: int) -> int:
        """Return the packed sequence that a sample shows: every epoch all of them, shuffled."""
        epoch, place = divmod(index, len(self.packing))
        if epoch != self._epoch:
            generator = numpy.random.default_rng([self.seed, epoch])
            self._epoch, self._order = epoch, generator.permutation(len(self.packing))
        return int(self._order[place])

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return a sample."""
        sample = self._sample(self.sequence_of(index))
        return {name: torch.as_tensor(values) for name, values in sample.items()}

    def runs_of(self, index: int) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield what a sample is made of: a prefix, and `document`, `first_token`, `tokens`."""
        for piece in self.packing[self.sequence_of(index)].tolist():
            part, number = self.documents.place(int(self.pieces.documents[piece]))
            start, length = int(self.pieces.starts[piece]), int(self.pieces.lengths[piece])
            yield (
                self.documents.prefixes[part],
                {"document": number, "first_token": start, "tokens": length},
            )

    def _sample(self, sequence: int) -> dict[str, Any]:
        length, multiple = self.sequence_length, self.document_multiple
        tokens = numpy.full(length, PADDING_TOKEN, numpy.int64)
        labels = numpy.full(length, PADDING_TOKEN, numpy.int64)
        loss_mask = numpy.zeros(length, numpy.float32)
        positions = numpy.zeros(length, numpy.int64)
        bounds = numpy.full(length + 1, length, numpy.int32)
        number = at = 0
        for number, piece in enumerate(self.packing[sequence].tolist(), 1):
            bounds[number - 1] = at
            read, mask = self._read(piece)
            end = at + len(read) - 1
            tokens[at:end], labels[at:end] = read[:-1], read[1:]
            loss_mask[at:end] = mask[1:]
            room = -(-(end - at) // multiple) * multiple
            positions[at : at + room] = numpy.arange(room)
            at += room
        positions[at:] = numpy.arange(length - at)
        bounds[number] = at
        return {
            "tokens": tokens,
            "labels": labels,
            "loss_mask": loss_mask,
            "position_ids": positions,
            BOUNDS: bounds,
            LONGEST: numpy.diff(bounds).max(),
        }

    def _read(self, piece: int) -> tuple[Any, Any]:
        document, start = int(self.pieces.documents[piece]), int(self.pieces.starts[piece])
        length = int(self.pieces.lengths[piece])
        return (
            self.documents.tokens(document, start, length).astype(numpy.int64),
            self.documents.mask(document, start, length),
        )


class MixedConversations:
    """The groups of a blend, interleaved so that at any step their shares are as weighted."""

    def __init__(
        self, groups: Sequence[PackedConversations], weights: Sequence[float], num_samples: int
    ) -> None:
        """Fix which group gives each of `num_samples` samples, and which of its samples."""
        self.groups = tuple(groups)
        self._group = numpy.zeros(num_samples, numpy.int16)
        self._sample = numpy.zeros(num_samples, numpy.int64)
        shares = numpy.array(weights, numpy.float64)
        # Megatron-Core's own interleaving: the group that is furthest behind its share is next.
        helpers.build_blending_indices(
            self._group, self._sample, shares, len(self.groups), num_samples, False
        )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._group)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return a sample."""
        return self.groups[int(self._group[index])][int(self._sample[index])]

    def samples_of(self, group: int) -> int:
        """Return how many of the samples are of one group, by its place."""
        return int((self._group == group).sum())

    def runs_of(self, index: int) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield what a sample is made of: see `PackedConversations.runs_of`."""
        return self.groups[int(self._group[index])].runs_of(int(self._sample[index]))


def pack_group(
    config: TrainingConfig, group: Group, multiple: int | None = None
) -> PackedConversations:
    """Return the conversations of a group, packed as a training reads them.

    Args:
        config: The training.
        group: Some of its data.
        multiple: What rooms are rounded up to; None: what the layout needs.

    Raises:
        NothingFitsError: Nothing of the group can be trained on.
        ValueError: A mask is not its dataset's, or not what the sidecar says.
    """
    needed = document_multiple(config.layout.context_parallel_size)
    parts = [part for part in group.parts if part.tokens]
    documents = MaskedDocuments([str(part.prefix) for part in parts])
    _check_sums(parts, documents)
    return PackedConversations(
        documents,
        config.batch.sequence_length,
        seed=config.schedule.seed,
        document_multiple=needed if multiple is None else multiple,
        splits_long=config.batch.split_long_conversations,
    )


def _check_sums(parts: Sequence[Part], documents: MaskedDocuments) -> None:
    """Refuse masks that are not those of the sidecars: of another run, or zeroed by a bad copy."""
    for part, (prefix, numbers) in zip(parts, documents.parts(), strict=True):
        found = int(documents.trained_tokens[numbers.start : numbers.stop].sum())
        if found != part.trained_tokens:
            raise ValueError(
                f"{prefix}{MASK_SUFFIX}.bin: expected a mask that trains "
                f"{part.trained_tokens or 0:,} tokens, as {part.prefix.name}.json says, found one "
                f"that trains {found:,}; copy it once more, or tokenize again"
            )


def packing_line(name: str, packed: PackedConversations, epochs: float | None = None) -> str:
    """Return one line on how a group fills its sequences, and what is left out.

    Args:
        name: The group.
        packed: Its conversations.
        epochs: How often a training reads them; None: it is not said.
    """
    pieces, lost = packed.pieces, ""
    read = "" if epochs is None else f", read {epochs:.2f} times"
    kept = len(packed.documents) - pieces.num_dropped
    if pieces.num_split or pieces.num_dropped:
        lost = (
            f"; longer than a sequence or without loss: {pieces.num_split:,} conversations cut at "
            f"turns, {pieces.num_dropped:,} dropped, {pieces.dropped_tokens:,} tokens not trained"
        )
    return (
        f"conversations of {name}: {kept:,} in {len(packed.packing):,} sequences{read}, "
        f"filled {packed.packing.fill_rate:.1%}, {pieces.trained_tokens:,} tokens trained{lost}"
    )
