"""The stage `dedup`: which record a duplicate fell to, and how alike the two are.

Or what was cut out of its text, and where that stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.compute as pc

from preprocess import _rust_ext
from preprocess.explain import records
from preprocess.explain.cuts import cuts_of
from preprocess.explain.events import Event, Pair, Place
from preprocess.explain.tables import each_table
from preprocess.manifest import RUN
from preprocess.report.texts import locate

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.explain.cuts import Cuts
    from preprocess.report.stages import Stage

CLUSTERS = "clusters.parquet"
COLUMNS = ["record", "survivor", "kind", "estimated", "jaccard"]
FALLEN_SHOWN = 5


@dataclass(slots=True)
class _Verdict:
    """What `clusters.parquet` says of a record."""

    row: dict[str, Any] | None = None
    """Its own row, None for a record without duplicates."""
    num_fallen: int = 0
    """Records that fell to it."""
    fallen: list[str] = field(default_factory=list)
    """The first of them."""


class _Text(msgspec.Struct):
    text: str


class _Begun(msgspec.Struct):
    """The part of `run.json` that matters here."""

    inputs: list[dict[str, Any]]


def fate(
    identifier: str, stage: Stage, read: list[Place], notes: list[str]
) -> tuple[Event | None, list[Place]]:
    """Return what became of a record among its duplicates, None if it never was there.

    Raises:
        UserError: `clusters.parquet` is damaged.
    """
    verdict = _verdict(identifier, stage.directory / CLUSTERS)
    if verdict.row is not None and verdict.row["kind"] != "survivor":
        return _dropped(identifier, stage, verdict.row, notes, is_first=not read), []
    cuts = cuts_of(identifier, stage.directory)
    num_notes = len(notes)
    place = records.find(identifier, stage, notes)
    if place is None:
        is_searched = len(notes) == num_notes
        if cuts.count and is_searched:
            return _emptied(identifier, stage, cuts, read, notes), []
        return _gone(identifier, stage, read, notes, is_searched=is_searched), []
    described = () if read else records.describe(place.line)
    lines = (*described, *records.changes(read, place), _fallen(verdict), *cuts.lines())
    return records.kept(stage, place, lines), [place]


def _emptied(
    identifier: str, stage: Stage, cuts: Cuts, read: list[Place], notes: list[str]
) -> Event:
    """Return that a record lost all of its text, part by part."""
    line = None if read else _lines(stage, [identifier], notes).get(identifier)
    return Event(
        stage=stage.name,
        command=stage.command,
        verdict="dropped",
        reason="nothing_left, as others have all that its text says",
        notes=(*(records.describe(line) if line else ()), *cuts.lines()),
    )


def _gone(
    identifier: str, stage: Stage, read: list[Place], notes: list[str], *, is_searched: bool
) -> Event | None:
    """Return why a record is gone that is no duplicate, None if it never was there."""
    if event := records.rejected(identifier, stage):
        return event
    line = read[-1].line if read else _lines(stage, [identifier], notes).get(identifier)
    if line is None:
        return None
    if is_searched and _text(line) == "":
        return Event(
            stage=stage.name,
            command=stage.command,
            verdict="dropped",
            reason="empty_text, it has no text",
            notes=() if read else records.describe(line),
        )
    return records.lost(stage)


def _fallen(verdict: _Verdict) -> str:
    if not verdict.num_fallen:
        return "no other record is a duplicate of it"
    more = verdict.num_fallen - len(verdict.fallen)
    others = f" and {more:,} more" if more else ""
    return f"{verdict.num_fallen:,} fell to it: {', '.join(verdict.fallen)}{others}"


def _verdict(identifier: str, path: Path) -> _Verdict:
    found = _Verdict()
    each_table(path, COLUMNS, lambda table: _read(identifier, table, found))
    return found


def _read(identifier: str, table: Any, found: _Verdict) -> None:
    is_own = pc.equal(table["record"], identifier)
    for row in table.filter(is_own).to_pylist():
        found.row = row
    others = pc.and_(pc.equal(table["survivor"], identifier), pc.invert(is_own))
    fallen = table.filter(others)["record"]
    found.num_fallen += len(fallen)
    found.fallen += fallen.slice(0, FALLEN_SHOWN - len(found.fallen)).to_pylist()


def _dropped(
    identifier: str, stage: Stage, row: dict[str, Any], notes: list[str], *, is_first: bool
) -> Event:
    survivor = row["survivor"]
    lines = _lines(stage, [identifier, survivor], notes)
    own, kept = lines.get(identifier), lines.get(survivor)
    scope = stage.manifest.config.get("scope") if stage.manifest else None
    said = list(records.describe(own) if own and is_first else ())
    # Of a copy's survivor all may have been cut: then others keep what both said.
    if (cuts := cuts_of(survivor, stage.directory)).count:
        said.append(f"{survivor} lost a part as well: {cuts.places()}")
    return Event(
        stage=stage.name,
        command=stage.command,
        verdict="dropped",
        reason=_reason(row, scope, _text(own), _text(kept)),
        notes=tuple(said),
        pair=_pair(survivor, own, kept, by_text=row["kind"] == "url" or scope == "exact"),
    )


def _reason(row: dict[str, Any], scope: str | None, own: str | None, kept: str | None) -> str:
    survivor = row["survivor"]
    if row["kind"] == "near":
        return f"near duplicate of {survivor}{_similarity(row)}"
    if row["kind"] == "url":
        return f"same_url, its address counts as that of {survivor}"
    is_equal = own == kept
    if own is None or kept is None:  # gone: only a near duplicate's copy is less than equal
        is_equal = scope == "exact" or (row["jaccard"] or row["estimated"]) == 1
    if is_equal:
        return f"exact duplicate of {survivor}"
    if scope == "exact":
        return f"exact duplicate of {survivor} but for case, white space or composed characters"
    # A copy of a near duplicate falls with it, to the same survivor.
    return f"exact duplicate of a record that fell to {survivor}{_similarity(row)}"


def _similarity(row: dict[str, Any]) -> str:
    if row["jaccard"] is None:
        return f", similarity not computed, estimated {row['estimated']:.3f}"
    return f", Jaccard similarity {row['jaccard']:.3f}, estimated {row['estimated']:.3f}"


def _pair(survivor: str, dropped: bytes | None, kept: bytes | None, *, by_text: bool) -> Pair:
    """Return both as they were compared: equal texts are equal, others may be conversations."""
    texts = (_text(kept), _text(dropped))
    is_text = by_text or texts[0] == texts[1]
    own = texts if is_text else (_own_content(kept), _own_content(dropped))
    return Pair(
        kept=survivor,
        kept_text=own[0],
        dropped_text=own[1],
        is_own_content=own != texts,
    )


def _own_content(line: bytes | None) -> str | None:
    return None if line is None else _rust_ext.compared_text(line)


def _text(line: bytes | None) -> str | None:
    try:
        return None if line is None else msgspec.json.decode(line, type=_Text).text
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _lines(stage: Stage, wanted: list[str], notes: list[str]) -> dict[str, bytes]:
    """Return the lines of some records in what a stage read."""
    found: dict[str, bytes] = {}
    entries = stage.manifest.inputs if stage.manifest else []
    for entry, relative in zip(entries, _relative_names(stage), strict=True):
        path = locate(entry.path, stage.directory.resolve().parent)
        left = [identifier for identifier in wanted if identifier not in found]
        if not left:
            break
        if not path.is_file():
            continue
        lines, damage = _rust_ext.find_records(path, relative=relative, ids=left)
        found |= {identifier: line for identifier, _, line in lines}
        if damage is not None:
            notes.append(f"{path}: {damage}")
    return found


def _relative_names(stage: Stage) -> list[str]:
    """Return what each input file is called in the ids of records that bring none."""
    entries = stage.manifest.inputs if stage.manifest else []
    try:
        begun = msgspec.json.decode((stage.directory / RUN).read_bytes(), type=_Begun)
        names = [str(entry["path"]) for entry in begun.inputs]
    except (OSError, KeyError, msgspec.MsgspecError):
        names = []
    if len(names) == len(entries):
        return names
    return [entry.path.rsplit("/", 1)[-1] for entry in entries]
