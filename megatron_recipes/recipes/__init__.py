"""The recipes by name. A new model is one file here and one line in `RECIPES`."""

from collections.abc import Callable

from megatron_recipes.config import TrainingConfig
from megatron_recipes.recipes.tiny import tiny

RECIPES: dict[str, Callable[[], TrainingConfig]] = {"tiny": tiny}


def find_recipe(name: str) -> TrainingConfig:
    """Return the config of a recipe, or raise ValueError listing those there are."""
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; expected one of: {', '.join(RECIPES)}")
    return RECIPES[name]()
