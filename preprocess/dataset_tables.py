"""The tables of `preprocess datasets`: what can be read, and what a corpus holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from preprocess.explain.show import VISIBLE
from preprocess.measure import CAPABILITIES, Measured
from preprocess.readers.registry import BENCHMARKS, READERS

if TYPE_CHECKING:
    from preprocess.measure import Measurement


HEADINGS = ("code", "lang.", "traj.", "docs", "call", "steps", "refine", "turns")
"""What stands above the capabilities, in their order: the whole words would not fit."""


def readers_table() -> Table:
    """Return a row for each dataset that `ingest` reads."""
    table = Table(box=box.SQUARE)
    for heading in ("dataset", "kind"):
        table.add_column(heading, no_wrap=True)  # on a narrow terminal a name must stay one
    for heading in ("licence", "published", "one native record", "layout"):
        table.add_column(heading, overflow="fold")
    for name, reader in READERS.items():
        kind = "benchmark" if name in BENCHMARKS else reader.kind
        table.add_row(name, kind, reader.license, reader.published, reader.unit, reader.layout)
    return table


def measurement_table(found: Measurement) -> Table:
    """Return a row for each source of a corpus, with shares of its records, and one for all."""
    table = Table(box=box.SQUARE)
    table.add_column("source", no_wrap=True)
    for heading in ("records", "MB", "tokens", "APIs", *HEADINGS):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("published", overflow="fold")
    for name, measured in sorted(found.sources.items()):
        published = READERS[name].published if name in READERS else "-"
        shown = Text(name.translate(VISIBLE))  # a source may be called anything
        table.add_row(shown, *_cells(measured, has_tokens=found.has_tokens), published)
    if len(found.sources) > 1:
        whole = _sum(found)
        table.add_section()
        table.add_row("all", *_cells(whole, has_tokens=found.has_tokens), "")
    return table


def _cells(measured: Measured, *, has_tokens: bool) -> list[str]:
    shares = (measured.capabilities[name] / measured.records for name in CAPABILITIES)
    return [
        f"{measured.records:,}",
        f"{measured.text_bytes / 1e6:,.1f}",
        f"{measured.tokens:,}" if has_tokens else "-",
        f"{len(measured.apis):,}",
        *(_percent(share) for share in shares),
    ]


def _sum(found: Measurement) -> Measured:
    whole = Measured()
    for each in found.sources.values():
        whole.records += each.records
        whole.tokens += each.tokens
        whole.text_bytes += each.text_bytes
        whole.apis |= each.apis
        whole.capabilities += each.capabilities
    return whole


def _percent(share: float) -> str:
    """Return a share that is never rounded to none or all."""
    if share in (0.0, 1.0):
        return "-" if share == 0 else "100%"
    return f"{min(max(share, 0.001), 0.999):.1%}"
