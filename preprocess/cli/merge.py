"""What a training reads: one dataset out of shards, and the file that weighs several."""

from pathlib import Path
from typing import Annotated

import typer

from preprocess import progress
from preprocess.cli.options import State, Verbose
from preprocess.cli.output import say
from preprocess.errors import Misuse


def merge(
    tokens: Annotated[Path, typer.Argument(help="A directory of shards.")],
    prefix: Annotated[Path, typer.Argument(help="The path of the new dataset without .bin.")],
    series: Annotated[str, typer.Option(help="part or valid.")] = "part",
    verbose: Verbose = False,
) -> None:
    """Join the shards of a directory into one .bin/.idx, and prove it."""
    from preprocess.merge import merge as run

    if series not in ("part", "valid"):
        raise Misuse(f"--series: expected part or valid, got {series!r}")
    State.verbose |= verbose
    with progress.report("merge", None) as update:
        merged = run(tokens, prefix, update, series)
    say(
        f"preprocess merge: {merged.documents:,} documents, {merged.tokens:,} tokens -> "
        f"{prefix}.bin, moved by {merged.moved_by} and read back"
    )


def blend(
    parts: Annotated[list[str], typer.Argument(help="GROUP=TOKENS:WEIGHT ..., then OUTPUT.")],
    verbose: Verbose = False,
) -> None:
    """Write the blend file that training reads: blend agent=TOKENS:0.36 ... OUTPUT."""
    from preprocess.blend import PartArgument
    from preprocess.blend import blend as run

    State.verbose |= verbose
    *given, output = parts
    if not given or "=" in output:
        raise Misuse("expected GROUP=TOKENS:WEIGHT ... OUTPUT, the last one is the file to write")
    run([PartArgument.parse(part) for part in given], Path(output))
    say(f"preprocess blend: {len(given)} group{'s'[: len(given) > 1]} -> {output}")
