"""Parameters, floating-point operations and bytes of a config, by formula.

h hidden, d head size, nh query heads, ng key/value heads, f feed-forward, L layers, V vocabulary
(padded), s sequence. A product of an `[m, k]` by a `[k, n]` matrix counts 2 m k n operations;
the backward pass costs two forward passes; recomputation is not counted.
"""

from dataclasses import dataclass

from megatron_recipes.config import ModelConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class FlopsPerToken:
    """Operations of forward and backward pass for one token."""

    linear: int
    """6 (L (2 h nh d + 2 h ng d + 3 h f) + V h): all matrices, output layer included, embedding
    not."""

    causal: float
    """`linear` and attention products over the half of the pairs that causal attention needs."""

    full: int
    """`linear` and attention products over all pairs: 12 L nh d s. The older, greater figure."""


def count_parameters(model: ModelConfig) -> int:
    """Return the number of weights, padded vocabulary rows included."""
    heads = model.num_attention_heads * model.kv_channels
    groups = model.num_query_groups * model.kv_channels
    hidden = model.hidden_size
    layer = 2 * hidden * (heads + groups) + 3 * hidden * model.ffn_hidden_size + 2 * hidden
    tables = 1 if model.share_embeddings_and_output_weights else 2
    return model.num_layers * layer + hidden + tables * model.padded_vocab_size * hidden


def flops_per_token(model: ModelConfig, sequence_length: int) -> FlopsPerToken:
    """Return the operations per trained token.

    >>> llama3_8b = ModelConfig(num_layers=32, hidden_size=4096, ffn_hidden_size=14336,
    ...     num_attention_heads=32, num_query_groups=8, kv_channels=128, vocab_size=128256)
    >>> [round(x / 1e9, 2) for x in (flops_per_token(llama3_8b, 8192).linear,
    ...     flops_per_token(llama3_8b, 8192).causal, flops_per_token(llama3_8b, 8192).full)]
    [45.03, 51.47, 57.91]
    """
    heads = model.num_attention_heads * model.kv_channels
    groups = model.num_query_groups * model.kv_channels
    hidden = model.hidden_size
    layer = 2 * hidden * (heads + groups) + 3 * hidden * model.ffn_hidden_size
    linear = 6 * (model.num_layers * layer + model.padded_vocab_size * hidden)
    attention = 12 * model.num_layers * heads * sequence_length
    return FlopsPerToken(linear=linear, causal=linear + attention / 2, full=linear + attention)


@dataclass(frozen=True, kw_only=True, slots=True)
class BytesPerParameter:
    """Bytes a process keeps for each parameter it holds."""

    weights: float
    """In `params_dtype`."""

    gradients: float
    """float32: what is reduced and accumulated."""

    optimizer: float
    """Two float32 moments, and float32 master weights beside bfloat16 ones; divided by the
    replicas with the distributed optimizer."""

    @property
    def total(self) -> float:
        """All three."""
        return self.weights + self.gradients + self.optimizer


def bytes_per_parameter(config: TrainingConfig) -> BytesPerParameter:
    """Return the static memory per parameter at the config's layout and precision."""
    layout, is_float32 = config.layout, config.precision.params_dtype == "float32"
    shards = layout.num_replicas if layout.use_distributed_optimizer else 1
    return BytesPerParameter(
        weights=4 if is_float32 else 2,
        gradients=4,
        optimizer=(8 if is_float32 else 12) / shards,
    )
