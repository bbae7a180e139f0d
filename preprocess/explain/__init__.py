"""`preprocess explain`: what became of a record at every stage, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.errors import UserError
from preprocess.explain.near_misses import near_misses
from preprocess.explain.show import show
from preprocess.explain.stages import stages_of
from preprocess.explain.trace import WITHOUT_MANIFEST, trace

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


def explain(identifier: str, run: Path, console: Console) -> list[str]:
    """Show what became of a record, stage by stage.

    Args:
        identifier: The record's id.
        run: The directory of a plan's run, or of one stage; then the stages that it read from
            are looked at as well.
        console: Where to show it: in colours on a terminal, else a line a fact.

    Returns:
        What could not be searched, a line each.

    Raises:
        UserError: `run` is neither, or no stage in it knows the id.
        OSError: A file cannot be read.
    """
    notes: list[str] = []
    stages = stages_of(run, notes)
    events = trace(identifier, stages, run, notes)
    if not events:
        similar = near_misses(identifier, stages)
        others = f"; ids like it: {', '.join(similar)}" if similar else ""
        undone = [
            f"{each.name} ({each.state})"
            for each in stages
            if each.manifest is None and each.command not in WITHOUT_MANIFEST
        ]
        waiting = f"; not complete: {', '.join(undone)}" if undone else ""
        damage = f"; not all could be searched: {notes[0]}" if notes else ""
        none = f"none of {len(stages)} stage{'s'[: len(stages) != 1]} has one"
        raise UserError(
            f"{run}: expected a record with the id {identifier!r}, {none}; check the id"
            f"{others}{waiting}{damage}"
        )
    show(identifier, events, console)
    return notes
