"""The stage `dedup`: which record a duplicate fell to, and how alike the two are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.explain import records
from preprocess.explain.events import Event, Pair, Place
from preprocess.manifest import RUN
from preprocess.report.texts import locate

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.report.stages import Stage

CLUSTERS = "clusters.parquet"
COLUMNS = ["record", "survivor", "kind", "estimated", "jaccard"]
BATCH_ROWS = 1 << 16
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
    place = records.find(identifier, stage, notes)
    if place is None:
        gone = records.rejected(identifier, stage) or (records.lost(stage) if read else None)
        return gone, []
    described = () if read else records.describe(place.line)
    lines = (*described, *records.changes(read, place), _fallen(verdict))
    return records.kept(stage, place, lines), [place]


def _fallen(verdict: _Verdict) -> str:
    if not verdict.num_fallen:
        return "no other record is a duplicate of it"
    more = verdict.num_fallen - len(verdict.fallen)
    others = f" and {more:,} more" if more else ""
    return f"{verdict.num_fallen:,} fell to it: {', '.join(verdict.fallen)}{others}"


def _verdict(identifier: str, path: Path) -> _Verdict:
    found = _Verdict()
    if not path.is_file():
        return found
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=COLUMNS):
                _read(identifier, pa.Table.from_batches([batch]), found)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path}: expected {', '.join(COLUMNS)}, but {error}") from error
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
    lines = _lines(stage, [identifier, row["survivor"]], notes)
    own, kept = lines.get(identifier), lines.get(row["survivor"])
    # A copy of a near duplicate falls with it, to the same survivor. Other scopes know no near
    # ones: there, texts that count as equal may differ.
    config = stage.manifest.config if stage.manifest else {}
    is_near_scope = config.get("scope", "near") == "near"
    is_copy = is_near_scope and row["kind"] == "exact" and _text(own) != _text(kept)
    which = "exact duplicate of a record that fell to" if is_copy else f"{row['kind']} duplicate of"
    similarity = _similarity(row) if is_copy or row["kind"] == "near" else ""
    return Event(
        stage=stage.name,
        command=stage.command,
        verdict="dropped",
        reason=f"{which} {row['survivor']}{similarity}",
        notes=records.describe(own) if own and is_first else (),
        pair=_pair(row["survivor"], own, kept),
    )


def _similarity(row: dict[str, Any]) -> str:
    if row["jaccard"] is None:
        return f", similarity not computed, estimated {row['estimated']:.3f}"
    return f", Jaccard similarity {row['jaccard']:.3f}, estimated {row['estimated']:.3f}"


def _pair(survivor: str, dropped: bytes | None, kept: bytes | None) -> Pair:
    """Return both as they were compared: equal texts are equal, others may be conversations."""
    texts = (_text(kept), _text(dropped))
    own = texts if texts[0] == texts[1] else (_own_content(kept), _own_content(dropped))
    return Pair(
        kept=survivor,
        kept_text=own[0],
        dropped_text=own[1],
        is_own_content=own != texts,
    )


def _own_content(line: bytes | None) -> str | None:
    return None if line is None else _rust_ext.compared_text(line)


def _text(line: bytes | None) -> str | None:
    return None if line is None else msgspec.json.decode(line, type=_Text).text


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
