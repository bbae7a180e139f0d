"""What a sweep tries: settings of the asked kinds that the checks accept and the memory holds."""

import itertools
from collections.abc import Sequence
from typing import Any

from megatron_recipes.config import TrainingConfig
from megatron_recipes.estimate.layouts import estimate_config, layout_fields
from megatron_recipes.memory import check_memory
from megatron_recipes.settings import with_fields

KINDS = ("layout", "micro_batch", "recompute")
MICRO_BATCHES = (1, 2, 4)
MOST_TRIED = 12
"""Configs that are run, on a GPU those that the estimate says are fastest; a sweep that finds more
says so."""


def sweep_configs(
    config: TrainingConfig, kinds: Sequence[str]
) -> tuple[list[TrainingConfig], int, int]:
    """Return the configs to run, how many were refused by memory, and how many are left out.

    Raises:
        ValueError: A kind is none, or nothing fits.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ValueError(f"--sweep takes some of {','.join(KINDS)}, not {','.join(kinds)!r}")
    choices: list[list[dict[str, Any]]] = [
        _choices(config, kind) if kind in kinds else [{}] for kind in KINDS
    ]
    accepted: list[TrainingConfig] = []
    too_large = 0
    for changes in itertools.product(*choices):
        fields = {name: value for change in changes for name, value in change.items()}
        try:
            tried = with_fields(config, **fields)
        except ValueError:
            continue
        try:
            check_memory(tried)
        except ValueError:
            too_large += 1
            continue
        if tried not in accepted:
            accepted.append(tried)
    if not accepted:
        raise ValueError(
            f"--sweep {','.join(kinds)}: none of its settings fits the GPU's memory "
            f"({too_large} were tried); start from a recipe with more GPUs"
        )
    if config.needs_gpu:
        accepted.sort(key=lambda tried: estimate_config(tried).step.seconds)
    return accepted[:MOST_TRIED], too_large, len(accepted[MOST_TRIED:])


def _choices(config: TrainingConfig, kind: str) -> list[dict[str, Any]]:
    if kind == "micro_batch":
        return [{"micro_batch_size": size} for size in MICRO_BATCHES]
    if kind == "recompute":
        nothing = {"recompute_method": "none", "recompute_num_layers": 0, "recompute_modules": ""}
        return [
            nothing | {"recompute_granularity": "none"},
            nothing | {"recompute_granularity": "selective", "recompute_modules": "core_attn"},
            nothing
            | {
                "recompute_granularity": "full",
                "recompute_method": "uniform",
                "recompute_num_layers": 1,
            },
        ]
    return list(layout_fields(config, config.layout.world_size, chunks=(1,)))
