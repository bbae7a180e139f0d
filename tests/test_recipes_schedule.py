"""The learning rate of every step, where one part of the schedule meets the next."""

import warnings
from typing import Any

import pytest

from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.regime import WSD_DECAY_STYLES
from megatron_recipes.learning_rate import learning_rate
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import apply_settings


class Optimizer:
    """What a scheduler asks of one."""

    def __init__(self) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": []}, {"params": [], "wd_mult": 0.0}]


def changed(settings: list[str]) -> TrainingConfig:
    return apply_settings(find_recipe("tiny"), settings)


def learning_rates(settings: list[str]) -> list[float]:
    config = changed(settings)
    return [learning_rate(config, step) for step in range(1, config.schedule.num_steps + 1)]


def megatron_rates(config: TrainingConfig) -> list[float]:
    """What Megatron-Core's scheduler sets, step by step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of while it is imported
        from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler

    given, optimizer, rates = config.optimization, Optimizer(), []
    scheduler = OptimizerParamScheduler(
        optimizer,
        init_lr=given.lr_warmup_init,
        max_lr=given.learning_rate,
        min_lr=given.min_learning_rate,
        lr_warmup_steps=given.lr_warmup_steps,
        lr_decay_steps=config.schedule.num_steps,
        lr_decay_style=given.lr_decay_style,
        start_wd=given.weight_decay,
        end_wd=given.weight_decay,
        wd_incr_steps=config.schedule.num_steps,
        wd_incr_style="constant",
        wsd_decay_steps=given.lr_wsd_decay_steps,
        lr_wsd_decay_style=given.lr_wsd_decay_style,
    )
    for _ in range(config.schedule.num_steps):
        scheduler.step(1)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


STYLES = {
    "constant": ["min_learning_rate=0"],
    "linear": [],
    "cosine": [],
    **{f"WSD {anneal}": [f"lr_wsd_decay_style={anneal}"] for anneal in WSD_DECAY_STYLES},
}


@pytest.mark.parametrize("warmup", ["0", "1", "17"])
@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_that_of_megatron_core(style: str, warmup: str) -> None:
    settings = [*STYLES[style], f"lr_warmup_steps={warmup}", f"lr_decay_style={style.split()[0]}"]
    settings += ["lr_wsd_decay_steps=30"] if style.startswith("WSD") else []
    settings += ["lr_warmup_init=0.0003"] if warmup != "0" else []
    assert learning_rates(settings) == pytest.approx(megatron_rates(changed(settings)), rel=1e-12)


def test_step_sets_rate_and_weight_decay_of_every_group() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Megatron-Core warns of while it is imported
        from megatron_recipes.optimizer import prepare_step
    optimizer = Optimizer()
    config = changed(["weight_decay=0.2"])
    assert prepare_step(config, optimizer, 5) == pytest.approx(1e-3)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(1e-3)] * 2
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]


def test_rewarming_begins_at_the_rate_it_is_given() -> None:
    rates = learning_rates(["lr_warmup_init=0.001", "lr_warmup_steps=4"])
    assert rates[:4] == pytest.approx([1.25e-3, 1.5e-3, 1.75e-3, 2e-3])


def test_rate_rises_to_its_highest_and_ends_at_its_lowest() -> None:
    rates = learning_rates(["lr_warmup_steps=10"])
    assert rates[0] == pytest.approx(2e-4)
    assert max(rates) == rates[9] == pytest.approx(2e-3)
    assert rates[54] == pytest.approx(1.1e-3)  # half of the cosine
    assert rates[99] == pytest.approx(2e-4)


def test_linear_decay_without_warm_up() -> None:
    rates = learning_rates(["lr_warmup_steps=0", "lr_decay_style=linear", "num_steps=10"])
    assert rates == pytest.approx([2e-3 - 1.8e-4 * step for step in range(1, 11)])


def test_wsd_stays_constant_until_its_last_steps() -> None:
    settings = ["lr_warmup_steps=2", "lr_decay_style=WSD", "lr_wsd_decay_steps=4", "num_steps=10"]
    rates = learning_rates(settings)
    assert rates[1:6] == pytest.approx([2e-3] * 5)
    assert rates[7] == pytest.approx(2e-4 + 1.8e-3 * (2 * 0.5**0.5 - 1))
    assert rates[9] == pytest.approx(2e-4)


def test_constant_rate_stays() -> None:
    settings = ["lr_warmup_steps=0", "lr_decay_style=constant", "min_learning_rate=0"]
    assert set(learning_rates(settings)) == {2e-3}
