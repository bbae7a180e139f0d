"""Progress on standard error: a bar on a terminal, a line every 30 seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.run_options import ProgressCallback

LINE_SECONDS = 30.0


@contextlib.contextmanager
def report(label: str, total_text_bytes: int | None) -> Iterator[ProgressCallback]:
    """Show how far a stage is; the callback takes records and bytes of text done so far."""
    if sys.stderr.isatty():
        with _bar(label, total_text_bytes) as callback:
            yield callback
    else:
        yield _lines(label, total_text_bytes)


@contextlib.contextmanager
def _bar(label: str, total: int | None) -> Iterator[ProgressCallback]:
    # Only here: a job without a terminal starts a third faster without rich.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[records]:,} records {task.fields[rate]:.1f} MB/s"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task(label, total=total, records=0, rate=0.0)

        def update(records: int, text_bytes: int) -> None:
            rate = text_bytes / 1e6 / max(time.monotonic() - started, 1e-3)
            bar.update(task, completed=text_bytes, records=records, rate=rate)

        yield update


def _lines(label: str, total: int | None) -> ProgressCallback:
    started = last = time.monotonic()

    def update(records: int, text_bytes: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_SECONDS:
            return
        last = now
        rate = text_bytes / (now - started)
        left = ""
        if total and rate > 0:
            left = f", {max(total - text_bytes, 0) / rate:.0f} s left"
        print(
            f"{label}: {records:,} records, {text_bytes / 1e6:,.0f} MB of text, "
            f"{rate / 1e6:.1f} MB/s{left}",
            file=sys.stderr,
            flush=True,
        )

    return update
