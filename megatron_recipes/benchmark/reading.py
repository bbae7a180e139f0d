"""The documents that measured steps read, found after they are measured."""

from collections.abc import Iterable
from typing import Any

import torch

from megatron_recipes.benchmark.content import Content
from megatron_recipes.documents import BOUNDS


def content_of(dataset: Any, indices: Iterable[int], sequence_length: int) -> Content:
    """Return what samples of a dataset hold whose attention is bounded by documents.

    Packed conversations say what they are made of. Other datasets fill their sequences: each
    document is what lies between two bounds.
    """
    tokens = squares = room = 0
    for index in indices:
        lengths = _lengths(dataset, index)
        tokens += int(lengths.sum())
        squares += int((lengths * lengths).sum())
        room += sequence_length
    return Content(tokens=tokens, squares=squares, padding=room - tokens)


def _lengths(dataset: Any, index: int) -> torch.Tensor:
    if hasattr(dataset, "runs_of"):  # the last token of a piece is only a label
        pieces = [run["tokens"] - 1 for _, run in dataset.runs_of(index)]
        return torch.tensor(pieces, dtype=torch.int64)
    bounds: torch.Tensor = dataset[index][BOUNDS]
    return bounds.to(torch.int64).diff()
