"""Attention that ends where a document does.

Where documents begin is read from the index, never from the value of a token: Megatron-Core's
dataset gives each sequence the bounds of its documents, and positions that restart. Transformer
Engine takes the bounds as they are (packed sequences); the local attention takes a mask. Rotary
positions are relative, so that it does not matter to a masked document where it begins.

The last token of a document is still trained to be followed by the first of the next: what may
follow an end of document is worth knowing, and it is the same in every layout.
"""

from typing import Any

import torch
from megatron.core.packed_seq_params import PackedSeqParams
from megatron.core.utils import flatten_batch_for_packed_sequences

from megatron_recipes.attention import gathered_positions
from megatron_recipes.config import TrainingConfig
from megatron_recipes.world import uses_transformer_engine

BOUNDS, LONGEST = "cu_seqlens", "max_seqlen"
"""Megatron-Core's names: where the documents of each sequence begin, padded with the sequence's
length, and the length of the longest."""


def packs_documents(config: TrainingConfig) -> bool:
    """Whether the attention takes packed sequences with the bounds of documents, not a mask."""
    return (
        config.batch.document_bounded_attention
        and uses_transformer_engine()
        and config.execution.attention_backend != "local"
    )


def document_mask(bounds: torch.Tensor, context_parallel_size: int) -> torch.Tensor:
    """Return where each token may not look: what comes after it, and every other document.

    Args:
        bounds: `[batch, any]`, int: ascending positions where documents begin, from 0, then the
            length of the sequence at least once.
        context_parallel_size: Columns come in the order in which this many processes gather.

    Returns:
        `[batch, 1, sequence, sequence]`, bool. Rows are in the order of the sequence.
    """
    sequence_length = int(bounds[0, -1])
    queries = torch.arange(sequence_length)
    keys = gathered_positions(sequence_length, context_parallel_size)
    documents = torch.searchsorted(
        bounds.contiguous(), queries.expand(len(bounds), -1).contiguous(), right=True
    )
    is_other = documents[:, :, None] != documents[:, keys][:, None, :]
    return (is_other | (keys[None, :] > queries[:, None]))[:, None]


def with_bounds(
    batch: dict[str, torch.Tensor], context_parallel_size: int, *, packs: bool
) -> dict[str, torch.Tensor]:
    """Return a batch whose document bounds have the form that its attention takes.

    Args:
        batch: A micro batch on the host; without bounds it is returned as it is.
        context_parallel_size: Processes that share each sequence.
        packs: Whether the attention takes packed sequences; then all sequences are joined into
            one, `[1, batch x sequence]`.
    """
    if BOUNDS not in batch:
        return batch
    if packs:
        flat: dict[str, torch.Tensor] = flatten_batch_for_packed_sequences(dict(batch))
        return flat
    rest = {name: tensor for name, tensor in batch.items() if name not in (BOUNDS, LONGEST)}
    return rest | {"attention_mask": document_mask(batch[BOUNDS], context_parallel_size)}


def packed_parameters(batch: dict[str, Any]) -> PackedSeqParams | None:
    """Return what the attention of packed sequences asks for, or None where a mask says it."""
    if BOUNDS not in batch:
        return None
    bounds, longest = batch[BOUNDS].squeeze(0), int(batch[LONGEST])
    return PackedSeqParams(
        qkv_format="thd",
        cu_seqlens_q=bounds,
        cu_seqlens_kv=bounds,
        max_seqlen_q=longest,
        max_seqlen_kv=longest,
    )
