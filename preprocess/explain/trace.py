"""The way of a record through the stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import _rust_ext
from preprocess.explain import duplicates, records, tokens
from preprocess.explain.events import Event, Place
from preprocess.report.blends import read_blends
from preprocess.sidecar import with_suffix

if TYPE_CHECKING:
    from collections.abc import Callable

    from preprocess.report.stages import Stage

type Fate = Callable[[str, Stage, list[Place], list[str]], tuple[Event | None, list[Place]]]
"""Given id, stage, where it read the record and notes: what happened, and where it stands now."""

FATES: dict[str, Fate] = {"dedup": duplicates.fate, "tokenize": tokens.fate}
"""Of the stages that do more than to keep, to drop and to reject."""
WITHOUT_RECORDS = frozenset({"train-tokenizer"})
WITHOUT_MANIFEST = frozenset({"merge", "blend", "report"})


def trace(identifier: str, stages: list[Stage], run: Path, notes: list[str]) -> list[Event]:
    """Return what each stage did to a record, in order; nothing if none knows it."""
    events: list[Event] = []
    places: list[Place] = []
    written = {
        (stage.directory.name, shard.name, shard.xxh3)
        for stage in stages
        for shard in (stage.manifest.shards if stage.manifest else [])
    }
    for stage in stages:
        if stage.manifest is None:
            events += _without_manifest(identifier, stage, places)
            continue
        entries = {
            (Path(entry.path).parent.name, Path(entry.path).name, entry.xxh3)
            for entry in stage.manifest.inputs
        }
        read = [
            place for place in places if (place.directory.name, place.shard, place.xxh3) in entries
        ]
        # What no stage here wrote may hold the record as well.
        if stage.command in WITHOUT_RECORDS or not (read or entries - written):
            continue
        event, found = FATES.get(stage.command, records.fate)(identifier, stage, read, notes)
        events += [event] if event else []
        places += found
    return events + _blended(run, places)


def _without_manifest(identifier: str, stage: Stage, places: list[Place]) -> list[Event]:
    """Return what is known of a stage that is not done, or that writes no manifest."""
    ids = with_suffix(stage.directory, ".ids.zst")
    if not places:
        return []
    if stage.command not in WITHOUT_MANIFEST:
        return [_event(stage, "not known", stage.state)]
    if stage.command != "merge" or not ids.is_file():
        return []
    number = _rust_ext.find_document(ids, identifier)
    if number is None:
        return []
    return [_event(stage, "merged", f"document {number:,} of {stage.directory.name}")]


def _event(stage: Stage, verdict: str, reason: str) -> Event:
    return Event(stage=stage.name, command=stage.command, verdict=verdict, reason=reason)


def _blended(run: Path, places: list[Place]) -> list[Event]:
    """Return the parts of blend files that name the record's dataset."""
    prefixes = {
        (place.directory / place.shard).with_suffix("").resolve()
        for place in places
        if place.shard.endswith(".bin")
    }
    if not prefixes or not run.is_dir():
        return []
    events = []
    for blend in read_blends(run):
        for parts, verdict in ((blend.train, "trained on"), (blend.held_out, "held out")):
            for part in parts:
                named = {(blend.path.parent / prefix).resolve() for prefix in part.prefixes}
                if named & prefixes:
                    weight = f", weight {part.weight:g}" if part.weight is not None else ""
                    events.append(
                        Event(
                            stage=blend.path.name,
                            command="blend",
                            verdict=verdict,
                            reason=f"in the group {part.group}{weight}",
                        )
                    )
    return events
