"""What is computed."""

import math
from dataclasses import dataclass

from megatron_recipes.config.checks import require_not_negative, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A decoder of the Llama family: RMSNorm, SwiGLU, rotary positions, grouped queries."""

    num_layers: int
    """Transformer layers."""

    hidden_size: int
    """Width of the residual stream."""

    ffn_hidden_size: int
    """Width of the gated feed-forward layer; it has three matrices of this by `hidden_size`."""

    num_attention_heads: int
    """Query heads."""

    num_query_groups: int
    """Key and value heads; each serves `num_attention_heads / num_query_groups` query heads."""

    kv_channels: int
    """Size of one head."""

    vocab_size: int = 0
    """Token ids the model knows. 0: as many as the tokenizer named by the blend's sidecars has."""

    make_vocab_size_divisible_by: int = 128
    """The embedding's rows are padded to a multiple of this. It does not depend on tensor
    parallelism, so that one checkpoint has one shape, and one loss, in every layout."""

    max_position_embeddings: int = 0
    """Tokens the model was made to see at once; a longer sequence is refused. 0: not stated."""

    rotary_base: int = 10_000
    """Base period of the rotary positions."""

    rotary_scaling_factor: float = 1.0
    """By how much long rotary periods are stretched, as Llama 3.1 does it (low and high frequency
    factors 1 and 4, 8,192 original positions: what Megatron-Core computes); 1: not at all."""

    add_qkv_bias: bool = False
    """A bias in the projections to query, key and value, as Qwen 2.5 has."""

    layernorm_epsilon: float = 1e-5
    """Added to the mean square in RMSNorm."""

    init_method_std: float = 0.02
    """Standard deviation of the initial weights; the output projections of a layer are scaled by
    a further `1 / sqrt(2 num_layers)`."""

    share_embeddings_and_output_weights: bool = False
    """One matrix for embedding and output layer."""

    def __post_init__(self) -> None:
        require_positive(
            self,
            "num_layers",
            "hidden_size",
            "ffn_hidden_size",
            "num_attention_heads",
            "num_query_groups",
            "kv_channels",
            "make_vocab_size_divisible_by",
            "rotary_base",
            "layernorm_epsilon",
            "init_method_std",
        )
        require_not_negative(self, "vocab_size", "max_position_embeddings")
        if not 1 <= self.rotary_scaling_factor < math.inf:
            raise ValueError(
                f"rotary_scaling_factor ({self.rotary_scaling_factor}) must be a number from 1"
            )
        if self.num_attention_heads % self.num_query_groups:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) must be a multiple of "
                f"num_query_groups ({self.num_query_groups})"
            )
        if self.kv_channels % 2:
            raise ValueError(f"kv_channels ({self.kv_channels}) must be even for rotary positions")

    @property
    def padded_vocab_size(self) -> int:
        """Rows of the embedding: `vocab_size` rounded up to the divisor. 0 while it is unknown."""
        divisor = self.make_vocab_size_divisible_by
        return -(-self.vocab_size // divisor) * divisor
