"""The time of a training step, part by part.

A micro batch passes a layer's matrix products, its attention, and kernels that only move bytes
(norms, rotary positions, SwiGLU, residuals, casts to FP8, the accumulation of weight gradients).
Times add up, as such kernels follow each other on one stream; communication counts as far as
nothing hides it. A pipeline of p stages with v chunks each idles (p - 1) / v micro batches, and
sends 2 v messages for each. What happens once a step is in `update`.

h hidden, d head size, nh query heads, ng key/value heads, f feed-forward, V vocabulary.
"""

from dataclasses import dataclass, fields

from megatron_recipes.config import ModelConfig
from megatron_recipes.config.gpus import Gpu
from megatron_recipes.estimate.rates import Rates
from megatron_recipes.estimate.update import (
    BF16_BYTES,
    FLOAT32_BYTES,
    FP8_BYTES,
    data_parallel_seconds,
    optimizer_seconds,
)
from megatron_recipes.estimate.workload import Workload
from megatron_recipes.flops import attention_matrices, flops_per_token, mlp_matrices


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTime:
    """Seconds of one step on the fullest pipeline stage, by what they are spent on."""

    matrix_products: float
    """Of the layers."""

    attention: float
    """The products of queries, keys and values."""

    memory_traffic: float
    """Kernels that only read and write."""

    weight_gradients: float
    """Adding weight gradients to the main gradients; casting weights to FP8."""

    output_layer: float
    """Logits and their loss."""

    recomputation: float
    """What the backward pass computes again; in no figure of operations."""

    tensor_parallel: float
    """Gathers and scatters of activations that nothing hides."""

    context_parallel: float
    """Exchange of keys and values that nothing hides."""

    pipeline_parallel: float
    """Activations and their gradients on their way between stages, where nothing hides it."""

    pipeline_idle: float
    """Waiting for the first and the last micro batch."""

    optimizer: float
    """Reading and writing its states, and the weights."""

    data_parallel: float
    """The first gather of weights and the last reduction of gradients, which nothing hides."""

    @property
    def seconds(self) -> float:
        """All parts."""
        return sum(float(getattr(self, field.name)) for field in fields(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """What a step time means."""

    step: StepTime
    """The parts."""

    tokens_per_second_per_gpu: float
    """Tokens of the step, over its time and the GPUs."""

    model_flops_causal: float
    """Model FLOP per second and GPU, causal attention; recomputation not counted."""

    model_flops_full: float
    """The same with full attention."""


def estimate(work: Workload, gpu: Gpu, rates: Rates) -> Throughput:
    """Return the throughput of a workload."""
    step = step_time(work, gpu, rates)
    flops = flops_per_token(work.model, work.attended_tokens or work.batch.sequence_length)
    tokens = work.batch.tokens_per_step / step.seconds / work.num_gpus
    return Throughput(
        step=step,
        tokens_per_second_per_gpu=tokens,
        model_flops_causal=tokens * flops.causal,
        model_flops_full=tokens * flops.full,
    )


def step_time(work: Workload, gpu: Gpu, rates: Rates) -> StepTime:
    """Return the time of a step on the fullest stage of the pipeline."""
    micro_batch = _MicroBatch(work, gpu, rates)
    count, layout = work.num_microbatches, work.layout
    layers, output = micro_batch.layers(), micro_batch.output_layer()
    recomputed = micro_batch.recomputed(layers)
    passing = sum(layers.values()) + recomputed
    idle = (layout.pipeline_model_parallel_size - 1) / layout.virtual_pipeline_model_parallel_size
    return StepTime(
        **{name: seconds * count for name, seconds in layers.items()},
        output_layer=output * count,
        recomputation=recomputed * count,
        pipeline_parallel=_pipeline_parallel(work, rates),
        pipeline_idle=passing * idle,
        optimizer=optimizer_seconds(work, rates),
        data_parallel=data_parallel_seconds(work, rates),
    )


def _pipeline_parallel(work: Workload, rates: Rates) -> float:
    """Return the time in which a stage waits for what other stages send it.

    A micro batch comes once forward and its gradient once backward, to every chunk of a stage;
    stages send and receive at once. Interleaved schedules send while they compute; while a pipeline
    fills and drains nothing hides it. The slowest boundary sets the pace: the last ranks to be
    numbered are stages, so that with more than one machine some boundary is between two.
    """
    layout, batch = work.layout, work.batch
    stages, chunks = (
        layout.pipeline_model_parallel_size,
        layout.virtual_pipeline_model_parallel_size,
    )
    if stages == 1:
        return 0.0
    parts = layout.context_parallel_size
    parts *= layout.tensor_model_parallel_size if layout.sequence_parallel else 1
    sent = BF16_BYTES * work.model.hidden_size * batch.micro_batch_size * batch.sequence_length
    is_one_node = work.num_gpus <= work.execution.gpus_per_node
    link = rates.nvlink_bytes_per_second if is_one_node else rates.network_bytes_per_second
    hop = sent / parts / link
    exposed = rates.exposed_share if chunks > 1 else 1.0
    return 2 * hop * (work.num_microbatches * chunks * exposed + stages - 1)


class _MicroBatch:
    """Times of one micro batch on one stage."""

    def __init__(self, work: Workload, gpu: Gpu, rates: Rates) -> None:
        self.work, self.gpu, self.rates = work, gpu, rates
        model, layout, batch = work.model, work.layout, work.batch
        self.tensor = layout.tensor_model_parallel_size
        sequences = batch.micro_batch_size
        self.tokens = sequences * batch.sequence_length / layout.context_parallel_size
        self.num_layers = model.num_layers / layout.pipeline_model_parallel_size
        self.weights = layer_matrices(model) / self.tensor
        self.passes = 3 if work.trains_weights else 2

    def layers(self) -> dict[str, float]:
        """Return the times of the stage's layers, forward and backward."""
        return {
            name: seconds * self.num_layers
            for name, seconds in (
                ("matrix_products", self._matrix_products()),
                ("attention", self._attention()),
                ("memory_traffic", self._memory_traffic()),
                ("weight_gradients", self._weight_gradients()),
                ("tensor_parallel", self._tensor_parallel()),
                ("context_parallel", self._context_parallel()),
            )
        }

    def _matrix_products(self) -> float:
        rate = (
            self.gpu.fp8_flops * self.rates.fp8_share
            if self.work.is_fp8
            else self.gpu.bf16_flops * self.rates.bf16_share
        )
        return self.passes * 2 * self.weights * self.tokens / rate

    def _attention(self) -> float:
        model, work = self.work.model, self.work
        span = work.attended_tokens or work.batch.sequence_length
        heads = model.num_attention_heads * model.kv_channels
        forward = 4 * heads * span / 2 * self.tokens / self.tensor
        # The backward pass computes the scores again: five products for the forward's two.
        return 3.5 * forward / (self.gpu.bf16_flops * self.rates.attention_share)

    def _memory_traffic(self) -> float:
        model = self.work.model
        hidden, ffn = model.hidden_size, model.ffn_hidden_size
        heads = model.num_attention_heads * model.kv_channels
        groups = model.num_query_groups * model.kv_channels
        # Norms and residuals (12 h forward, 16 h backward), rotary positions and layout of queries,
        # keys and values, SwiGLU (reads two of f, writes one; backward reads three, writes two).
        forward = 12 * hidden + 4 * (heads + 2 * groups) + 3 * ffn
        backward = 16 * hidden + 4 * (heads + 2 * groups) + 5 * ffn
        moved = BF16_BYTES * (forward + backward)
        if self.work.is_fp8:
            inputs = 2 * hidden + heads + ffn
            outputs = 2 * hidden + heads + 2 * groups + 2 * ffn
            # Read for the greatest value, read again, written as it is and transposed.
            moved += (2 * BF16_BYTES + 2 * FP8_BYTES) * (inputs + outputs)
        return moved * self.tokens / self.tensor / self.rates.memory_bytes_per_second

    def _weight_gradients(self) -> float:
        precision = self.work.precision
        moved = 0
        if self.work.trains_weights:
            moved += 2 * (FLOAT32_BYTES if precision.grad_reduce_in_fp32 else BF16_BYTES)
        if self.work.is_fp8 and not precision.fp8_param_gather:
            moved += 2 * BF16_BYTES + 2 * FP8_BYTES
        return moved * self.weights / self.rates.memory_bytes_per_second

    def _tensor_parallel(self) -> float:
        if self.tensor == 1:
            return 0.0
        # With sequence parallelism a layer gathers twice and scatters twice forward, the same
        # backward, and gathers twice again for the weight gradients.
        volume = 10 * BF16_BYTES * self.work.model.hidden_size * self.tokens
        share = (self.tensor - 1) / self.tensor
        return volume * share / self.rates.nvlink_bytes_per_second * self.rates.exposed_share

    def _context_parallel(self) -> float:
        model, context = self.work.model, self.work.layout.context_parallel_size
        if context == 1:
            return 0.0
        groups = model.num_query_groups * model.kv_channels / self.tensor
        # Keys and values go around once forward, they and their gradients backward.
        volume = 3 * 2 * BF16_BYTES * groups * self.tokens * (context - 1)
        crosses = self.tensor * context > self.work.execution.gpus_per_node
        link = (
            self.rates.network_bytes_per_second if crosses else self.rates.nvlink_bytes_per_second
        )
        # A ring hides behind the attention it feeds; what exceeds that is exposed.
        return max(volume / link - self._attention(), volume / link * 0.1)

    def recomputed(self, layers: dict[str, float]) -> float:
        """Return the time of what is computed twice: a forward pass is a third of a layer."""
        execution = self.work.execution
        if execution.recompute_granularity == "none":
            return 0.0
        if execution.recompute_granularity == "full":
            layout = self.work.layout
            held = execution.recompute_num_layers * layout.virtual_pipeline_model_parallel_size
            is_block = execution.recompute_method == "block"
            share = min(1.0, held / self.num_layers) if is_block else 1.0
            return share * sum(layers.values()) / 3
        modules = execution.recompute_modules.split(",")
        seconds = 0.0
        if "core_attn" in modules:
            seconds += layers["attention"] / 3.5
        if "mlp" in modules:
            model = self.work.model
            part = mlp_matrices(model) / layer_matrices(model)
            seconds += part * layers["matrix_products"] / 3
        return seconds

    def output_layer(self) -> float:
        """Return the time of the logits, in BF16, and of their loss; the last stage's."""
        model = self.work.model
        table = model.padded_vocab_size * model.hidden_size / self.tensor
        products = self.passes * 2 * table * self.tokens
        logits = model.padded_vocab_size * self.tokens / self.tensor
        # Written, read for maximum and sum, read and written for the gradient, read twice.
        moved = 6 * BF16_BYTES * logits
        return (
            products / (self.gpu.bf16_flops * self.rates.bf16_share)
            + moved / self.rates.memory_bytes_per_second
        )


def layer_matrices(model: ModelConfig) -> int:
    """Return the weights in the matrices of one layer."""
    return attention_matrices(model) + mlp_matrices(model)
