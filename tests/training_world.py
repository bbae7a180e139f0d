"""A few steps of a small training inside a forked world, at any layout."""

import dataclasses
import queue
from pathlib import Path
from typing import Any

from megatron_recipes.config import (
    BatchConfig,
    ModelConfig,
    OptimizationConfig,
    ScheduleConfig,
    TrainingConfig,
)
from megatron_recipes.settings import apply_settings

MODEL = ModelConfig(
    num_layers=4,
    hidden_size=64,
    ffn_hidden_size=176,
    num_attention_heads=4,
    num_query_groups=2,
    kv_channels=16,
    vocab_size=512,
)


def small(*settings: str) -> TrainingConfig:
    """Four layers of width 64, 8 sequences of 64 tokens a step, with `field=value` applied."""
    config = TrainingConfig(
        recipe="small",
        description="for tests",
        model=MODEL,
        batch=BatchConfig(sequence_length=64, micro_batch_size=2, global_batch_size=8),
        optimization=OptimizationConfig(learning_rate=2e-3, lr_decay_style="constant"),
        schedule=ScheduleConfig(num_steps=100),
    )
    return apply_settings(config, settings)


def unchecked(config: TrainingConfig, changes: dict[str, dict[str, Any]]) -> TrainingConfig:
    """A config with fields that are not checked: what is asked of a machine that cannot."""
    for section, fields in changes.items():
        part = getattr(config, section)
        copied = object.__new__(type(part))
        for field in dataclasses.fields(part):
            value = fields.get(field.name, getattr(part, field.name))
            object.__setattr__(copied, field.name, value)
        whole = object.__new__(TrainingConfig)
        for field in dataclasses.fields(config):
            value = copied if field.name == section else getattr(config, field.name)
            object.__setattr__(whole, field.name, value)
        config = whole
    return config


class MadeSequences:
    """Sequences of counting tokens, each cut into documents; 30 % of the losses do not count."""

    def __init__(self, config: TrainingConfig) -> None:
        self.length, self.vocab_size = config.batch.sequence_length, config.model.vocab_size
        self.has_bounds = config.batch.document_bounded_attention

    def __len__(self) -> int:
        return 10_000

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        generator = torch.Generator().manual_seed(index)
        start, stride = torch.randint(1, 4, (2,), generator=generator).tolist()
        text = (start + stride * torch.arange(self.length + 1)) % self.vocab_size
        sequence = {
            "tokens": text[:-1],
            "labels": text[1:],
            "loss_mask": (torch.rand(self.length, generator=generator) > 0.3).float(),
            "position_ids": torch.arange(self.length),
        }
        if self.has_bounds:
            cut = int(torch.randint(1, self.length, (1,), generator=generator))
            bounds = torch.full((self.length + 1,), self.length, dtype=torch.int32)
            bounds[:2] = torch.tensor([0, cut])
            sequence |= {"cu_seqlens": bounds, "max_seqlen": torch.tensor(self.length)}
        return sequence


def build(config: TrainingConfig) -> tuple[Any, list[Any], Any]:
    """Return the world of this process, its chunks and its optimizer."""
    from megatron_recipes.forward import connect_schedule
    from megatron_recipes.model import build_model
    from megatron_recipes.optimizer import build_optimizer
    from megatron_recipes.world import join_world

    world = join_world(config.layout, config.schedule.seed)
    chunks = build_model(config, world)
    optimizer = build_optimizer(config, chunks)
    connect_schedule(chunks, optimizer)
    return world, chunks, optimizer


def train_steps(
    config: TrainingConfig, num_steps: int, start_from: str = "", save_to: str = ""
) -> dict[str, list[float]]:
    """Return `losses` and `grad_norms` of steps from a checkpoint's weights, or from the seed's."""
    world, chunks, optimizer = build(config)
    if start_from:
        load_weights(chunks, optimizer, start_from)
    result = step_through(config, world, chunks, optimizer, num_steps)
    if save_to:
        save_weights(chunks, save_to)
    return result


def step_through(
    config: TrainingConfig,
    world: Any,
    chunks: list[Any],
    optimizer: Any,
    num_steps: int,
    dataset: Any = None,
) -> dict[str, list[float]]:
    from megatron_recipes.data import training_batches
    from megatron_recipes.forward import run_schedule
    from megatron_recipes.world import sum_over_world

    batch = config.batch
    dataset = MadeSequences(config) if dataset is None else dataset
    result: dict[str, list[float]] = {"losses": [], "grad_norms": []}
    for step in range(num_steps):
        for chunk in chunks:
            chunk.zero_grad_buffer()
        optimizer.zero_grad()
        mine = run_schedule(
            training_batches(dataset, config, world, step * batch.global_batch_size),
            batch.num_microbatches(config.layout),
            config,
            chunks,
            forward_only=False,
        )
        _, grad_norm, _ = optimizer.step()
        counted = mine if world.counts_loss else (0.0, 0.0)
        loss, tokens = sum_over_world(list(counted), world.device)
        result["losses"].append(loss / tokens)
        result["grad_norms"].append(float(grad_norm))
    return result


def _weights(chunks: list[Any]) -> dict[str, Any]:
    return {str(number): chunk.module.sharded_state_dict() for number, chunk in enumerate(chunks)}


def save_weights(chunks: list[Any], path: str) -> None:
    """Write a distributed checkpoint of the weights alone."""
    import torch.distributed
    from megatron.core import dist_checkpointing
    from megatron.core.dist_checkpointing.strategies import filesystem_async

    from megatron_recipes.forward import gather_weights

    gather_weights(chunks)
    filesystem_async._results_queue = queue.Queue()  # not one of a manager process
    if torch.distributed.get_rank() == 0:
        Path(path).mkdir()
    torch.distributed.barrier()
    dist_checkpointing.save(_weights(chunks), path)
    torch.distributed.barrier()


def load_weights(chunks: list[Any], optimizer: Any, path: str) -> None:
    """Load them, at any layout."""
    from megatron.core import dist_checkpointing

    loaded = dist_checkpointing.load(_weights(chunks), path)
    for number, chunk in enumerate(chunks):
        chunk.module.load_state_dict(loaded[str(number)])
    optimizer.reload_model_params()


def initial_weights(config: TrainingConfig) -> dict[str, tuple[int, float, float]]:
    """Return count, sum and sum of squares of this process's part of each fresh parameter.

    Names are those of the whole model; what several processes hold whole counts once.
    """
    import torch.distributed

    world, chunks, _ = build(config)
    found = {}
    for chunk in chunks:
        layers = chunk.module.decoder.layers
        for name, parameter in chunk.module.named_parameters():
            if name.startswith("decoder.layers."):
                local = int(name.split(".")[2])
                number = str(layers[local].layer_number - 1)
                name = name.replace(f".{local}.", f".{number}.", 1)
            is_shared = not getattr(parameter, "tensor_model_parallel", False)
            if is_shared and world.tensor_model_parallel_rank:
                continue
            values = parameter.detach().double()
            found[name] = (values.numel(), float(values.sum()), float(values.square().sum()))
    torch.distributed.barrier()
    return found


def drawn_weight(config: TrainingConfig) -> list[float]:
    """Return numbers of the first layer of this stage, as Megatron-Core draws them."""
    from megatron_recipes.model import build_model
    from megatron_recipes.world import join_world

    world = join_world(config.layout, config.schedule.seed)
    [chunk] = build_model(config, world, draws_weights=False)
    numbers: list[float] = chunk.module.decoder.layers[0].mlp.linear_fc2.weight[0].tolist()
    return numbers
