"""Trainings of a few seconds in forked worlds, for the tests of checkpoints."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forked_world import run_world

from megatron_recipes.job import Job, make_job

SMALL = (
    "hidden_size=64",
    "ffn_hidden_size=128",
    "kv_channels=16",
    "sequence_length=64",
    "micro_batch_size=1",
    "num_steps=100",
    "lr_warmup_steps=5",
    "evaluation_sequences=4",
    "keep_checkpoints=2",
)
"""A step takes some 20 ms on one core."""


def small_job(blend: Path, directory: Path, *settings: str, start_from: Path | None = None) -> Job:
    """Return a training of a small model."""
    chosen = dict(setting.split("=") for setting in (*SMALL, *settings))
    job = make_job(
        "tiny",
        blend=blend,
        checkpoint_dir=directory,
        start_from=start_from,
        settings=[f"{name}={value}" for name, value in chosen.items()],
    )
    job.run.prepare(job.identity())
    return job


def train(job: Job) -> list[str]:
    """Train to the end; return the lines told."""
    world_size = job.config.layout.world_size
    return run_world(_train_rank, world_size, job, timeout_seconds=600)[0]


def _train_rank(job: Job) -> list[str]:
    from megatron_recipes.stop import StopRequest
    from megatron_recipes.train import train

    pids = job.run.path / "logs"
    pids.mkdir(exist_ok=True)
    (pids / f"{os.getpid()}.pid").touch()
    lines: list[str] = []
    train(job, StopRequest(), 1, lines.append)
    return lines


def signal_when(
    job: Job, number: int, condition: Callable[[], bool], *, num_ranks: int | None = None
) -> threading.Thread:
    """Send a signal to the processes of a training, or to the first few, once a condition holds."""
    for file in (job.run.path / "logs").glob("*.pid"):
        file.unlink()

    def watch() -> None:
        while not condition():
            time.sleep(0.0005)
        for file in sorted((job.run.path / "logs").glob("*.pid"))[:num_ranks]:
            try:
                os.kill(int(file.stem), number)
            except ProcessLookupError:
                continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def steps(directory: Path) -> dict[int, tuple[float, float]]:
    """Return loss and gradient norm of every step in the metrics file."""
    entries = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return {
        entry["step"]: (entry["loss"], entry["grad_norm"])
        for entry in entries
        if entry["kind"] == "step"
    }


def tensors(checkpoint: Path) -> dict[str, str]:
    """Return the digest of every tensor of a checkpoint: weights, master weights and moments."""
    return run_world(_tensors, 1, checkpoint)[0]


def _tensors(checkpoint: Path) -> dict[str, str]:
    import torch
    from torch.distributed.checkpoint import FileSystemReader, load
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    reader = FileSystemReader(checkpoint)
    content = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in reader.read_metadata().state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    load(content, storage_reader=reader, no_dist=True)
    return {
        name: hashlib.sha256(tensor.view(torch.uint8).numpy()).hexdigest()
        for name, tensor in content.items()
    }


def is_sound(checkpoint: Path) -> bool:
    """Whether every file of a checkpoint has the digest that it says."""
    state: dict[str, Any] = json.loads((checkpoint / "checkpoint.json").read_bytes())
    names = {file.name for file in checkpoint.iterdir()} - {"checkpoint.json"}
    return names == set(state["sha256"]) and all(
        hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == digest
        for name, digest in state["sha256"].items()
    )
