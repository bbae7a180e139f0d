"""What `show` says of 5,000 random configs: accepted and printed, or refused in one line."""

import collections
import re

from random_configs import DRAWS, Draw, accepted_layouts, draws, stratum

from megatron_recipes.config import cpu_twin
from megatron_recipes.config.checks import shown
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import SECTIONS, field_sections, parse_value

SEED = 7
NAMED = re.compile(r"(\w+) \(([^()]*)\)")


def stated_values(draw: Draw) -> dict[str, str]:
    """Every field with the value that the user would read, set or not."""
    config = find_recipe(draw.recipe)
    values = {
        name: getattr(getattr(config, section), name) for name, section in field_sections().items()
    }
    for setting in draw.settings:
        name, _, text = setting.partition("=")
        values[name] = parse_value(name, text, values[name])
    return {name: shown(value) for name, value in values.items()}


def test_random_configs_are_shown_or_refused_by_field_and_value() -> None:
    refusals: list[str] = []
    for draw in draws(SEED):
        try:
            draw.resolve()
        except ValueError as refusal:
            message, values = str(refusal), stated_values(draw)
            assert "\n" not in message
            named = NAMED.findall(message)
            assert any(values.get(name) == value for name, value in named), (message, draw)
            for name, value in named:
                assert values.get(name, value) == value, (message, draw)
            refusals.append(message)
    accepted = DRAWS - len(refusals)
    assert 0.2 * DRAWS < accepted < 0.8 * DRAWS, collections.Counter(refusals).most_common(20)
    # They do not all fail for one reason.
    kinds = {NAMED.sub(r"\1", re.sub(r"\d+", "", message)) for message in refusals}
    assert len(kinds) > 50


def test_layouts_of_every_stratum_have_a_twin_on_cpus() -> None:
    layouts = accepted_layouts(SEED, 100)
    strata = collections.Counter(map(stratum, layouts))
    # 24 ways to combine TP, PP, interleaving, CP and DP; all four need more than 8 processes.
    assert len(strata) == 22
    assert min(strata.values()) >= 3
    assert list(draws(SEED, 50)) == list(draws(SEED, 50))
    for config in layouts:
        twin, replaced = cpu_twin(config)
        assert twin.execution.gpu == "cpu"
        assert not twin.needs_transformer_engine
        for section in SECTIONS:
            if section not in ("layout", "precision", "execution"):
                assert getattr(twin, section) == getattr(config, section)
        assert twin.layout.world_size == config.layout.world_size
        assert bool(replaced) == (twin != config)
        again, nothing = cpu_twin(twin)
        assert (again, nothing) == (twin, ())
