"""What a command prints: tables on standard output, what it did on standard error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

LOG_COLUMNS = 160
"""Width of tables in a file, where nothing says how wide it may be."""


def terminal() -> Console:
    """Return what prints tables on stdout."""
    from rich.console import Console  # only here: most jobs print none, and start sooner without

    is_log = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=LOG_COLUMNS if is_log else None)


def print_figures(table: Table) -> None:
    """Print a table whose figures are whole, if need be in lines that a terminal has to wrap."""
    console = terminal()
    unbounded = console.options.update_width(1 << 16)
    needed = console.measure(table, options=unbounded).minimum
    console.width = max(console.width, needed)
    console.print(table)


def say(line: str) -> None:
    """Print a line on standard error at once."""
    print(line, file=sys.stderr, flush=True)


def finish(stage: str, output: Path, manifest: object) -> None:
    """Say on standard error what a stage did."""
    from preprocess.summary import summarize

    print(summarize(stage, output, manifest), file=sys.stderr)
