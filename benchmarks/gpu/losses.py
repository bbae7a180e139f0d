"""The losses of a few steps of one training, in a process of its own.

    python -m benchmarks.gpu.losses CASE.json FOUND.json

The case: `settings` (recipe and `--set` arguments) and `num_steps`. Found: `losses`, `grad_norms`
and `active`. Sequences follow a rule that can be learned, so that losses fall and errors of the
gradients show: the next token is 5 t + 7 modulo 64, and one token in ten is any.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu.worlds import world_of_one
from megatron_recipes.own_process import die_with_parent
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import apply_settings

RULE_TOKENS, NOISE = 64, 0.1
PATIENCE = 300.0
"""Seconds a step may take."""


class RuleSequences:
    """Sequences that follow the rule, the same for the same number; every loss counts."""

    def __init__(self, config: Any) -> None:
        self._length, self._vocab_size = config.batch.sequence_length, config.model.vocab_size

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        generator = torch.Generator().manual_seed(index)
        tokens = [int(torch.randint(RULE_TOKENS, (1,), generator=generator))]
        for _ in range(self._length):
            tokens.append((5 * tokens[-1] + 7) % RULE_TOKENS)
        text = torch.tensor(tokens)
        noise = torch.randint(self._vocab_size, text.shape, generator=generator)
        text = torch.where(torch.rand(text.shape, generator=generator) < NOISE, noise, text)
        return {
            "tokens": text[:-1],
            "labels": text[1:],
            "loss_mask": torch.ones(self._length),
            "position_ids": torch.arange(self._length),
        }


def losses(settings: list[str], num_steps: int, logs: Path) -> dict[str, Any]:
    """Train as a world of one process; see the module."""
    recipe, *rest = settings
    config = apply_settings(find_recipe(recipe), [each for each in rest if each != "--set"])
    with world_of_one(config) as (world, chunks, optimizer):
        from megatron_recipes.active import require_active, require_chosen_attention
        from megatron_recipes.guards.hang import Watchdog
        from megatron_recipes.step import TrainStep

        active = require_active(config, chunks, optimizer)
        watchdog = Watchdog(logs, 0, ["here"], PATIENCE, lambda line, _first: print(line))
        step = TrainStep(config, world, RuleSequences(config), chunks, optimizer, watchdog)
        try:
            results = [step.run(number + 1, is_asked=False) for number in range(num_steps)]
        finally:
            watchdog.close()
        active += require_chosen_attention(config)
    return {
        "losses": [result.loss for result in results],
        "grad_norms": [result.grad_norm for result in results],
        "active": active,
    }


def main() -> None:
    die_with_parent()
    case, found = map(Path, sys.argv[1:])
    content = json.loads(case.read_bytes())
    with tempfile.TemporaryDirectory() as logs:
        result = losses(content["settings"], content["num_steps"], Path(logs))
    found.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
