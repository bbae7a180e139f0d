"""The trainings of this benchmark: recipes for one GPU, and for a CPU where there is none."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from megatron_recipes.config.cpu_twin import cpu_twin
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import SECTIONS, with_fields

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options
    from megatron_recipes.config import TrainingConfig

RECIPE = "llama3_8b_h200"

ONE_GPU: dict[str, Any] = {
    # One replica has nothing to overlap with.
    "data_parallel_size": 1,
    "overlap_grad_reduce": False,
    "overlap_param_gather": False,
}

PRECISION_AWARE: dict[str, Any] = {
    # 10 bytes a parameter: weights 2, gradients 2, lower half of the master 2, moments 2 + 2.
    "grad_reduce_in_fp32": False,
    "use_precision_aware_optimizer": True,
    "main_grads_dtype": "bfloat16",
    "exp_avg_dtype": "bfloat16",
    "exp_avg_sq_dtype": "bfloat16",
}

FP8: dict[str, Any] = {"fp8": "hybrid", "fp8_recipe": "tensorwise"}

TINY: dict[str, Any] = {
    # Every width a multiple of 128, as FP8 in blocks wants it.
    "num_layers": 2,
    "hidden_size": 128,
    "ffn_hidden_size": 256,
    "num_attention_heads": 4,
    "num_query_groups": 2,
    "kv_channels": 32,
    "vocab_size": 512,
    "sequence_length": 128,
    "micro_batch_size": 1,
    "global_batch_size": 2,
}


def one_gpu(options: Options, **fields: Any) -> TrainingConfig:
    """Return the recipe on one GPU with `fields`; without a GPU its CPU twin.

    Raises:
        ValueError: The config is refused.
    """
    config = with_fields(find_recipe(RECIPE), **(ONE_GPU | fields))
    if options.tiny:
        keep = {name: value for name, value in TINY.items() if name != "vocab_size"}
        keep["vocab_size"] = fields.get("vocab_size", TINY["vocab_size"])
        config = with_fields(config, **keep)
    return config if options.on_gpu else cpu_twin(config)[0]


def arguments_of(config: TrainingConfig) -> list[str]:
    """Return recipe and `--set` arguments that make `config` on the command line."""
    base, arguments = find_recipe(config.recipe), [config.recipe]
    for section in SECTIONS:
        before, after = getattr(base, section), getattr(config, section)
        for field in dataclasses.fields(before):
            value = getattr(after, field.name)
            if value != getattr(before, field.name):
                text = str(value).lower() if isinstance(value, bool) else str(value)
                arguments += ["--set", f"{field.name}={text}"]
    return arguments
