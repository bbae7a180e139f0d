"""Reading native data: which datasets there are, and records out of them."""

from pathlib import Path
from typing import Annotated

import typer

from preprocess.cli.options import (
    Inputs,
    MaxRejected,
    Memory,
    NumTasks,
    Output,
    State,
    Task,
    Verbose,
    Workers,
    run_options,
)
from preprocess.cli.output import finish, print_figures, say, terminal
from preprocess.errors import Misuse


def datasets(
    measure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RECORDS", help="Instead, count what these records can teach; repeatable."
        ),
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Counts tokens for --measure.")] = None,
    verbose: Verbose = False,
) -> None:
    """List the datasets that `ingest` reads, or measure a corpus."""
    from preprocess.dataset_tables import measurement_table, readers_table
    from preprocess.measure import measure as run

    State.verbose |= verbose
    if measure:
        found = run(measure, tokenizer)
        print_figures(measurement_table(found))
        if found.unreadable:
            say(f"preprocess datasets: {found.unreadable:,} lines are no records")
        return
    if tokenizer is not None:
        raise Misuse("--tokenizer: expected --measure RECORDS with it, whose tokens it counts")
    terminal().print(readers_table())


def ingest(
    inputs: Inputs,
    output: Output,
    dataset: Annotated[str, typer.Option(help="A name of `preprocess datasets`.")],
    text_field: Annotated[
        str | None, typer.Option(help="Field with the text, for `--dataset jsonl`.")
    ] = None,
    per: Annotated[
        str | None,
        typer.Option(help="What a document is, for text and api_docs: file (default) or line."),
    ] = None,
    licenses: Annotated[
        str | None,
        typer.Option(
            help="Keep only these licences: SPDX names, commas between, or any; default: all but "
            "those that forbid commercial use."
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Drop records that fail it: valid-calls; repeatable."),
    ] = None,
    max_rejected: MaxRejected = 0.05,
    workers: Workers = None,
    memory: Memory = None,
    task: Task = None,
    num_tasks: NumTasks = 1,
    verbose: Verbose = False,
) -> None:
    """Read a dataset's native files into records."""
    from preprocess.checks import REQUIREMENTS
    from preprocess.ingest import IngestConfig
    from preprocess.ingest import ingest as run
    from preprocess.licences import named as named_licences
    from preprocess.readers import READERS

    State.verbose |= verbose
    if dataset not in READERS:
        raise Misuse(f"--dataset: expected one of {', '.join(READERS)}, got {dataset!r}")
    if per not in (None, "file", "line"):
        raise Misuse(f"--per: expected file or line, got {per!r}")
    named = {"text_field": text_field, "per": per}
    given = {name: value for name, value in named.items() if value is not None}
    for name in given.keys() - READERS[dataset].options.keys():
        raise Misuse(f"--{name.replace('_', '-')}: dataset {dataset} does not take it")
    for name in require or ():
        if name not in REQUIREMENTS:
            raise Misuse(f"--require: expected one of {', '.join(REQUIREMENTS)}, got {name!r}")
    try:
        allowed = () if licenses is None else named_licences(licenses)
    except ValueError as error:
        raise Misuse(f"--licenses: {error}") from error
    config = IngestConfig(
        dataset=dataset,
        require=tuple(sorted(set(require or ()))),
        licenses=allowed,
        options={**READERS[dataset].options, **given},
    )
    options = run_options(workers, memory, task, num_tasks, max_rejected)
    finish("ingest", output, run(inputs, output, config, options))
