"""The learning rate of every step, where one part of the schedule meets the next."""

import warnings
from typing import Any

import pytest

from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import apply_settings


class Optimizer:
    """What the scheduler asks of one."""

    def __init__(self) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": []}]


def learning_rates(settings: list[str], steps_done: int = 0) -> list[float]:
    """The rates of the steps that follow `steps_done`, from 1 to the last."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Megatron-Core warns of while it is imported
        from megatron_recipes.optimizer import build_scheduler

    config = apply_settings(find_recipe("tiny"), settings)
    optimizer, rates = Optimizer(), []
    scheduler = build_scheduler(config, optimizer, steps_done)
    for _ in range(steps_done, config.schedule.num_steps):
        scheduler.step(1)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


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


@pytest.mark.parametrize("steps_done", [1, 10, 11, 99])
def test_resumed_schedule_goes_on_as_the_unbroken_one(steps_done: int) -> None:
    assert learning_rates([], steps_done) == learning_rates([])[steps_done:]
