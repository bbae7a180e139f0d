"""Attention that ends where a document does.

Where documents begin is read from the index, never from the value of a token: Megatron-Core's
dataset gives each sequence the bounds of its documents, and positions that restart. Transformer
Engine takes the bounds as they are (packed sequences); the local attention takes a mask. Rotary
positions are relative, so that it does not matter to a masked document where it begins.

In pre-training the last token of a document is still trained to be followed by the first of the
next: what may follow an end of document is worth knowing, and it is the same in every layout. Of
packed conversations it is not: the last token of one is a label, never an input.

Where processes share packed sequences, each holds two pieces of every document, so that documents
come in multiples of that: packed conversations do, with padding behind their last token, which no
token of theirs sees.
"""

from typing import Any

import torch
from megatron.core.packed_seq_params import PackedSeqParams
from megatron.core.utils import flatten_batch_for_packed_sequences

from megatron_recipes.attention import gathered_positions
from megatron_recipes.batching import document_multiple
from megatron_recipes.config import TrainingConfig
from megatron_recipes.world import uses_transformer_engine

BOUNDS, LONGEST = "cu_seqlens", "max_seqlen"
"""Megatron-Core's names: where the documents of each sequence begin, padded with the sequence's
length, and the length of the longest."""

ROOMS = "cu_seqlens_padded"
"""Megatron-Core's name for where the rooms of documents begin that have less tokens than room. Here
padding belongs to its document, so that Transformer Engine, too, takes each for as long as its
room: bounds are those of rooms, and there are no others."""


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

    Raises:
        ValueError: Packed documents are shared that are no multiple of what that needs.
    """
    if BOUNDS not in batch:
        return batch
    if packs:
        _require_shareable(batch[BOUNDS], context_parallel_size)
        flat: dict[str, torch.Tensor] = flatten_batch_for_packed_sequences(dict(batch))
        return flat
    rest = {name: tensor for name, tensor in batch.items() if name not in (BOUNDS, LONGEST)}
    return rest | {"attention_mask": document_mask(batch[BOUNDS], context_parallel_size)}


def _require_shareable(bounds: torch.Tensor, context_parallel_size: int) -> None:
    # Transformer Engine would compute wrong numbers, and say nothing: its issue 3331.
    multiple = document_multiple(context_parallel_size)
    if multiple > 1 and bool((bounds % multiple).any()):
        found = int(bounds[bounds % multiple > 0].min())
        raise ValueError(
            f"expected documents in multiples of {multiple} tokens, which context_parallel_size "
            f"({context_parallel_size}) needs of packed sequences, found one that ends at token "
            f"{found:,}; train packed conversations, take attention_backend local or share less"
        )


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
