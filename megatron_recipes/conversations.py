"""Conversations whose loss counts in places only: pieces that fit a sequence, packed whole.

A conversation is a document of an indexed dataset and its mask, the document of the same number in
`<prefix>_mask` (uint8, 1 where the loss counts). Of n tokens n - 1 are inputs: token i predicts
token i + 1, and counts if the mask of token i + 1 is 1. Masks go by position, never by value.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from megatron.core.datasets.gpt_dataset import GPTDatasetConfig
from megatron.core.datasets.indexed_dataset import IndexedDataset
from megatron.core.datasets.megatron_dataset import MegatronDataset
from numpy.typing import NDArray

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


@dataclass(kw_only=True)
class ConversationsConfig(GPTDatasetConfig):  # type: ignore[misc]
    """What `PackedConversations` asks beside Megatron-Core's fields."""

    document_multiple: int = 1
    """What a document's room is rounded up to, for context parallelism."""

    splits_long: bool = True
    """Whether a conversation longer than a sequence is cut at the ends of turns, or dropped."""


class MaskedDocuments:
    """The documents of a prefix with their masks."""

    def __init__(self, prefix: str) -> None:
        """Open both datasets; ValueError where they do not have the same documents."""
        self.prefix = prefix
        self.tokens = IndexedDataset(prefix, multimodal=False, mmap=True)
        self.masks = IndexedDataset(prefix + MASK_SUFFIX, multimodal=False, mmap=True)
        if not numpy.array_equal(self.tokens.sequence_lengths, self.masks.sequence_lengths):
            raise ValueError(
                f"{prefix}{MASK_SUFFIX}.idx: expected a mask of the same documents as {prefix}.idx "
                f"({len(self.tokens):,}), found {len(self.masks):,} or others; tokenize it again"
            )

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.tokens)


def find_pieces(
    documents: MaskedDocuments, indices: Iterable[int], sequence_length: int, *, splits_long: bool
) -> Pieces:
    """Return the pieces of some documents that a sequence can hold.

    A document with more than `sequence_length` inputs is cut behind trained turns, as late as
    fits; a turn too long together with what it answers is left out, and counted.
    """
    found: list[tuple[int, int, int]] = []
    num_split = num_dropped = dropped = trained = 0
    for document in indices:
        length = int(documents.tokens.sequence_lengths[document])
        mask = documents.masks.get(document)
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


class PackedConversations(MegatronDataset):  # type: ignore[misc]
    """Sequences of whole conversations, each epoch in an order of its own.

    A sample holds `tokens`, `labels`, `loss_mask`, `position_ids` and `document_starts`, each
    `[sequence_length]`: the last is the place where the document of a token begins, which bounds
    attention; padding is a document by itself.
    """

    config: ConversationsConfig

    def __init__(
        self,
        dataset: MaskedDocuments,
        dataset_path: str | None,
        indices: numpy.ndarray[Any, Any],
        num_samples: int | None,
        index_split: Any,
        config: ConversationsConfig,
    ) -> None:
        """Pack the documents of `indices`; `num_samples` None means one epoch."""
        super().__init__(dataset, dataset_path, indices, num_samples, index_split, config)
        self.pieces = find_pieces(
            dataset, indices.tolist(), config.sequence_length, splits_long=config.splits_long
        )
        self.packing: Packing = pack(
            self.pieces.lengths - 1, config.sequence_length, multiple=config.document_multiple
        )
        if not len(self.packing):
            raise ValueError(
                f"{dataset.prefix}: expected conversations whose loss counts somewhere and that "
                f"fit sequence_length ({config.sequence_length}), found none in "
                f"{len(indices):,} documents"
            )
        self._epoch, self._order = -1, numpy.empty(0, numpy.int64)

    @staticmethod
    def build_low_level_dataset(dataset_path: str, config: Any) -> MaskedDocuments:  # noqa: ARG004
        """Return the documents of a prefix."""
        return MaskedDocuments(dataset_path)

    @staticmethod
    def numel_low_level_dataset(low_level_dataset: MaskedDocuments) -> int:
        """Return the number of documents."""
        return len(low_level_dataset)

    @staticmethod
    def _key_config_attributes() -> list[str]:
        return ["random_seed", "sequence_length", "document_multiple", "splits_long"]

    def __len__(self) -> int:
        """Return the number of samples, of all epochs."""
        return len(self.packing) if self.num_samples is None else int(self.num_samples)

    def sequence_of(self, index: int) -> int:
        """Return the packed sequence that a sample shows: every epoch all of them, shuffled."""
        epoch, place = divmod(index, len(self.packing))
        if epoch != self._epoch:
            generator = numpy.random.default_rng([self.config.random_seed, epoch])
            self._epoch, self._order = epoch, generator.permutation(len(self.packing))
        return int(self._order[place])

    def __getitem__(self, index: int | None) -> dict[str, torch.Tensor]:
        """Return a sample; index None gives one whose loss does not count."""
        sample = self._sample(self.sequence_of(0 if index is None else index))
        if index is None:
            sample["loss_mask"] = numpy.zeros_like(sample["loss_mask"])
        return {name: torch.from_numpy(values) for name, values in sample.items()}

    def _sample(self, sequence: int) -> OrderedDict[str, Any]:
        length, multiple = self.config.sequence_length, self.config.document_multiple
        tokens = numpy.full(length, PADDING_TOKEN, numpy.int64)
        labels = numpy.full(length, PADDING_TOKEN, numpy.int64)
        loss_mask = numpy.zeros(length, numpy.float32)
        positions = numpy.zeros(length, numpy.int64)
        starts = numpy.empty(length, numpy.int64)
        at = 0
        for piece in self.packing[sequence].tolist():
            read, mask = self._read(piece)
            end = at + len(read) - 1
            tokens[at:end], labels[at:end] = read[:-1], read[1:]
            loss_mask[at:end] = mask[1:]
            room = -(-(end - at) // multiple) * multiple
            positions[at : at + room] = numpy.arange(room)
            starts[at : at + room] = at
            at += room
        positions[at:] = numpy.arange(length - at)
        starts[at:] = at
        return OrderedDict(
            tokens=tokens,
            labels=labels,
            loss_mask=loss_mask,
            position_ids=positions,
            document_starts=starts,
        )

    def _read(self, piece: int) -> tuple[Any, Any]:
        document, start = int(self.pieces.documents[piece]), int(self.pieces.starts[piece])
        length = int(self.pieces.lengths[piece])
        tokens = self.dataset.tokens.get(document, offset=start, length=length)
        return tokens.astype(numpy.int64), self.dataset.masks.get(
            document, offset=start, length=length
        )
