"""A training for GPUs as one that CPUs can do: the same layout, sizes and schedule."""

import dataclasses

from megatron_recipes.config.checks import shown
from megatron_recipes.config.execution import ExecutionConfig
from megatron_recipes.config.precision import PrecisionConfig
from megatron_recipes.config.training import TrainingConfig


def cpu_twin(config: TrainingConfig) -> tuple[TrainingConfig, tuple[str, ...]]:
    """Return the same training with those fields replaced that only a GPU fulfils.

    Layout, sizes, batch and schedule stay, so that what a CPU does with the twin is proof of the
    config's shape: groups, stages, chunks, sequences and the order of collectives.

    Returns:
        The twin, and a line `field: before -> after` for each field that changed.
    """
    twin = dataclasses.replace(
        config,
        layout=dataclasses.replace(config.layout, tp_comm_overlap=False),
        precision=_without_fp8(config),
        execution=_without_transformer_engine(config),
        environment=(),
    )
    return twin, tuple(_differences(config, twin))


def _without_fp8(config: TrainingConfig) -> PrecisionConfig:
    return PrecisionConfig(
        params_dtype=config.precision.params_dtype,
        grad_reduce_in_fp32=config.precision.grad_reduce_in_fp32,
    )


def _without_transformer_engine(config: TrainingConfig) -> ExecutionConfig:
    execution = config.execution
    # Also computed in one pass over the logits, so that the same function is called.
    cross_entropy = "native" if execution.cross_entropy == "te" else execution.cross_entropy
    is_local = execution.attention_backend == "local"
    return dataclasses.replace(
        execution,
        gpu="cpu",
        cross_entropy=cross_entropy,
        gradient_accumulation_fusion=False,
        attention_backend="local" if is_local else "auto",
    )


def _differences(before: TrainingConfig, after: TrainingConfig) -> list[str]:
    lines = []
    for section in ("layout", "precision", "execution"):
        old, new = getattr(before, section), getattr(after, section)
        for field in dataclasses.fields(old):
            values = getattr(old, field.name), getattr(new, field.name)
            if values[0] != values[1]:
                lines.append(f"{field.name}: {shown(values[0])} -> {shown(values[1])}")
    if before.environment:
        lines.append(f"environment: {len(before.environment)} variables -> none")
    return lines
