"""The recipes by name. A new model is one file here and one line in `MODELS`.

A published model's recipe is a function of stage, GPU and precision; each combination has a name,
`MODEL[_stage2|_stage3][_h200][_fp8]`: without suffixes stage 1 on H100 in BF16.
"""

import difflib
import functools
import itertools
from collections.abc import Callable

from megatron_recipes.config import TrainingConfig
from megatron_recipes.recipes.continual import (
    GPU_NAMES,
    PRECISIONS,
    STAGES,
    Recipe,
    variant_name,
)
from megatron_recipes.recipes.llama3 import llama3_8b, llama3_70b
from megatron_recipes.recipes.mistral import mistral_7b
from megatron_recipes.recipes.qwen2_5 import qwen2_5_7b
from megatron_recipes.recipes.tiny import tiny

MODELS: tuple[Recipe, ...] = (llama3_8b, llama3_70b, mistral_7b, qwen2_5_7b)

RECIPES: dict[str, Callable[[], TrainingConfig]] = {"tiny": tiny} | {
    variant_name(model.__name__, stage, gpu, precision): functools.partial(
        model, stage=stage, gpu=gpu, precision=precision
    )
    for model, stage, gpu, precision in itertools.product(MODELS, STAGES, GPU_NAMES, PRECISIONS)
}


def find_recipe(name: str) -> TrainingConfig:
    """Return the config of a recipe, or raise ValueError naming those that are near."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        models = ", ".join(model.__name__ for model in MODELS)
        raise ValueError(
            f"there is no recipe {name!r}; {hint}expected tiny, or one of {models}, which may end "
            "in _stage2 or _stage3, _h200, _fp8, in this order"
        )
    return RECIPES[name]()


def recipe_list() -> str:
    """Return the recipes as `list` prints them: a line for each model, then the variants."""
    width = max(len(model.__name__) for model in MODELS)
    lines = [f"{'tiny':{width}}  {tiny().description}"]
    lines += [f"{model.__name__:{width}}  {model().description}" for model in MODELS]
    lines += [
        "",
        "Each but tiny also as NAME[_stage2|_stage3][_h200][_fp8], in this order:",
        f"  _stage2  the {STAGES[2]}, lower learning rate; --from the checkpoint of stage 1",
        f"  _stage3  {STAGES[3]}: conversations with masks, packed; --from that of stage 2",
        f"  _h200    on {GPU_NAMES['h200']} instead of {GPU_NAMES['h100']}",
        "  _fp8     FP8 products instead of BF16",
    ]
    return "\n".join(lines)
