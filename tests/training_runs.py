"""Trainings of a small model in forked worlds, with something wrong in one of them on purpose."""

import gc
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard
from forked_world import run_world

from megatron_recipes.job import Job

Outcome = tuple[list[str], str, Any]
"""The lines told on a rank, the error that ended it, or "", and what the sabotage found."""


def write_ids(blend: Path) -> None:
    """Write the ids of the records that the training parts of a blend were made of."""
    for index in blend.parent.glob("*/part-*.idx"):
        prefix = index.with_suffix("")
        documents = json.loads(index.with_suffix(".json").read_bytes())["documents"]
        lines = [f"{index.parent.name}_{n % 3}/{prefix.name}.json#{n}\n" for n in range(documents)]
        ids = "".join(lines)
        frames = [ids[: len(ids) // 2], ids[len(ids) // 2 :]]  # shards are frames, one by one
        stored = b"".join(zstandard.compress(frame.encode()) for frame in frames)
        Path(f"{prefix}.ids.zst").write_bytes(stored)


def attempt(number: int, job: Job, sabotage: Callable[..., Any], *arguments: Any) -> list[Outcome]:
    """Train with `sabotage(training, *arguments)` called on every rank before the first step."""
    return run_world(_train, job.config.layout.world_size, job, number, sabotage, arguments)


def _train(job: Job, number: int, sabotage: Callable[..., Any], arguments: tuple[Any]) -> Outcome:
    from megatron_recipes import train
    from megatron_recipes.stop import StopRequest

    job.run.log(number, 0).parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    found: list[Any] = [None]

    class Sabotaged(train.Training):
        def run(self) -> None:
            found[0] = sabotage(self, *arguments)
            super().run()

    train.Training = Sabotaged  # type: ignore[misc]
    try:
        train.train(job, StopRequest(), number, lines.append)
    except FloatingPointError as error:
        return lines, str(error), found[0]
    return lines, "", found[0]


def nothing(_training: Any) -> None:
    """Leave the training as it is."""


def lose_sample(training: Any, sample: int) -> None:
    """Make the loss of one sample no number, whenever it is read."""
    _change(training, {sample}, "loss_mask", math.nan)


def surprise(training: Any, samples: set[int], token: int) -> None:
    """Put a token that the data has not where some samples' labels are: their loss leaps up."""
    _change(training, samples, "labels", token)


def _change(training: Any, samples: set[int], key: str, value: float) -> None:
    dataset = training.datasets.train

    class Changed:
        def __len__(self) -> int:
            return len(dataset)

        def __getitem__(self, index: int) -> dict[str, Any]:
            sequence: dict[str, Any] = dataset[index]
            if index in samples:
                sequence[key] = sequence[key].clone().fill_(value)
            return sequence

    training.train_step._dataset = Changed()


def slow_rank(training: Any, rank: int, seconds: float) -> None:
    """Let one rank take longer to read every sequence."""
    if training.world.rank != rank:
        return
    dataset = training.datasets.train

    class Slow:
        def __len__(self) -> int:
            return len(dataset)

        def __getitem__(self, index: int) -> Any:
            time.sleep(seconds)
            return dataset[index]

    training.train_step._dataset = Slow()


def watch_collections(training: Any) -> list[tuple[int, bool]]:
    """Note at which step Python's garbage is collected, and whether anyone asked for that."""
    noted: list[tuple[int, bool]] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            noted.append((training.step, info["generation"] == 2))

    gc.callbacks.append(note)
    return noted


def meeting_place(job: Job) -> str:
    """Return where the watchdog of a rank leaves its report; rank 0 began more often than 1."""
    import os

    from megatron_recipes import train
    from megatron_recipes.guards import hang, watch
    from megatron_recipes.stop import StopRequest

    found: list[str] = []

    class Noted(hang.Watchdog):
        def __init__(self, directory: Path, *arguments: Any) -> None:
            found.append(str(directory))
            super().__init__(directory, *arguments)

    vars(watch)["Watchdog"] = Noted
    train.train(job, StopRequest(), 7 - int(os.environ["RANK"]), print)
    return found[0]
