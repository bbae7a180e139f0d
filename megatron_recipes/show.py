"""One recipe, resolved: what `show` prints, on one screen."""

import dataclasses
import textwrap

from megatron_recipes.blend import Blend
from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.checks import shown
from megatron_recipes.config.gpus import GPUS
from megatron_recipes.config.stages import layers_per_stage
from megatron_recipes.duration import SOURCE, check_utilization, estimate_duration
from megatron_recipes.estimate.report import estimate_lines
from megatron_recipes.flops import count_parameters, flops_per_token, recomputed_flops_per_token
from megatron_recipes.limits import num_epochs
from megatron_recipes.memory import StageMemory, fullest, reserve_bytes, stage_memories
from megatron_recipes.settings import SECTIONS

GIGA = 1e9
WIDTH = 100
LABEL = 16
"""Columns that the names at the left take."""


def describe(
    config: TrainingConfig,
    blend: Blend | None = None,
    *,
    mfu: float | None = None,
    all_fields: bool = False,
    estimates: bool = False,
) -> str:
    """Return what a config says and what follows from it, as text.

    Args:
        config: The training.
        blend: Its data, if that is known.
        mfu: The utilization that its time is computed from; None: what NVIDIA reports.
        all_fields: Whether to list fields that have their default, too.
        estimates: Whether to add the estimated throughput, and the fastest layouts.

    Raises:
        ValueError: `mfu` is out of range or has no effect; nothing can be estimated.
    """
    check_utilization(config, mfu)
    parts = [
        [f"{config.recipe}: {config.description}"],
        _fields(config, all_fields=all_fields),
        _environment(config),
        _layout(config) + _batch(config),
        _cost(config, mfu),
        _data(config, blend) if blend else [],
        [line for row in estimate_lines(config) for line in _row(*row)] if estimates else [],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _row(label: str, *columns: str) -> list[str]:
    """Return one entry: its name at the left, its text wrapped beside it."""
    lines = [
        line
        for text in columns
        for line in textwrap.wrap(
            text, WIDTH - LABEL, break_long_words=False, break_on_hyphens=False
        )
    ]
    return [f"{label if number == 0 else '':{LABEL}}{line}" for number, line in enumerate(lines)]


def _fields(config: TrainingConfig, *, all_fields: bool) -> list[str]:
    lines = []
    for name in SECTIONS:
        section = getattr(config, name)
        stated = [
            f"{field.name}={shown(getattr(section, field.name))}"
            for field in dataclasses.fields(section)
            if all_fields or getattr(section, field.name) != field.default
        ]
        lines += _row(name, "  ".join(stated) or "all fields have their defaults")
    return lines


def _environment(config: TrainingConfig) -> list[str]:
    variables = [f"{name}={value}" for name, value in config.process_environment]
    return _row("environment", "  ".join(variables) or "nothing is set")


def _layout(config: TrainingConfig) -> list[str]:
    layout, per_node = config.layout, config.execution.gpus_per_node
    machines = -(-layout.world_size // per_node)
    processes = (
        f"{layout.world_size} = TP {layout.tensor_model_parallel_size} x PP "
        f"{layout.pipeline_model_parallel_size} x CP {layout.context_parallel_size} x DP "
        f"{layout.data_parallel_size}, on {machines} machine{'s' * (machines > 1)}"
    )
    layers, chunks = (
        layers_per_stage(config.model, layout),
        (layout.virtual_pipeline_model_parallel_size),
    )
    counts = f"{layers[0]}" if len(set(layers)) == 1 else ", ".join(map(str, layers))
    stages = f"{counts} a stage" + (f", in {chunks} chunks each" if chunks > 1 else "")
    return _row("processes", processes) + _row("layers", stages)


def _batch(config: TrainingConfig) -> list[str]:
    batch, steps = config.batch, config.schedule.num_steps
    step = (
        f"{batch.global_batch_size} sequences = micro batch {batch.micro_batch_size} x DP "
        f"{config.layout.data_parallel_size} x {batch.num_microbatches(config.layout)} "
        f"micro batches; x {batch.sequence_length:,} = {batch.tokens_per_step:,} tokens"
    )
    training = (
        f"{steps:,} steps x {batch.tokens_per_step:,} = {steps * batch.tokens_per_step:,} tokens"
    )
    return _row("step", step) + _row("training", training)


def _cost(config: TrainingConfig, mfu: float | None) -> list[str]:
    model = config.model
    if not model.vocab_size:
        return _row(
            "vocabulary",
            "that of the blend's tokenizer (give --blend, or --set vocab_size=N); parameters, "
            "FLOPs and memory follow from it",
        )
    flops = flops_per_token(model, config.batch.sequence_length)
    again = recomputed_flops_per_token(config)
    operations = (
        f"{flops.linear / GIGA:.5g} linear, {flops.causal / GIGA:.5g} with causal attention, "
        f"{flops.full / GIGA:.5g} with full"
    )
    if config.batch.document_bounded_attention:
        operations += "; less attention by where documents end"
    if again:
        operations += f"; recomputed beside them: {again / GIGA:.4g}"
    return [
        *_row("vocabulary", f"{model.vocab_size:,} padded to {model.padded_vocab_size:,}"),
        *_row("parameters", f"{count_parameters(model):,}"),
        *_row("GFLOP a token", operations),
        *_time(config, mfu),
        "",
        *_memory(config),
    ]


def _time(config: TrainingConfig, mfu: float | None) -> list[str]:
    duration = estimate_duration(config, mfu)
    if duration is None:
        return _row("time", "not stated for CPUs")
    source = "as asked for" if mfu else f"as {SOURCE}"
    return _row(
        "time",
        f"{_span(duration.seconds)} or {duration.gpu_hours:,.0f} GPU-hours: "
        f"{duration.tokens_per_second:,.0f} tokens/s/GPU at an MFU of {duration.mfu:.1%} (causal "
        f"operations / {duration.peak_flops / 1e12:,.0f} TFLOP/s, {duration.peak_name}), {source}",
    )


def _span(seconds: float) -> str:
    for name, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {name}"
    return f"{seconds:.1f} seconds"


def _memory(config: TrainingConfig) -> list[str]:
    stages, gpu = stage_memories(config), GPUS.get(config.execution.gpu)
    worst = fullest(stages)
    listed = {0: stages[0], worst.stage: worst, len(stages) - 1: stages[-1]}
    columns = ("weights", "FP8 copies", "gradients", "optimizer", "activations", "logits", "total")
    cells = [f"{column:>12}" for column in columns]
    lines = [f"{'GB a process':{LABEL}}{''.join(cells)}"]
    lines += [_memory_line(stage) for _, stage in sorted(listed.items())]
    if worst.step > worst.activations + worst.logits:
        copies = f"stage {worst.stage}: {worst.step / GIGA:.2f} of float32 gradients while it steps"
        lines += _row("optimizer", f"{copies}, instead of activations and logits")
    if gpu:
        reserve = reserve_bytes(gpu)
        free = gpu.memory_bytes - worst.total - reserve
        lines += _row(
            "GPU",
            f"{gpu.name} has {gpu.memory_bytes / GIGA:.1f}: {worst.total / GIGA:.1f} for stage "
            f"{worst.stage}, the fullest, {reserve / GIGA:.1f} in reserve (context, NCCL, "
            f"workspaces, fragments), {free / GIGA:.1f} free",
        )
    return lines


def _memory_line(memory: StageMemory) -> str:
    sizes = (
        memory.weights,
        memory.fp8_copies,
        memory.gradients,
        memory.optimizer,
        memory.activations,
        memory.logits,
        memory.total,
    )
    digits = 2 if memory.total >= GIGA else 4
    cells = "".join(f"{size / GIGA:12.{digits}f}" if size else f"{'-':>12}" for size in sizes)
    return f"{f'  stage {memory.stage}':{LABEL}}{cells}"


def _data(config: TrainingConfig, blend: Blend) -> list[str]:
    lines = _row("blend", f"{blend.path}, tokenizer sha256 {blend.tokenizer:.12}")
    trained = config.schedule.num_steps * config.batch.tokens_per_step
    width = max(len(group.name) for group in blend.train + blend.valid)
    for group in blend.train:
        lines += _row(
            "",
            f"{group.name:{width}}  {group.weight:6.1%}  {group.weight * trained:,.0f} tokens "
            f"trained / {group.tokens:,} in {len(group.parts)} "
            f"part{'s' * (len(group.parts) > 1)} = "
            # Only when conversations are packed is it known how many sequences they fill.
            f"{'about ' * config.batch.pack_conversations}{num_epochs(config, group):.2f} epochs",
        )
    for group in blend.valid:
        lines += _row("", f"{group.name:{width}}  held out: {group.tokens:,} tokens")
    return lines
