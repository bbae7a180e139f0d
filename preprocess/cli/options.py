"""What several commands take, and what becomes of it."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from preprocess import progress
from preprocess.errors import Misuse
from preprocess.run_options import DEFAULT_MEMORY_BYTES_PER_WORKER, RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

Inputs = Annotated[list[str], typer.Argument(help="Files, globs or directories.")]
Input = Annotated[str, typer.Argument(help="A file, a glob or a directory.")]
Output = Annotated[Path, typer.Argument(help="The directory to make.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Cores to use; default: all.")]
Memory = Annotated[
    str | None,
    typer.Option(help="What all processes may take, as 4GiB; default: 2GiB times workers."),
]
Task = Annotated[int | None, typer.Option(min=0, help="This task's number, from 0.")]
NumTasks = Annotated[int, typer.Option(min=1, help="How many tasks share the work.")]
MaxRejected = Annotated[
    float, typer.Option(min=0, max=1, help="Largest share of unreadable records.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show tracebacks.")]

STAGES = frozenset({"ingest", "dedup", "train-tokenizer", "tokenize", "merge", "blend", "report"})
"""What a plan may run."""

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)?", re.IGNORECASE)
UNITS = {
    "": 1, "b": 1,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip


LARGEST_SIZE = 1 << 60


class State:
    """What the command line said of itself."""

    verbose = False


@contextlib.contextmanager
def as_misuse() -> Iterator[None]:
    """Turn the refusal of an option's value into misuse of the command line."""
    try:
        yield
    except ValueError as error:
        raise Misuse(str(error)) from error


def run_options(
    workers: int | None,
    memory: str | None,
    task: int | None = None,
    num_tasks: int = 1,
    max_rejected: float = 0.05,
) -> RunOptions:
    """Return the run options of a command line.

    Raises:
        Misuse: They can never work together.
    """
    count = workers or len(os.sched_getaffinity(0))
    if task is not None and task >= num_tasks:
        raise Misuse(f"expected --task below --num-tasks {num_tasks}, got {task}")
    if task is None and num_tasks > 1:
        raise Misuse(f"expected --task with --num-tasks {num_tasks}: which of them is this?")
    return RunOptions(
        workers=count,
        memory_bytes=parse_size(memory) if memory else count * DEFAULT_MEMORY_BYTES_PER_WORKER,
        task=task,
        num_tasks=num_tasks,
        max_rejected=max_rejected,
        report=progress.report,
    )


def parse_size(text: str) -> int:
    """Return the bytes that a size stands for.

    Raises:
        Misuse: It is no size.

    >>> parse_size("256MiB")
    268435456
    """
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise Misuse(f"expected a size as 512MiB or 4GB, got {text!r}")
    size = float(match[1]) * UNITS[(match[2] or "").lower()]
    if not 1 <= size < LARGEST_SIZE:
        raise Misuse(f"expected a size from 1 byte to 1 EiB, got {text[:40]!r}")
    return int(size)
