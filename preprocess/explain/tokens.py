"""The stage `tokenize`: which document a record became."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from preprocess import _rust_ext
from preprocess.explain import records
from preprocess.explain.events import Event, Place
from preprocess.records import GROUPS
from preprocess.sidecar import mask_of, with_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.report.stages import Stage


class _Kind(msgspec.Struct):
    kind: str = "text"


def fate(
    identifier: str, stage: Stage, read: list[Place], notes: list[str]
) -> tuple[Event | None, list[Place]]:
    """Return the document that a record became, or why it became none."""
    for shard in stage.manifest.shards if stage.manifest else []:
        prefix = (stage.directory / shard.name).with_suffix("")
        ids = with_suffix(prefix, ".ids.zst")
        if not ids.is_file():
            notes.append(f"{ids}: expected the ids of a dataset of {stage.name}, they are gone")
            continue
        number = _rust_ext.find_document(ids, identifier)
        if number is not None:
            place = Place(
                directory=stage.directory, shard=shard.name, xxh3=shard.xxh3, number=number
            )
            return _tokenized(stage, prefix, number), [place]
    if not read:
        return records.rejected(identifier, stage), []
    return _left_out(stage, read[-1]) or records.rejected(identifier, stage) or records.lost(
        stage
    ), []


def _tokenized(stage: Stage, prefix: Path, number: int) -> Event:
    tokens = len(_rust_ext.read_document(prefix, number))
    trained = ""
    if with_suffix(mask_of(prefix), ".idx").is_file():
        trained = f", {sum(_rust_ext.read_document(mask_of(prefix), number)):,} of them trained"
    is_held_out = prefix.name.startswith("valid-")
    return Event(
        stage=stage.name,
        command=stage.command,
        verdict="held out" if is_held_out else "tokenized",
        reason=f"document {number:,} of {prefix.name}, {tokens:,} tokens{trained}",
    )


def _left_out(stage: Stage, place: Place) -> Event | None:
    """Return that a record is of another group than the one that was encoded."""
    group = stage.manifest.config.get("group") if stage.manifest else None
    kind = msgspec.json.decode(place.line, type=_Kind).kind
    if group is None or kind in GROUPS.get(group, ()):
        return None
    return Event(
        stage=stage.name,
        command=stage.command,
        verdict="left out",
        reason=f"its kind is {kind}, and only the group {group} was encoded "
        f"({', '.join(GROUPS.get(group, ()))})",
    )
