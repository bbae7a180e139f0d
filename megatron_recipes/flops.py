"""Parameters and floating-point operations of a config, by formula.

h hidden, d head size, nh query heads, ng key/value heads, f feed-forward, L layers, V vocabulary
(padded), s sequence. A product of an `[m, k]` by a `[k, n]` matrix counts 2 m k n operations;
the backward pass costs two forward passes; what is computed again for it counts apart.
"""

from dataclasses import dataclass

from megatron_recipes.config import ModelConfig, TrainingConfig
from megatron_recipes.config.stages import layers_per_stage


@dataclass(frozen=True, kw_only=True, slots=True)
class FlopsPerToken:
    """Operations of forward and backward pass for one token."""

    linear: int
    """6 (L (2 h nh d + 2 h ng d + 3 h f) + V h): all matrices, output layer included, embedding
    not."""

    causal: float
    """`linear` and attention products over the half of the pairs that causal attention needs."""

    full: float
    """`linear` and attention products over all pairs: 12 L nh d s. The older, greater figure."""


def attention_matrices(model: ModelConfig) -> int:
    """Return the weights of a layer's projections to query, key, value and back."""
    heads, groups = model.num_attention_heads, model.num_query_groups
    return 2 * model.hidden_size * (heads + groups) * model.kv_channels


def mlp_matrices(model: ModelConfig) -> int:
    """Return the weights of a layer's gate, up and down matrices."""
    return 3 * model.hidden_size * model.ffn_hidden_size


def qkv_biases(model: ModelConfig) -> int:
    """Return the biases of a layer's projections to query, key and value."""
    heads, groups = model.num_attention_heads, model.num_query_groups
    return (heads + 2 * groups) * model.kv_channels if model.add_qkv_bias else 0


def count_parameters(model: ModelConfig) -> int:
    """Return the number of weights, padded vocabulary rows included."""
    hidden = model.hidden_size
    layer = attention_matrices(model) + mlp_matrices(model) + qkv_biases(model) + 2 * hidden
    tables = 1 if model.share_embeddings_and_output_weights else 2
    return model.num_layers * layer + hidden + tables * model.padded_vocab_size * hidden


def flops_per_token(model: ModelConfig, sequence_length: float) -> FlopsPerToken:
    """Return the operations per trained token.

    Args:
        model: The network; its vocabulary is known.
        sequence_length: Tokens that attention is bounded to; of documents of different lengths
            the sum of the squares of their lengths over the sum of their lengths.

    >>> llama3_8b = ModelConfig(num_layers=32, hidden_size=4096, ffn_hidden_size=14336,
    ...     num_attention_heads=32, num_query_groups=8, kv_channels=128, vocab_size=128256)
    >>> [round(x / 1e9, 2) for x in (flops_per_token(llama3_8b, 8192).linear,
    ...     flops_per_token(llama3_8b, 8192).causal, flops_per_token(llama3_8b, 8192).full)]
    [45.03, 51.47, 57.91]
    """
    layer = attention_matrices(model) + mlp_matrices(model)
    linear = 6 * (model.num_layers * layer + model.padded_vocab_size * model.hidden_size)
    attention = 12 * model.num_layers * _heads_width(model) * sequence_length
    return FlopsPerToken(linear=linear, causal=linear + attention / 2, full=linear + attention)


def recomputed_flops_per_token(
    config: TrainingConfig, sequence_length: float | None = None
) -> float:
    """Return the operations that are done a second time for one token, attention causal.

    They are work of the GPU and no progress of the training, so no utilization counts them.

    Args:
        config: The training.
        sequence_length: Tokens that attention is bounded to, as `flops_per_token` has it; None:
            whole sequences.
    """
    model, execution = config.model, config.execution
    attention = 2 * _heads_width(model) * (sequence_length or config.batch.sequence_length)
    if execution.recompute_granularity == "full":
        layer = 2 * (attention_matrices(model) + mlp_matrices(model)) + attention
        return num_recomputed_layers(config) * layer
    of_module = {"core_attn": attention, "mlp": 2 * mlp_matrices(model), "": 0}
    modules = execution.recompute_modules.split(",")
    return model.num_layers * sum(of_module[module] for module in modules)


def num_recomputed_layers(config: TrainingConfig) -> int:
    """Return how many layers of the model are computed twice as a whole."""
    execution, chunks = config.execution, config.layout.virtual_pipeline_model_parallel_size
    if execution.recompute_granularity != "full":
        return 0
    if execution.recompute_method == "uniform":
        return config.model.num_layers
    per_stage = layers_per_stage(config.model, config.layout)
    return sum(
        chunks * min(execution.recompute_num_layers, layers // chunks) for layers in per_stage
    )


def _heads_width(model: ModelConfig) -> int:
    return model.num_attention_heads * model.kv_channels
