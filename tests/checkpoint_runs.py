"""Trainings of a few seconds in forked worlds, for the tests of checkpoints."""

import contextlib
import hashlib
import json
import os
import threading
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


class Watcher:
    """Sends a signal to the processes of a training once a condition holds."""

    def __init__(
        self,
        job: Job,
        number: int,
        condition: Callable[[], bool],
        *,
        num_ranks: int | None = None,
    ) -> None:
        """Begin to watch; only the first few processes get the signal if `num_ranks` says so."""
        self._pids = job.run.path / "logs"
        self._number, self._condition, self._num_ranks = number, condition, num_ranks
        self._is_over = threading.Event()
        self.has_fired = False
        """Whether the condition held before `close`."""
        for file in self._pids.glob("*.pid"):
            file.unlink()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._condition():
            if self._is_over.wait(0.0005):
                return
        self.has_fired = True
        for file in sorted(self._pids.glob("*.pid"))[: self._num_ranks]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(file.stem), self._number)

    def close(self) -> None:
        """Watch no longer."""
        self._is_over.set()
        self._thread.join()


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
