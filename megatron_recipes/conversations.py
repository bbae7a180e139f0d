"""Conversations whose loss counts in places only: pieces that fit a sequence, packed whole.

A conversation is a document of an indexed dataset and its mask, the document of the same number in
`<prefix>_mask` (uint8, 1 where the loss counts). Of n tokens n - 1 are inputs: token i predicts
token i + 1, and counts if the mask of token i + 1 is 1. Masks go by position, never by value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from megatron.core.datasets import helpers
from megatron.core.datasets.indexed_dataset import IndexedDataset
from numpy.typing import NDArray

from megatron_recipes.blend import Group
from megatron_recipes.config import TrainingConfig
from megatron_recipes.documents import BOUNDS, LONGEST
from megatron_recipes.packing import Packing, pack

Integers = NDArray[numpy.int64]
MASK_SUFFIX = "_mask"
PADDING_TOKEN = 0
"""Any token: nothing attends to padding, and its loss does not count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """What of a dataset is trained on, as runs of tokens inside its documents."""

    documents: Integers
    """`[number of pieces]`: the document of each."""

    starts: Integers
    """`[number of pieces]`: its first token there."""

    lengths: Integers
    """`[number of pieces]`: its tokens, one more than it has inputs."""

    num_split: int
    """Documents that gave several pieces, or lost one."""

    num_dropped: int
    """Documents of which nothing is left: too short, too long, or nothing to learn."""

    dropped_tokens: int
    """Tokens outside all pieces whose loss would have counted."""

    trained_tokens: int
    """Tokens whose loss counts."""


class MaskedDocuments:
    """The documents of several prefixes with their masks, numbered through."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        """Open the datasets; ValueError where a mask does not have the same documents."""
        self.prefixes = tuple(prefixes)
        self._tokens = [IndexedDataset(prefix) for prefix in prefixes]
        self._masks = [IndexedDataset(prefix + MASK_SUFFIX) for prefix in prefixes]
        for prefix, tokens, mask in zip(prefixes, self._tokens, self._masks, strict=True):
            if not numpy.array_equal(tokens.sequence_lengths, mask.sequence_lengths):
                raise ValueError(
                    f"{prefix}{MASK_SUFFIX}.idx: expected a mask of the same documents as "
                    f"{prefix}.idx ({len(tokens):,}), found {len(mask):,} or others; tokenize it "
                    "again"
                )
        self._first = numpy.cumsum([0, *map(len, self._tokens)])
        self.lengths: Integers = numpy.concatenate(
            [numpy.empty(0, numpy.int64), *(part.sequence_lengths for part in self._tokens)]
        ).astype(numpy.int64)
        """`[number of documents]`: tokens of each."""

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.lengths)

    def place(self, document: int) -> tuple[int, int]:
        """Return the prefix of a document and its number there."""
        part = int(numpy.searchsorted(self._first, document, side="right")) - 1
        return part, document - int(self._first[part])

    def tokens(self, document: int, start: int = 0, length: int | None = None) -> Any:
        """Return a run of a document's tokens, `[length]`."""
        part, number = self.place(document)
        return self._tokens[part].get(number, offset=start, length=length)

    def mask(self, document: int, start: int = 0, length: int | None = None) -> Any:
        """Return the mask of such a run, `[length]`, uint8."""
        part, number = self.place(document)
        return self._masks[part].get(number, offset=start, length=length)


def find_pieces(documents: MaskedDocuments, sequence_length: int, *, splits_long: bool) -> Pieces:
    """Return the pieces of the documents that a sequence can hold.

    A document with more than `sequence_length` inputs is cut behind trained turns, as late as
    fits; a turn too long together with what it answers is left out, and counted.
    """
    found: list[tuple[int, int, int]] = []
    num_split = num_dropped = dropped = trained = 0
    for document, length in enumerate(documents.lengths.tolist()):
        mask = documents.mask(document)
        runs = [(0, length)]
        if length > sequence_length + 1:
            runs = _cut(mask, sequence_length + 1) if splits_long else []
        # The first token of a piece is predicted by nothing.
        kept = [(a, b, int(mask[a + 1 : b].sum())) for a, b in runs if b - a > 1]
        kept = [piece for piece in kept if piece[2]]
        found += [(document, start, end - start) for start, end, _ in kept]
        counted = sum(count for _, _, count in kept)
        trained += counted
        dropped += int(mask.sum()) - counted
        num_dropped += not kept
        num_split += bool(kept) and runs != [(0, length)]
    columns = numpy.array(found, numpy.int64).reshape(-1, 3)
    return Pieces(
        documents=columns[:, 0],
        starts=columns[:, 1],
        lengths=columns[:, 2],
        num_split=num_split,
        num_dropped=num_dropped,
        dropped_tokens=dropped,
        trained_tokens=trained,
    )


def _cut(mask: NDArray[numpy.uint8], room: int) -> list[tuple[int, int]]:
    """Return runs of at most `room` tokens that end where a trained turn ends."""
    ends = numpy.flatnonzero(numpy.diff(mask.astype(numpy.int8), append=0) == -1) + 1
    runs: list[tuple[int, int]] = []
    start = 0
    while len(later := ends[ends > start]):
        fitting = later[later - start <= room]
        if len(fitting):
            runs.append((start, int(fitting[-1])))
            start = int(fitting[-1])
        else:  # this turn and what it answers are too long together
            start = int(later[0])
    return runs


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
            ValueError: Nothing fits, or no loss counts anywhere.
        """
        self.documents, self.sequence_length, self.seed = documents, sequence_length, seed
        self.document_multiple = document_multiple
        self.pieces = find_pieces(documents, sequence_length, splits_long=splits_long)
        self.packing: Packing = pack(
            self.pieces.lengths - 1, sequence_length, multiple=document_multiple
        )
        if not len(self.packing):
            raise ValueError(
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

    def runs_of(self, index: int) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield what a sample is made of: see `PackedConversations.runs_of`."""
        return self.groups[int(self._group[index])].runs_of(int(self._sample[index]))


def pack_group(config: TrainingConfig, group: Group) -> PackedConversations:
    """Return the conversations of a group, packed as a training reads them.

    Raises:
        ValueError: A mask is not its dataset's, or nothing of the group can be trained on.
    """
    context = config.layout.context_parallel_size
    return PackedConversations(
        MaskedDocuments([str(part.prefix) for part in group.parts if part.tokens]),
        config.batch.sequence_length,
        seed=config.schedule.seed,
        # Each process holds two pieces of every document.
        document_multiple=2 * context if context > 1 else 1,
        splits_long=config.batch.split_long_conversations,
    )


def packing_line(name: str, packed: PackedConversations) -> str:
    """Return one line on how a group fills its sequences, and what is left out."""
    pieces, lost = packed.pieces, ""
    if pieces.num_split or pieces.num_dropped:
        lost = (
            f"; longer than a sequence or without loss: {pieces.num_split:,} conversations cut at "
            f"turns, {pieces.num_dropped:,} dropped, {pieces.dropped_tokens:,} tokens not trained"
        )
    return (
        f"conversations of {name}: {len(packed.documents):,} in {len(packed.packing):,} sequences, "
        f"filled {packed.packing.fill_rate:.1%}, {pieces.trained_tokens:,} tokens trained{lost}"
    )
