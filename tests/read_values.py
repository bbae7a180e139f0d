"""Reads a hand-written native record as a reader does, and shows what the record says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from leaves import read_all

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.readers import Reader
    from preprocess.records import Message, Outcome, Record


def outcome_of(reader: Reader, folder: Path, value: Any) -> Outcome:
    """Return what became of one native record that stands alone in an array."""
    path = folder / "a.json"
    path.write_text(json.dumps([value], ensure_ascii=False), encoding="utf-8")
    (outcome,) = read_all(reader, path, folder)
    return outcome


def record_of(reader: Reader, folder: Path, value: Any) -> Record:
    """Return the only record of a native record that needed no repair."""
    outcome = outcome_of(reader, folder, value)
    assert outcome.repairs == ()
    (record,) = outcome.records
    return record


def rejected(reader: Reader, folder: Path, value: Any) -> str:
    """Return why a native record was rejected."""
    outcome = outcome_of(reader, folder, value)
    assert outcome.rejection is not None
    return outcome.rejection.reason


def turns(record: Record) -> list[tuple[str, ...]]:
    """Return role and content of each turn; calls and the call answered follow as words."""
    return [(turn.role, turn.content, *_calls(turn)) for turn in record.messages]


def _calls(turn: Message) -> list[str]:
    made = [f"{call.id} {call.name} {json.dumps(call.arguments)}" for call in turn.tool_calls]
    return [*made, f"to {turn.tool_call_id}"] if turn.tool_call_id else made


def own_meta(record: Record) -> dict[str, Any]:
    """Return `meta` without what every record gets there."""
    return {key: record.meta[key] for key in record.meta if key not in ("checks", "template")}
