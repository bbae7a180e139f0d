"""Sequences made of random tokens: a benchmark without data."""

from typing import Any

import torch

from megatron_recipes.config import TrainingConfig
from megatron_recipes.documents import BOUNDS, LONGEST

NUM_SEQUENCES = 1 << 40


class SyntheticSequences:
    """Sequences of uniformly random tokens, the same for the same number; every loss counts.

    Where attention is bounded by documents, each sequence is one document.
    """

    def __init__(self, config: TrainingConfig) -> None:
        """Make sequences for a training; its vocabulary must be known."""
        self._length, self._vocab_size = config.batch.sequence_length, config.model.vocab_size
        self._has_bounds = config.batch.document_bounded_attention

    def __len__(self) -> int:
        """Return more than any benchmark reads."""
        return NUM_SEQUENCES

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `tokens`, `labels`, `loss_mask`, `position_ids`, each `[sequence_length]`."""
        generator = torch.Generator().manual_seed(index)
        text = torch.randint(self._vocab_size, (self._length + 1,), generator=generator)
        sequence = {
            "tokens": text[:-1],
            "labels": text[1:],
            "loss_mask": torch.ones(self._length),
            "position_ids": torch.arange(self._length),
        }
        if self._has_bounds:
            bounds = torch.full((self._length + 1,), self._length, dtype=torch.int32)
            bounds[0] = 0
            sequence |= {BOUNDS: bounds, LONGEST: torch.tensor(self._length)}
        return sequence
