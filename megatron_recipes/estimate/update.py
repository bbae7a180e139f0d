"""What a step does once, after its micro batches: gradients reduced, weights updated and gathered.

Ranks are numbered as Megatron-Core does: tensor, context, data, then pipeline parallel. So the
processes that hold the same weights are spread over (processes / pipeline stages) neighbours.
"""

from megatron_recipes.estimate.rates import Rates
from megatron_recipes.estimate.workload import Workload
from megatron_recipes.flops import attention_matrices, mlp_matrices
from megatron_recipes.memory import STATE_BYTES

FLOAT32_BYTES, BF16_BYTES, FP8_BYTES = 4, 2, 1


def optimizer_seconds(work: Workload, rates: Rates) -> float:
    """Return the time of the optimizer: it only moves bytes.

    Every process zeroes its gradient buffer; its share of the weights is read for the norm of the
    gradients and updated. Whole master weights are updated by float32 gradients, so that those
    reduced in BF16 are first copied to float32.
    """
    if not work.trains_weights:
        return 0.0
    held, layout, precision = held_parameters(work), work.layout, work.precision
    shards = layout.num_replicas if layout.use_distributed_optimizer else 1
    gradient, moments = precision.bytes_per_gradient, STATE_BYTES["float32"] * 2
    if precision.use_precision_aware_optimizer:
        moments = STATE_BYTES[precision.exp_avg_dtype] + STATE_BYTES[precision.exp_avg_sq_dtype]
    # Without the precision-aware optimizer, and with weights in FP8, masters are whole.
    if precision.fp8_param_gather or not precision.use_precision_aware_optimizer:
        copied = gradient + FLOAT32_BYTES if gradient < FLOAT32_BYTES else 0
        read = copied + 2 * FLOAT32_BYTES  # for the norm, for the update
        updated = 2 * (FLOAT32_BYTES + moments) + BF16_BYTES
    else:  # of the masters only the lower half is kept beside the weights
        read = 2 * gradient
        updated = 2 * (BF16_BYTES + moments) + 2 * BF16_BYTES
    moved = held / shards * (read + updated) + held * gradient
    return moved / rates.memory_bytes_per_second


def data_parallel_seconds(work: Workload, rates: Rates) -> float:
    """Return the time of the gathers of weights and reductions of gradients that nothing hides."""
    layout = work.layout
    if layout.num_replicas == 1 or not work.trains_weights:
        return 0.0
    weight = FP8_BYTES if work.precision.fp8_param_gather else BF16_BYTES
    held, link = held_parameters(work), replicas_link(work, rates)
    reduction = held * work.precision.bytes_per_gradient / link
    gather = held * weight / link
    return reduction * _exposed(work, overlaps=layout.overlap_grad_reduce) + gather * _exposed(
        work, overlaps=layout.overlap_param_gather
    )


def replicas_link(work: Workload, rates: Rates) -> float:
    """Return the bytes per second of a collective over the processes that hold the same weights.

    Across machines it runs over as many network ports as it has members in each.
    """
    layout, in_node = work.layout, work.execution.gpus_per_node
    if work.num_gpus // layout.pipeline_model_parallel_size <= in_node:
        return rates.nvlink_bytes_per_second
    members = max(1, in_node // layout.tensor_model_parallel_size)
    return min(rates.nvlink_bytes_per_second, members * rates.network_bytes_per_second)


def held_parameters(work: Workload) -> float:
    """Return the weights of one process, all stages held to be equal."""
    model, layout = work.model, work.layout
    tables = 1 if model.share_embeddings_and_output_weights else 2
    count = model.num_layers * (attention_matrices(model) + mlp_matrices(model))
    count += tables * model.padded_vocab_size * model.hidden_size
    return count / (layout.tensor_model_parallel_size * layout.pipeline_model_parallel_size)


def _exposed(work: Workload, *, overlaps: bool) -> float:
    """Return the share of a reduction or gather that nothing hides: one bucket's, of a layer."""
    layout = work.layout
    layers = work.model.num_layers / layout.pipeline_model_parallel_size
    return min(1.0, 2 / layers) if overlaps else 1.0
