"""What the forward pass keeps for the backward pass, in bytes of a process, by formula.

t tokens of a micro batch (over context parallelism), h hidden, f feed-forward, q, k and v heads
times head size, s sequence, b bytes of a number.

| kept of a layer | bytes | divided by tensor parallelism |
|---|---|---|
| inputs of both norms | 2 t h b | with `sequence_parallel` |
| outputs of both norms, inputs of products | 2 t h b, in FP8 2 t h | with `sequence_parallel` |
| query, key, value | t (q + k + v) b | yes |
| output of attention; FP8 keeps a copy as input of the product | t q b, in FP8 t q (b + 1) | yes |
| output of gate and up | 2 t f b | yes |
| input of down | t f b, in FP8 t f | yes |
| unfused attention: probabilities in float32 and in b | t s heads (4 + b) | yes |

For Llama 3 8B in BF16 these are 34 bytes for each token, layer and unit of width.
"""

import math
from dataclasses import dataclass

from megatron_recipes.config import ExecutionConfig, TrainingConfig
from megatron_recipes.config.stages import micro_batches_in_flight


@dataclass(frozen=True, kw_only=True, slots=True)
class _LayerBytes:
    """What one layer keeps of one token, by what recomputation may leave out."""

    entry: float
    """Its input."""

    core_attention: float
    """What `core_attn` computes again."""

    mlp: float
    """What `mlp` computes again."""

    rest: float
    """All else, without the input."""

    @property
    def whole(self) -> float:
        """All of it."""
        return self.entry + self.core_attention + self.mlp + self.rest


def num_fp8_layers(config: TrainingConfig, stage: int, layers: int) -> int:
    """Return how many of a stage's layers have their products in FP8."""
    precision = config.precision
    if precision.fp8 == "none":
        return 0
    last = config.layout.pipeline_model_parallel_size - 1
    at_start = precision.num_layers_at_start_in_bf16 if stage == 0 else 0
    at_end = precision.num_layers_at_end_in_bf16 if stage == last else 0
    return max(0, layers - at_start - at_end)


def _layer_bytes(config: TrainingConfig, *, is_fp8: bool) -> _LayerBytes:
    model, layout, number = config.model, config.layout, config.precision.bytes_per_weight
    tensor = layout.tensor_model_parallel_size
    hidden = model.hidden_size / (tensor if layout.sequence_parallel else 1)
    queries = model.num_attention_heads * model.kv_channels / tensor
    keys_values = 2 * model.num_query_groups * model.kv_channels / tensor
    feed_forward = model.ffn_hidden_size / tensor
    product_input = 1 if is_fp8 else number
    pairs = model.num_attention_heads / tensor * config.batch.sequence_length
    has_pairs = config.has_quadratic_attention
    # Transformer Engine's norm is inside the product that `mlp` repeats; the local one is not.
    norm_of_mlp = product_input * hidden
    has_inner_norm = config.needs_gpu
    return _LayerBytes(
        entry=number * hidden,
        core_attention=pairs * (4 + number) if has_pairs else 0.0,
        mlp=(2 * number + product_input) * feed_forward + (norm_of_mlp if has_inner_norm else 0),
        rest=number * (hidden + queries + keys_values)
        + product_input * hidden
        + (number + 1 if is_fp8 else number) * queries
        + (0 if has_inner_norm else norm_of_mlp),
    )


def _tokens(config: TrainingConfig) -> float:
    batch = config.batch
    return batch.micro_batch_size * batch.sequence_length / config.layout.context_parallel_size


def activation_bytes(config: TrainingConfig, stage: int, layers: int) -> float:
    """Return what a process of a stage keeps of all micro batches in flight.

    Args:
        config: The training.
        stage: The pipeline stage, from 0.
        layers: How many layers it has.
    """
    layout, model = config.layout, config.model
    passes, chunks = micro_batches_in_flight(stage, layout, config.batch.num_microbatches(layout))
    num_fp8 = num_fp8_layers(config, stage, layers)
    kept = again = 0.0
    for is_fp8, count in ((True, num_fp8), (False, layers - num_fp8)):
        if count:
            layer = _layer_bytes(config, is_fp8=is_fp8)
            of_kind, of_one = _kept(config.execution, layer, layers / chunks)
            kept += of_kind * count / layers
            again = max(again, of_one)
    hidden = model.hidden_size / (
        layout.tensor_model_parallel_size if layout.sequence_parallel else 1
    )
    feed_forward = model.ffn_hidden_size / layout.tensor_model_parallel_size
    # The gradients that are alive inside one layer: of the feed-forward part, and of two inputs.
    flowing = config.precision.bytes_per_weight * (3 * feed_forward + 2 * hidden)
    return _tokens(config) * (passes * kept + again + flowing)


def _kept(execution: ExecutionConfig, layer: _LayerBytes, count: float) -> tuple[float, float]:
    """Return what a chunk keeps of a token, and what is computed again at a time."""
    recomputed = execution.recompute_num_layers
    if execution.recompute_granularity == "none":
        return count * layer.whole, 0.0
    if execution.recompute_granularity == "selective":
        modules = execution.recompute_modules.split(",")
        left_out = layer.core_attention * ("core_attn" in modules)
        left_out += layer.mlp * ("mlp" in modules)
        return count * (layer.whole - left_out), left_out
    if execution.recompute_method == "uniform":
        groups = math.ceil(count / recomputed)
        # The input of a group's first layer is kept already.
        return groups * layer.entry, min(recomputed, count) * layer.whole - layer.entry
    repeated = min(recomputed, count)
    kept = repeated * layer.entry + (count - repeated) * layer.whole
    # While others are kept, they are gone before the first repeated one is there again.
    return kept, layer.whole - layer.entry if repeated == count else 0.0


def logits_bytes(config: TrainingConfig) -> float:
    """Return what the last stage needs behind its layers: norm, logits, cross entropy."""
    model, layout, number = config.model, config.layout, config.precision.bytes_per_weight
    tensor = layout.tensor_model_parallel_size
    hidden = model.hidden_size / (tensor if layout.sequence_parallel else 1)
    # Both of Megatron-Core's cross entropies compute in float32; Transformer Engine's writes the
    # gradient over the logits.
    in_float32 = 4 if number == 2 and config.execution.cross_entropy != "te" else 0
    of_logits = model.padded_vocab_size / tensor * (number + in_float32)
    return _tokens(config) * (2 * number * hidden + of_logits)
