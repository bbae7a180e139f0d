"""Part 5: a training that is stopped and resumed against one that is not; export, import again."""

from __future__ import annotations

import dataclasses
import json
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.cases import PRECISION_AWARE, TINY, one_gpu
from benchmarks.gpu.program import run_product
from benchmarks.gpu.report import SkippedError
from benchmarks.gpu.text import tokenizer_of
from benchmarks.gpu.training import train

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.gpu.options import Options
    from benchmarks.gpu.report import Report
    from megatron_recipes.config import TrainingConfig

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
    whole, broken = (options.work / "checkpoints" / name for name in ("whole", "broken"))
    unbroken = report.run("unbroken", partial(_train, config, whole, options))
    report.run("stopped", partial(_stop, config, broken, options))
    report.run("resumed", partial(_resume, config, broken, unbroken, options))
    exported = options.work / "checkpoints" / "hf"
    report.run("export", partial(_export, broken, exported, options))
    report.run("import of the export", partial(_import, exported, options))


def _train(config: TrainingConfig, directory: Path, options: Options) -> dict[str, Any]:
    shutil.rmtree(directory, ignore_errors=True)
    entries = train(config, directory, options)
    return {"losses": [entry["loss"] for entry in entries]}


def _stop(config: TrainingConfig, directory: Path, options: Options) -> dict[str, Any]:
    shutil.rmtree(directory, ignore_errors=True)
    schedule = dataclasses.replace(config.schedule, stop_at_step=STOP)
    entries = train(dataclasses.replace(config, schedule=schedule), directory, options)
    saved = directory / f"step_{STOP:07d}"
    size = sum(path.stat().st_size for path in saved.iterdir())
    return {
        "losses": [entry["loss"] for entry in entries],
        "checkpoint_bytes": size,
        "ok": len(entries) == STOP,
    }


def _resume(
    config: TrainingConfig, directory: Path, unbroken: dict[str, Any], options: Options
) -> dict[str, Any]:
    if not (directory / f"step_{STOP:07d}").exists():
        raise SkippedError("there is no checkpoint to resume from")
    entries = train(config, directory, options)
    losses = [entry["loss"] for entry in entries]
    gaps = [abs(a - b) for a, b in zip(losses, unbroken["losses"], strict=True)]
    limit = LIMIT if options.on_gpu else 0.0
    return {
        "losses": losses,
        "attempts": [entry["attempt"] for entry in entries],
        # Before the stop it is two runs of the same: what the GPU's order of sums makes.
        "largest_gap_before": max(gaps[:STOP]),
        "largest_gap_after": max(gaps[STOP:]),
        "limit": limit,
        "ok": max(gaps) <= limit,
    }


def _export(directory: Path, exported: Path, options: Options) -> dict[str, Any]:
    checkpoint = directory / f"step_{STEPS:07d}"
    if not checkpoint.exists():
        raise SkippedError("there is no checkpoint to export")
    shutil.rmtree(exported, ignore_errors=True)
    run_product(options, "convert", "export", checkpoint, exported)
    files = {path.name: path.stat().st_size for path in sorted(exported.iterdir())}
    architecture = json.loads((exported / "config.json").read_bytes())["architectures"]
    return {"files": files, "architectures": architecture}


def _import(exported: Path, options: Options) -> dict[str, Any]:
    if not (exported / "config.json").exists():
        raise SkippedError("there is no export")
    tokenizer = tokenizer_of(options)
    if tokenizer is None:
        raise SkippedError("no tokenizer.json lies beside the blend file")
    target = options.work / "checkpoints" / "imported"
    shutil.rmtree(target, ignore_errors=True)
    # It compares every tensor that it wrote with what it read.
    run_product(options, "convert", "import", exported, target, "--tokenizer", tokenizer)
    return {"files": len(list(target.rglob("*")))}
