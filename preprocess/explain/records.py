"""Stages that read and write records: what is kept, and why the rest is not."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.explain.events import Event, Place
from preprocess.inputs import RECORD_SUFFIXES
from preprocess.readers.lines import read_lines
from preprocess.records import TruncatedInput
from preprocess.run_directory import REJECTED

if TYPE_CHECKING:
    from preprocess.report.stages import Stage

RAW_SHOWN = 200
"""Characters of a rejected record."""


class _Rejected(msgspec.Struct):
    origin: dict[str, Any]
    reason: str
    raw: str
    raw_encoding: str | None = None


class _Described(msgspec.Struct):
    """What of a record says where it comes from."""

    text: str = ""
    source: str | None = None
    kind: str | None = None
    license: str | None = None
    origin: dict[str, Any] | None = None


def fate(
    identifier: str, stage: Stage, read: list[Place], notes: list[str]
) -> tuple[Event | None, list[Place]]:
    """Return what a stage did to a record, None if it never saw it."""
    place = find(identifier, stage, notes)
    if place is not None:
        described = () if read else describe(place.line)
        return kept(stage, place, (*described, *changes(read, place))), [place]
    gone = rejected(identifier, stage) or (lost(stage) if read else None)
    return gone, []


def find(identifier: str, stage: Stage, notes: list[str]) -> Place | None:
    """Return where a record stands in a stage's shards."""
    for shard in stage.manifest.shards if stage.manifest else []:
        path = stage.directory / shard.name
        if not shard.name.endswith(RECORD_SUFFIXES):
            continue
        try:
            found, damage = _rust_ext.find_records(path, relative=shard.name, ids=[identifier])
        except FileNotFoundError:
            notes.append(f"{path}: expected a shard of the stage {stage.name}, it is gone")
            continue
        if damage is not None:
            notes.append(f"{path}: {damage}")
        for _, number, line in found:
            return Place(
                directory=stage.directory,
                shard=shard.name,
                xxh3=shard.xxh3,
                number=number,
                line=line,
            )
    return None


def kept(stage: Stage, place: Place, notes: tuple[str, ...]) -> Event:
    """Return that a record stands in a stage's output."""
    return Event(
        stage=stage.name,
        command=stage.command,
        verdict="kept",
        reason=f"record {place.number:,} of {place.shard}",
        notes=notes,
    )


def describe(line: bytes) -> tuple[str, ...]:
    """Return in a line where a record comes from."""
    try:
        record = msgspec.json.decode(line, type=_Described)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()
    said = []
    if record.origin:
        names = (("from", "path"), ("native record", "record"))
        said += [f"{name} {record.origin[key]}" for name, key in names if key in record.origin]
        said += [str(record.origin["url"])] if record.origin.get("url") else []
    for name, value in (("source", record.source), ("kind", record.kind)):
        said += [f"{name} {value}"] if value else []
    said += [f"licence {record.license}"] if record.license else []
    said.append(f"{len(record.text.encode()):,} bytes of text")
    return (", ".join(said),)


def changes(read: list[Place], place: Place) -> tuple[str, ...]:
    """Return how a stage changed the text of a record that it kept."""
    if not read or read[-1].line == place.line:
        return ()
    before, after = (_text_bytes(line) for line in (read[-1].line, place.line))
    if before == after:
        return ("changed, its text being as long as before",)
    return (f"its text was cut from {before:,} to {after:,} bytes",)


def _text_bytes(line: bytes) -> int:
    try:
        return len(msgspec.json.decode(line, type=_Described).text.encode())
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0


def lost(stage: Stage) -> Event:
    """Return that a stage read a record and did not keep it, with all reasons that it counts."""
    counts = stage.manifest.counts if stage.manifest else None
    reasons = {**counts.dropped, **counts.rejected} if counts else {}
    counted = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
    known = f"of all records that it read it left out: {counted}" if counted else "without a reason"
    return Event(stage=stage.name, command=stage.command, verdict="dropped", reason=known)


def rejected(identifier: str, stage: Stage) -> Event | None:
    """Return why a stage could not read a record, if it stands among the rejected ones.

    Raises:
        UserError: The file of rejected records is damaged, and the record is not before that.
    """
    path = stage.directory / REJECTED
    if not path.is_file():
        return None
    source = stage.manifest.config.get("dataset") if stage.manifest else None
    spelled = json.dumps(identifier), json.dumps(identifier, ensure_ascii=False)
    try:
        for line in read_lines(path):
            entry = msgspec.json.decode(line.data, type=_Rejected)
            raw = _raw(entry)
            place = f"{entry.origin.get('path')}#{entry.origin.get('record')}"
            is_named = identifier in (place, f"{source}/{place}")
            if is_named or ('"id"' in raw and any(each in raw for each in spelled)):
                return Event(
                    stage=stage.name,
                    command=stage.command,
                    verdict="rejected",
                    reason=f"{entry.reason}, record {entry.origin.get('record')} of "
                    f"{entry.origin.get('path')}; it stands in {REJECTED}",
                    notes=(f"it begins: {' '.join(raw[:RAW_SHOWN].split())}",),
                )
    except (TruncatedInput, msgspec.MsgspecError) as error:
        raise UserError(f"{path}: expected rejected records, but {error}") from error
    return None


def _raw(entry: _Rejected) -> str:
    if entry.raw_encoding is None:
        return entry.raw
    return base64.b64decode(entry.raw).decode("utf-8", "replace")
