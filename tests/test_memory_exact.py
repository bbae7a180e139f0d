"""The memory model against real objects: weights, gradients and optimizer state, to the byte."""

import dataclasses

import pytest
from forked_world import run_world
from training_world import build, small

from benchmarks.gpu.static_bytes import StaticBytes, static_bytes
from megatron_recipes.config import TrainingConfig
from megatron_recipes.memory import StageMemory, stage_memories

Found = tuple[int, int, StaticBytes]
"""Stage, tensor parallel rank, bytes."""

LAYOUTS: dict[str, tuple[str, ...]] = {
    "float32": (),
    "BF16": ("params_dtype=bfloat16",),
    "BF16, gradients too, biases, an uneven vocabulary": (
        "params_dtype=bfloat16",
        "grad_reduce_in_fp32=false",
        "add_qkv_bias=true",
        "vocab_size=500",
    ),
    "BF16 without the distributed optimizer": (
        "params_dtype=bfloat16",
        "use_distributed_optimizer=false",
    ),
    "one table, on one process": ("share_embeddings_and_output_weights=true",),
    "one table, on two stages": (
        "share_embeddings_and_output_weights=true",
        "pipeline_model_parallel_size=2",
        "params_dtype=bfloat16",
    ),
    "TP2 SP, BF16": (
        "tensor_model_parallel_size=2",
        "sequence_parallel=true",
        "add_qkv_bias=true",
        "params_dtype=bfloat16",
    ),
    "PP2 of uneven stages": (
        "pipeline_model_parallel_size=2",
        "num_layers_in_first_pipeline_stage=1",
    ),
    "DP2, BF16": ("data_parallel_size=2", "params_dtype=bfloat16"),
    "CP2, BF16 gradients": (
        "context_parallel_size=2",
        "params_dtype=bfloat16",
        "grad_reduce_in_fp32=false",
    ),
    "PP2 in two chunks, DP2": (
        "pipeline_model_parallel_size=2",
        "virtual_pipeline_model_parallel_size=2",
        "data_parallel_size=2",
        "params_dtype=bfloat16",
    ),
}


def count(config: TrainingConfig) -> Found:
    """Count what this process holds."""
    world, chunks, optimizer = build(config)
    found = static_bytes(chunks, optimizer)
    return world.pipeline_model_parallel_rank, world.tensor_model_parallel_rank, found


def of_part(found: list[Found], stage: int, tensor: int) -> list[StaticBytes]:
    """Return what the replicas of one part of the model hold."""
    return [bytes_ for *place, bytes_ in found if place == [stage, tensor]]


def check_stage(
    predicted: StageMemory, replicas: list[StaticBytes], config: TrainingConfig
) -> None:
    for found in replicas:
        assert found.weights == predicted.weights
        assert found.gradients == predicted.gradients
        # Parameters begin at multiples of 64 numbers in a buffer, and buckets end at such of 128.
        assert found.gradients <= found.buffers < 1.02 * found.gradients
    shards = config.layout.num_replicas if config.layout.use_distributed_optimizer else 1
    # Replicas share the numbers by place in the buffer, one a little more than another.
    assert sum(found.optimizer for found in replicas) == pytest.approx(
        predicted.optimizer * shards, rel=0, abs=1e-3
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_process_holds_what_is_predicted(name: str) -> None:
    config = small(*LAYOUTS[name])
    found = run_world(count, config.layout.world_size, config)
    predicted = stage_memories(config)
    for memory in predicted:
        for tensor in range(config.layout.tensor_model_parallel_size):
            replicas = of_part(found, memory.stage, tensor)
            assert len(replicas) == config.layout.num_replicas
            check_stage(memory, replicas, config)


def test_a_byte_more_would_be_seen() -> None:
    config = small("params_dtype=bfloat16")
    found = run_world(count, 1, config)
    (memory,) = stage_memories(config)
    for part in ("weights", "gradients", "optimizer"):
        wrong = dataclasses.replace(memory, **{part: getattr(memory, part) + 1})
        with pytest.raises(AssertionError):
            check_stage(wrong, of_part(found, 0, 0), config)
