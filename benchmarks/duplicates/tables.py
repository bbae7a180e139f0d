"""A run as tables on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.duplicates.truth import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.duplicates.end_to_end import Row
    from benchmarks.duplicates.growth import Grown, Script
    from benchmarks.duplicates.same_bytes import Same
    from benchmarks.targets import Target


WIDTH = 120
"""Of the tables where there is no terminal."""

TEXTS = ("who", "corpus", "format", "script", "run", "different", "figure", "met")
"""Columns that are no numbers."""


def show(
    rows: list[Row],
    grown: list[Grown],
    scripts: list[Script],
    same: list[Same],
    targets: list[Target],
) -> None:
    """Print all tables of a run."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(speed(rows), removals(rows))
    for row in rows:
        if row.failed:
            console.print(f"{row.who}: not measured: {row.failed}", markup=False)
    console.print(
        _table(
            "a longer corpus, bounded memory",
            ("times", "records", "MB", "CPU-s", "s", "MB at most", "removed"),
            (
                (
                    f"{each.factor}",
                    f"{each.records:,}",
                    f"{each.text_bytes / 1e6:.0f}",
                    f"{each.cpu_seconds:.2f}",
                    f"{each.wall_seconds:.2f}",
                    f"{each.peak_bytes / 1e6:.0f}",
                    f"{each.removed:,}",
                )
                for each in grown
            ),
        )
    )
    console.print(
        _table(
            "the same records in other scripts, MB of text per CPU-second",
            ("script", "MB", "rate"),
            ((each.name, f"{each.text_bytes / 1e6:.1f}", f"{each.rate:.1f}") for each in scripts),
        )
    )
    console.print(
        _table(
            "files that differ from those of one worker",
            ("run", "files", "different"),
            ((each.how, f"{each.files}", ", ".join(each.different) or "none") for each in same),
        )
    )
    console.print(judged(targets))


def speed(rows: list[Row]) -> Table:
    """Return what every way from records to survivors took."""
    return _table(
        "records to survivors, starting left out of the times",
        ("who", "corpus", "format", "MB/CPU-s", "CPU-s", "s", "MB at most", "MB written"),
        (
            (
                _name(row),
                row.corpus,
                row.format,
                number(row.rate),
                f"{row.cpu_seconds:.2f}",
                f"{row.wall_seconds:.2f}",
                f"{row.peak_bytes / 1e6:.0f}",
                f"{row.output_bytes / 1e6:.0f}",
            )
            for row in rows
            if not row.failed
        ),
    )


def removals(rows: list[Row]) -> Table:
    """Return what every way removed, held against brute force."""
    return _table(
        "removed records, those without a kept one so similar, recall of pairs",
        ("who", "corpus", "removed", *(f"none at {level}" for level in LEVELS), "recall"),
        (
            (
                _name(row),
                row.corpus,
                f"{row.removed:,}",
                *(f"{row.alone[level]:,}" for level in LEVELS),
                f"{row.recall:.4f}",
            )
            for row in rows
            if not row.failed
        ),
    )


def _name(row: Row) -> str:
    return f"{row.who}, {row.simd}" if row.simd else row.who


def number(rate: float) -> str:
    """Return a rate with three digits."""
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"


def judged(targets: list[Target]) -> Table:
    """Return what was reached of what was wanted."""
    met = {None: "", True: "yes", False: "NO"}
    return _table(
        "targets",
        ("figure", "reached", "wanted", "met"),
        (
            (
                f"{target.what} ({target.against})" if target.against else target.what,
                f"{target.reached:.4g}",
                wanted(target),
                met[target.is_met],
            )
            for target in targets
        ),
    )


def wanted(target: Target) -> str:
    """Return what a figure is to be."""
    if target.wanted is None:
        return ""
    return f"{'<=' if target.at_most else '>='} {target.wanted:g}"


def _table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column in TEXTS else "right")
    for row in rows:
        table.add_row(*row)
    return table
