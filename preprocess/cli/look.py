"""Looking at what was made: a page, one record's way, one file."""

from pathlib import Path
from typing import Annotated

import typer

from preprocess.cli.options import State, Verbose, as_misuse
from preprocess.cli.output import say, terminal
from preprocess.errors import Misuse


def report(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="A plan's directory.")],
    output: Annotated[Path, typer.Argument(help="A directory, or an .html file.")],
    verbose: Verbose = False,
) -> None:
    """Draw one page of what a plan's run did."""
    from preprocess.report import report as run

    State.verbose |= verbose
    say(f"preprocess report: {run(run_directory, output)}")


def explain(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The id of a record.")],
    run_directory: Annotated[
        Path, typer.Argument(metavar="RUN", help="A plan's directory, or that of one stage.")
    ],
    verbose: Verbose = False,
) -> None:
    """Say what became of a record at every stage, and why."""
    from preprocess.explain import explain as run

    State.verbose |= verbose
    for note in run(identifier, run_directory, terminal()):
        say(f"preprocess explain: {note}")


def inspect_path(
    path: Annotated[Path, typer.Argument(help="A directory, a record file or a prefix.")],
    record: Annotated[int | None, typer.Option(min=0, help="Show this one, from 0.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Decode documents with it.")] = None,
    clusters: Annotated[
        int | None, typer.Option(min=1, help="Show so many of the largest clusters of a dedup.")
    ] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="Show the record as this template renders it.")
    ] = None,
    train_roles: Annotated[
        str, typer.Option(help="Whose turns are trained, as assistant,tool.")
    ] = "assistant",
    verbose: Verbose = False,
) -> None:
    """Show a manifest, a record, a document decoded, or clusters of duplicates."""
    from preprocess.chat.roles import parse_roles
    from preprocess.inspect import clusters as show_clusters
    from preprocess.inspect import inspect, rendered

    State.verbose |= verbose
    if clusters is not None:
        if record is not None or tokenizer is not None or chat_template is not None:
            raise Misuse(
                "expected --clusters alone, got it with --record, --tokenizer or --chat-template"
            )
        show_clusters(path, clusters, terminal())
        return
    if chat_template is not None:
        if tokenizer is None:
            raise Misuse("expected --tokenizer with --chat-template, which makes tokens, got none")
        with as_misuse():
            roles = parse_roles(train_roles)
        rendered(path, record or 0, chat_template, tokenizer, roles, terminal())
        return
    if train_roles != "assistant":
        raise Misuse("expected --train-roles with --chat-template, got it alone")
    inspect(path, record, tokenizer, terminal())
