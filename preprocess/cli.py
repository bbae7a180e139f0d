"""The command line `preprocess`: one subcommand a stage, in the order of the data."""

from __future__ import annotations

import os
import re
import sys
import traceback
from pathlib import Path
from typing import Annotated

import click
import typer
from rich.console import Console
from rich.table import Table

from preprocess import progress
from preprocess.errors import Misuse, UserError, describe_os_error
from preprocess.run_directory import DEFAULT_MEMORY_BYTES_PER_WORKER, RunOptions

app = typer.Typer(
    name="preprocess",
    help="Turn raw data into Megatron's indexed dataset, a stage at a time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help"]},
)

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

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)?", re.IGNORECASE)
UNITS = {
    "": 1, "b": 1,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip


@app.callback()
def _options(verbose: Verbose = False) -> None:
    """Options of every stage."""
    State.verbose |= verbose


class State:
    """What the command line said of itself."""

    verbose = False


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
    return int(float(match[1]) * UNITS[(match[2] or "").lower()])


@app.command()
def datasets() -> None:
    """List the datasets that `ingest` reads."""
    from preprocess.readers import READERS

    table = Table("dataset", "kind", "licence", "published", "one native record", "layout")
    for reader in READERS.values():
        table.add_row(
            reader.name, reader.kind, reader.license, reader.published, reader.unit, reader.layout
        )
    Console().print(table)


@app.command()
def ingest(
    inputs: Inputs,
    output: Output,
    dataset: Annotated[str, typer.Option(help="A name of `preprocess datasets`.")],
    text_field: Annotated[
        str | None, typer.Option(help="Field with the text, for `--dataset jsonl`.")
    ] = None,
    licenses: Annotated[
        str | None, typer.Option(help="Keep only these licences: SPDX names, commas between.")
    ] = None,
    max_rejected: MaxRejected = 0.05,
    workers: Workers = None,
    memory: Memory = None,
    task: Task = None,
    num_tasks: NumTasks = 1,
    verbose: Verbose = False,
) -> None:
    """Read a dataset's native files into records."""
    from preprocess.ingest import IngestConfig
    from preprocess.ingest import ingest as run
    from preprocess.readers import READERS

    State.verbose |= verbose
    if dataset not in READERS:
        raise Misuse(f"--dataset: expected one of {', '.join(READERS)}, got {dataset!r}")
    given = {} if text_field is None else {"text_field": text_field}
    for name in given.keys() - READERS[dataset].options.keys():
        raise Misuse(f"--{name.replace('_', '-')}: dataset {dataset} does not take it")
    config = IngestConfig(
        dataset=dataset,
        licenses=tuple(sorted(filter(None, (licenses or "").split(",")))),
        options={**READERS[dataset].options, **given},
    )
    options = run_options(workers, memory, task, num_tasks, max_rejected)
    finish("ingest", output, run(inputs, output, config, options))


def finish(stage: str, output: Path, manifest: object) -> None:
    """Say on standard error what a stage did."""
    from preprocess.summary import summarize

    print(summarize(stage, output, manifest), file=sys.stderr)


def main() -> None:
    """Run the command line; the exit status is 0 done, 1 failed, 2 misused."""
    stage = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    name = f"preprocess {stage}".rstrip()
    try:
        status = app(standalone_mode=False)
    except click.ClickException as error:
        fail(name, error.format_message(), 2)
    except Misuse as error:
        fail(name, str(error), 2)
    except (KeyboardInterrupt, click.Abort):
        fail(name, "interrupted; run the same command again to go on", 130)
    except BrokenPipeError:
        # Whoever read our output has enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        fail(name, describe_os_error(error), 1)
    except (UserError, ValueError) as error:
        fail(name, str(error), 1)
    sys.exit(status if isinstance(status, int) else 0)


def fail(name: str, message: str, status: int) -> None:
    """End with one line, and the traceback if it was asked for."""
    if State.verbose:
        traceback.print_exc()
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)
