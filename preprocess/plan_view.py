"""How far a plan is: a row for each stage, from what lies in its directory alone.

So it can be asked at any time, from any machine that sees the files, whoever runs the stages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from preprocess.report.stages import (
    read_stage,
    stage_without_manifest,
    total_text_bytes,
    total_tokens,
)

if TYPE_CHECKING:
    from preprocess.plan import Plan
    from preprocess.report.stages import Stage


def plan_table(plan: Plan, notes: list[str]) -> Table:
    """Return the table of a plan's stages, in the plan's order.

    Args:
        plan: The plan; nothing of it needs to have begun.
        notes: Gains a line for each manifest that cannot be read.
    """
    title = Text(f"{plan.path} in {plan.directory}", style="table.title")
    table = Table(box=box.SQUARE, title=title, title_justify="left")
    table.add_column("stage", no_wrap=True)
    table.add_column("command", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in ("records in", "out", "dropped", "rejected", "MB of text", "tokens", "seconds"):
        table.add_column(heading, justify="right", overflow="fold")
    for planned in plan.stages:
        directory = plan.directory / planned.name
        found = read_stage(directory, notes) or stage_without_manifest(directory, planned.command)
        table.add_row(planned.name, planned.command, found.state, *_figures(found))
    return table


def _figures(stage: Stage) -> list[str]:
    if stage.manifest is None:
        return [""] * 7
    counts, tokens = stage.manifest.counts, total_tokens(stage.manifest.shards)
    return [
        f"{counts.in_:,}",
        f"{counts.out:,}",
        f"{sum(counts.dropped.values()):,}",
        f"{sum(counts.rejected.values()):,}",
        f"{total_text_bytes(stage.manifest.shards) / 1e6:,.1f}",
        f"{tokens:,}" if tokens else "-",
        f"{stage.manifest.seconds:,.1f}",
    ]
