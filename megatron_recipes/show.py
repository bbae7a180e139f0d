"""One recipe, resolved: what `show` prints."""

import dataclasses

from megatron_recipes.blend import Blend, Group
from megatron_recipes.config import TrainingConfig
from megatron_recipes.flops import bytes_per_parameter, count_parameters, flops_per_token
from megatron_recipes.settings import SECTIONS

GIGA = 1e9


def describe(config: TrainingConfig, blend: Blend | None) -> str:
    """Return every field of a config and what follows from them, as text."""
    lines = [f"{config.recipe}: {config.description}"]
    for section in SECTIONS:
        lines += ["", section]
        lines += [
            f"  {name} = {value}"
            for name, value in dataclasses.asdict(getattr(config, section)).items()
        ]
    lines += ["", "environment"]
    lines += [f"  {name}={value}" for name, value in config.environment] or ["  nothing is set"]
    lines += ["", *_layout(config), *_batch(config), *_cost(config)]
    if blend:
        lines += ["", *_data(config, blend)]
    return "\n".join(lines)


def num_epochs(config: TrainingConfig, group: Group) -> float:
    """Return how often a training reads each token of a group."""
    return config.schedule.num_steps * config.batch.tokens_per_step * group.weight / group.tokens


def _layout(config: TrainingConfig) -> list[str]:
    layout = config.layout
    return [
        f"processes: {layout.world_size} = TP {layout.tensor_model_parallel_size} x PP "
        f"{layout.pipeline_model_parallel_size} x CP {layout.context_parallel_size} x DP "
        f"{layout.data_parallel_size}; "
        f"{config.model.num_layers // layout.pipeline_model_parallel_size} layers a stage",
    ]


def _batch(config: TrainingConfig) -> list[str]:
    batch, steps = config.batch, config.schedule.num_steps
    return [
        f"batch: {batch.global_batch_size} sequences = micro batch {batch.micro_batch_size} x DP "
        f"{config.layout.data_parallel_size} x {batch.num_microbatches(config.layout)} "
        f"micro batches; x {batch.sequence_length} = {batch.tokens_per_step:,} tokens a step",
        f"tokens: {steps:,} steps x {batch.tokens_per_step:,} = {steps * batch.tokens_per_step:,}",
    ]


def _cost(config: TrainingConfig) -> list[str]:
    model = config.model
    if not model.vocab_size:
        return [
            "vocabulary: that of the blend's tokenizer (give --blend, or --set vocab_size=N); "
            "parameters and FLOPs follow from it"
        ]
    memory, count = bytes_per_parameter(config), count_parameters(model)
    flops = flops_per_token(model, config.batch.sequence_length)
    held = count / (
        config.layout.tensor_model_parallel_size * config.layout.pipeline_model_parallel_size
    )
    return [
        f"vocabulary: {model.vocab_size:,} padded to {model.padded_vocab_size:,}",
        f"parameters: {count:,}",
        f"GFLOP per token: {flops.linear / GIGA:.6g} linear, {flops.causal / GIGA:.6g} with "
        f"causal attention, {flops.full / GIGA:.6g} with full attention",
        f"bytes per parameter: {memory.total:g} = weights {memory.weights:g} + gradients "
        f"{memory.gradients:g} + optimizer {memory.optimizer:g}; about "
        f"{held * memory.total / GIGA:.3g} GB a process, activations not counted",
    ]


def _data(config: TrainingConfig, blend: Blend) -> list[str]:
    lines = [f"blend: {blend.path}, tokenizer sha256 {blend.tokenizer:.12}"]
    lines += [
        f"  {group.name}: weight {group.weight:g}, {group.tokens:,} tokens in "
        f"{len(group.parts)} parts, {num_epochs(config, group):.2f} epochs"
        for group in blend.train
    ]
    lines += [f"  {group.name}: {group.tokens:,} tokens held out" for group in blend.valid]
    return lines
