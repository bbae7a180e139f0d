"""A run as tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.in_memory import Row
    from benchmarks.targets import Target
    from benchmarks.to_disk import DiskRow


def show(rows: list[Row], disk: list[DiskRow], targets: list[Target]) -> None:
    """Print all tables of a run."""
    console = Console()
    console.print(in_memory(rows), to_disk(disk), judged(targets))


def in_memory(rows: list[Row]) -> Table:
    """Return every encoder on every corpus; a wrong one says so."""
    table = Table(title="in memory: MB of text per CPU-second, one thread")
    for column in ("tokenizer", "corpus", "encoder", "cold", "warm", "ids", "verdict"):
        table.add_column(column, justify="right" if column in ("cold", "warm", "ids") else "left")
    for row in rows:
        if row.failed is None:
            rates = (_number(row.rate(row.cold)), _number(row.rate(row.warm)))
            table.add_row(row.model, row.corpus, row.who, *rates, f"{row.ids:,}", verdict(row))
        elif row.corpus in ("web", "web slice"):
            table.add_row(row.model, row.corpus, row.who, "", "", "", row.failed[:60])
    return table


def verdict(row: Row) -> str:
    """Return whether the ids were the reference's."""
    if row.different:
        return f"WRONG: {row.different:,} of {row.documents:,} documents"
    return "exact" if row.is_exact else "no ids"


def to_disk(disk: list[DiskRow]) -> Table:
    """Return every way to disk."""
    table = Table(title="records to disk: MB of text per CPU-second, loading left out")
    for column in ("tokenizer", "corpus", "path", "rate", "result"):
        table.add_column(column, justify="right" if column == "rate" else "left")
    for row in disk:
        table.add_row(row.model, row.corpus, row.who, _number(row.rate), row.agreement)
    return table


def judged(targets: list[Target]) -> Table:
    """Return what was reached of what was wanted."""
    table = Table(title="targets")
    for column in ("figure", "tokenizer", "reached", "wanted", "met"):
        table.add_column(column, justify="right" if column in ("reached", "wanted") else "left")
    for target in targets:
        sign = "<=" if target.at_most else ">="
        wanted = "" if target.wanted is None else f"{sign} {target.wanted:g}"
        met = {None: "", True: "yes", False: "NO"}[target.is_met]
        what = f"{target.what} ({target.against})" if target.against else target.what
        table.add_row(what, target.model, f"{target.reached:.2f}", wanted, met)
    return table


def _number(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1f}"
