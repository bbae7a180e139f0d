"""A training on real text, through `megatron-recipes train`; what its metrics file says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.cases import arguments_of
from benchmarks.gpu.program import run_product
from benchmarks.gpu.text import text_of

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.gpu.options import Options
    from megatron_recipes.config import TrainingConfig


def train(config: TrainingConfig, directory: Path, options: Options) -> list[dict[str, Any]]:
    """Train, or resume, in `directory`; return the entries of its steps.

    Raises:
        ProgramError: It failed.
    """
    recipe, *settings = arguments_of(config)
    run_product(
        options, "train", recipe, *settings, "--blend", text_of(options).blend, "--checkpoint-dir",
        directory, logs=directory / "logs",
    )  # fmt: skip
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == "step"]
