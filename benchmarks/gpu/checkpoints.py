"""Part 5: a training that is stopped and resumed against one that is not; export, import again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.cases import PRECISION_AWARE, TINY, arguments_of, one_gpu
from benchmarks.gpu.program import run_product
from benchmarks.gpu.text import text_of
from benchmarks.gpu.training import train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.gpu.options import Options
    from benchmarks.gpu.report import Report
    from megatron_recipes.config import TrainingConfig

    Step = tuple[str, Callable[[], dict[str, Any]], Callable[[], bool]]
    """Its name, what does it, and whether what it made lies on this machine."""

STOP, STEPS = 3, 6
LIMIT = 0.02
"""Of a step's loss: on a GPU sums are taken in another order each time."""

FOUR_LAYERS: dict[str, Any] = {
    "num_layers": 4,
    "hidden_size": 2048,
    "ffn_hidden_size": 7168,
    "num_attention_heads": 16,
    "num_query_groups": 4,
    "kv_channels": 128,
    "vocab_size": 0,  # the text's
    "sequence_length": 2048,
    "micro_batch_size": 1,
    "global_batch_size": 4,
    "num_steps": STEPS,
    "lr_warmup_steps": 2,
    "checkpoint_interval": STEPS,
    "max_epochs": 8.0,
    "evaluation_sequences": 4,
    "keep_every": 0,
    "loss_spike_factor": 0.0,
}


def checkpoints(report: Report, options: Options) -> None:
    """Train in one go; train in two; export and import what came of it."""
    fields = FOUR_LAYERS | PRECISION_AWARE
    if options.tiny:
        fields |= {**TINY, "vocab_size": 0}
    config = one_gpu(options, **fields)
    text = report.run("text", lambda: text_of(options).figures(), again=True)
    inputs = text.get("digest", "")
    key = hashlib.sha256(repr((arguments_of(config), inputs)).encode()).hexdigest()[:16]
    directory = options.work / "checkpoints" / key
    whole, broken, exported = (directory / name for name in ("whole", "broken", "hf"))
    stopped, resumed = _saved(broken, STOP), _saved(broken, STEPS)
    unbroken = report.run("unbroken", partial(_train, config, whole, options), inputs=inputs)
    steps: tuple[Step, ...] = (
        (
            "stopped",
            partial(_stop, config, broken, options),
            # What was resumed before would say so again, without training.
            lambda: stopped.exists() and not resumed.exists(),
        ),
        ("resumed", partial(_resume, config, broken, unbroken, options), resumed.exists),
        ("export", partial(_export, broken, exported, options), _config_of(exported).exists),
        ("import of the export", partial(_import, exported, options), lambda: True),
    )
    again = to_make_again(report, steps)
    for name, function, _ in steps:
        report.run(name, function, inputs=inputs, again=name in again)


def to_make_again(report: Report, steps: tuple[Step, ...]) -> set[str]:
    """Return what was done, on another machine, say, and whose files are needed now."""
    again: set[str] = set()
    is_needed = False
    for name, _, is_there in reversed(steps):
        was_done = report.holds(name)
        is_lost = was_done and is_needed and not is_there()
        if is_lost:
            again.add(name)
        is_needed = is_lost or not was_done
    return again


def _config_of(exported: Path) -> Path:
    return exported / "config.json"


def _saved(directory: Path, step: int) -> Path:
    return directory / f"step_{step:07d}"


def _train(config: TrainingConfig, directory: Path, options: Options) -> dict[str, Any]:
    shutil.rmtree(directory, ignore_errors=True)
    entries = train(config, directory, options)
    return {
        "settings": arguments_of(config),
        "losses": [entry["loss"] for entry in entries],
        "ok": len(entries) == STEPS,
    }


def _stop(config: TrainingConfig, directory: Path, options: Options) -> dict[str, Any]:
    shutil.rmtree(directory, ignore_errors=True)
    schedule = dataclasses.replace(config.schedule, stop_at_step=STOP)
    entries = train(dataclasses.replace(config, schedule=schedule), directory, options)
    saved = _saved(directory, STOP)
    size = sum(path.stat().st_size for path in saved.iterdir())
    return {
        "losses": [entry["loss"] for entry in entries],
        "checkpoint_bytes": size,
        "ok": len(entries) == STOP,
    }


def _resume(
    config: TrainingConfig, directory: Path, unbroken: dict[str, Any], options: Options
) -> dict[str, Any]:
    if "losses" not in unbroken:
        raise LookupError("the unbroken training has no losses to compare with: see why above")
    saved = _saved(directory, STOP)
    if not saved.exists():
        raise FileNotFoundError(f"{saved}: expected a checkpoint to resume from, found none")
    entries = train(config, directory, options)
    losses = [entry["loss"] for entry in entries]
    gaps = [abs(a - b) for a, b in zip(losses, unbroken["losses"], strict=True)]
    limit = LIMIT if options.on_gpu else 0.0
    attempts = [entry["attempt"] for entry in entries]
    return {
        "losses": losses,
        "attempts": attempts,
        # Before the stop it is two runs of the same: what the GPU's order of sums makes.
        "largest_gap_before": max(gaps[:STOP]),
        "largest_gap_after": max(gaps[STOP:]),
        "limit": limit,
        # Numbers that are none are not within it.
        "ok": all(gap <= limit for gap in gaps) and attempts[STOP - 1] < attempts[STOP],
    }


def _export(directory: Path, exported: Path, options: Options) -> dict[str, Any]:
    checkpoint = _saved(directory, STEPS)
    if not checkpoint.exists():
        raise FileNotFoundError(f"{checkpoint}: expected a checkpoint to export, found none")
    shutil.rmtree(exported, ignore_errors=True)
    run_product(options, "convert", "export", checkpoint, exported)
    files = {path.name: path.stat().st_size for path in sorted(exported.iterdir())}
    architecture = json.loads(_config_of(exported).read_bytes())["architectures"]
    return {"file_bytes": files, "architectures": architecture}


def _import(exported: Path, options: Options) -> dict[str, Any]:
    if not _config_of(exported).exists():
        raise FileNotFoundError(f"{exported}: expected an export, found none")
    text = text_of(options)
    tokenizer = text.tokenizer
    if tokenizer is None:
        raise FileNotFoundError(
            f"{text.blend.parent}: expected the tokenizer's file, tokenizer.json, beside the blend "
            "file, found none"
        )
    target = options.work / "checkpoints" / "imported"
    shutil.rmtree(target, ignore_errors=True)
    # It compares every tensor that it wrote with what it read.
    run_product(options, "convert", "import", exported, target, "--tokenizer", tokenizer)
    return {"num_files": len(list(target.rglob("*")))}
