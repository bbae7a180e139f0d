"""Attention of the local layers, also where several processes share a sequence.

Megatron-Core's local attention sees whole sequences only. Here each process keeps its queries and
gathers the keys and values of the others: more memory than Transformer Engine's ring, the same
numbers, and any device.

Context parallelism cuts a sequence into `2 n` chunks for `n` processes; process `r` holds chunks
`r` and `2 n - 1 - r`, so that all have equally many keys to look at.
"""

import copy
import functools
from typing import Any

import torch
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region
from megatron.core.transformer.dot_product_attention import DotProductAttention
from megatron.core.transformer.transformer_config import TransformerConfig


def held_positions(sequence_length: int, rank: int, size: int) -> torch.Tensor:
    """Return the positions of the tokens that a process of the context parallel group holds.

    >>> held_positions(8, rank=0, size=2).tolist()
    [0, 1, 6, 7]
    """
    chunk = sequence_length // (2 * size)
    within = torch.arange(chunk)
    return torch.cat([within + rank * chunk, within + (2 * size - 1 - rank) * chunk])


def gathered_positions(sequence_length: int, size: int) -> torch.Tensor:
    """Return the positions of the tokens of all processes, joined in the order of ranks.

    >>> gathered_positions(8, size=2).tolist()
    [0, 1, 6, 7, 2, 3, 4, 5]
    """
    if size == 1:
        return torch.arange(sequence_length)
    return torch.cat([held_positions(sequence_length, rank, size) for rank in range(size)])


@functools.lru_cache(maxsize=2)
def _causal_mask(sequence_length: int, rank: int, size: int) -> torch.Tensor:
    """Return where a process's queries may not look: `[1, 1, its tokens, all tokens]`, bool."""
    queries = held_positions(sequence_length, rank, size)
    keys = gathered_positions(sequence_length, size)
    return (keys[None, :] > queries[:, None])[None, None]


class LocalAttention(DotProductAttention):  # type: ignore[misc]
    """Attention without Transformer Engine, over the whole sequence of a context parallel group.

    An explicit mask has a row for each token of this process and a column for each token of the
    group, in the order of `gathered_positions`.
    """

    def __init__(
        self, config: TransformerConfig, *arguments: Any, pg_collection: Any, **options: Any
    ) -> None:
        whole = copy.copy(config)
        whole.context_parallel_size = 1  # which is what the attention below sees
        super().__init__(whole, *arguments, pg_collection=pg_collection, **options)
        self.context_group = pg_collection.cp

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> torch.Tensor:
        """Return what the queries of this process see.

        Args:
            query: `[its tokens, batch, heads, channels]`.
            key: `[its tokens, batch, groups, channels]`.
            value: The same shape.
            attention_mask: `[batch or 1, 1, its tokens, all tokens]`, true where a token may not
                look; None: at what comes after it.
            options: Passed on.

        Returns:
            `[its tokens, batch, heads x channels]`.
        """
        size = self.context_group.size()
        if size > 1:
            # The backward pass sums what every process adds to the gradients of a key.
            key = gather_from_sequence_parallel_region(key, group=self.context_group)
            value = gather_from_sequence_parallel_region(value, group=self.context_group)
            if attention_mask is None:
                rank = self.context_group.rank()
                attention_mask = _causal_mask(key.size(0), rank, size).to(key.device)
        result: torch.Tensor = super().forward(query, key, value, attention_mask, **options)
        return result
