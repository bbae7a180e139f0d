"""What Transformer Engine does for packed sequences that processes share, for tests on a CPU.

Written from what it documents: of each document, which has a multiple of `2 n` tokens, process `r`
of `n` holds pieces `r` and `2 n - 1 - r`, document after document. Everything else of the way of a
packed batch is the product's and Megatron-Core's own: how it is cut, rotary positions, pipelines,
losses.
"""

import itertools
from types import SimpleNamespace
from typing import Any

import torch


def install() -> None:
    """Take packed sequences in this process, as on a GPU with Transformer Engine."""
    from megatron.core import utils

    from megatron_recipes import documents
    from megatron_recipes.attention import LocalAttention

    vars(documents)["uses_transformer_engine"] = lambda: True
    vars(utils)["tex"] = SimpleNamespace(thd_get_partitioned_indices=partitioned_indices)
    LocalAttention.forward = shared_attention  # type: ignore[method-assign]


def partitioned_indices(
    bounds: torch.Tensor, total_tokens: int, size: int, rank: int
) -> torch.Tensor:
    """Return the tokens that a process holds, in its order, `[total_tokens / size]`."""
    assert bounds.dtype == torch.int32
    assert bounds.dim() == 1
    assert int(bounds[-1]) == total_tokens
    found = []
    for start, end in itertools.pairwise(bounds.tolist()):
        piece, rest = divmod(end - start, 2 * size)
        assert rest == 0
        for number in (rank, 2 * size - 1 - rank):
            found += range(start + number * piece, start + (number + 1) * piece)
    return torch.tensor(found, dtype=torch.int32)


def shared_attention(
    self: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed_seq_params: Any,
    **_options: Any,
) -> torch.Tensor:
    """Return what the queries of this process see of the documents of all, `[tokens, channels]`."""
    from megatron.core.tensor_parallel import gather_from_sequence_parallel_region

    assert attention_mask is None
    assert packed_seq_params.qkv_format == "thd"
    assert packed_seq_params.cu_seqlens_q_padded is None
    bounds, group = packed_seq_params.cu_seqlens_q, self.context_group
    lengths = torch.diff(bounds)
    assert int(lengths.min()) > 0
    assert packed_seq_params.max_seqlen_q == int(lengths.max())
    if group.size() > 1:
        key = gather_from_sequence_parallel_region(key, group=group)
        value = gather_from_sequence_parallel_region(value, group=group)
    held = [
        partitioned_indices(bounds, int(bounds[-1]), group.size(), rank)
        if group.size() > 1
        else torch.arange(int(bounds[-1]))
        for rank in range(group.size())
    ]
    mine, all_of_them = held[group.rank()], torch.cat(held)
    assert len(mine) == len(query)
    of_mine, of_all = (torch.searchsorted(bounds, at, right=True) for at in (mine, all_of_them))
    hidden = (of_mine[:, None] != of_all[None]) | (all_of_them[None] > mine[:, None])
    shares = query.size(1) // key.size(1)
    key, value = (each.repeat_interleave(shares, dim=1) for each in (key, value))
    scores = torch.einsum("qhc,khc->hqk", query, key) / query.size(2) ** 0.5
    weights = scores.masked_fill(hidden, -torch.inf).softmax(dim=2)
    return torch.einsum("hqk,khc->qhc", weights, value).flatten(1)
