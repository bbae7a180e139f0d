"""Files whose native record is the whole file: a dialogue, a session, a scene."""

from __future__ import annotations

import codecs
import gzip
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import zstandard

from preprocess.exact_json import DECODER
from preprocess.readers import lines
from preprocess.readers.decoding import text_fault
from preprocess.readers.native import elements, outcome
from preprocess.records import Origin, Outcome, Rejection, TruncatedInput, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.readers.reader import Convert, Reader

_HEAD_BYTES = 4096


def read_whole(
    reader: Reader, path: Path, relative: str, limit_bytes: int, convert: Convert
) -> Iterator[Outcome]:
    """Yield the outcome of a file as one native record, whose value is the file's text.

    Plain, `.gz` or `.zst`. A file of nothing but blanks is rejected as `empty_file`, one above the
    limit as `over_memory` without being held.

    Raises:
        TruncatedInput: A compressed stream ends early; its beginning was rejected before.
    """
    origin = Origin(path=portable_path(relative), record=0)
    damage, reason = None, ""
    try:
        raw = lines.read_whole(path, limit_bytes)
    except TruncatedInput as error:
        raw, damage, reason = b"", error, "truncated"
    if raw is None or damage:
        reason = reason or "over_memory"
        raw = head_of(path)
    else:
        raw = raw.removeprefix(codecs.BOM_UTF8)
        reason = _unreadable(raw)
    if reason:
        yield Outcome(rejection=Rejection(origin=origin, reason=reason, raw=raw))
    else:
        yield outcome(reader, raw, origin, convert, bytes.decode)
    if damage:
        raise damage


def _unreadable(raw: bytes) -> str:
    """Return why a file is no text, nothing if it is one."""
    return text_fault(raw) if raw.strip() else "empty_file"


def head_of(path: Path) -> bytes:
    """Return the beginning of a file that may be compressed; of a damaged one, its own bytes."""
    try:
        with _open(path) as file:
            head: bytes = file.read(_HEAD_BYTES)
            return head
    except (EOFError, OSError, zlib.error, zstandard.ZstdError):
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)


def _open(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path)
    if path.suffix == ".zst":
        return zstandard.open(path)
    return path.open("rb")


def read_together(
    reader: Reader, path: Path, relative: str, limit_bytes: int, convert: Convert
) -> Iterator[Outcome]:
    """Yield the outcome of a JSON file as one native record, whose value is the list of its values.

    What makes one of the values unreadable makes the record so.

    Raises:
        TruncatedInput: A compressed stream ends early; what there is of it was rejected before.
    """
    origin = Origin(path=portable_path(relative), record=0)
    parts: list[bytes] = []
    size, reason, damage = 0, "", None
    try:
        for raw, why in elements(path, limit_bytes):
            size += len(raw) + 1
            if size > limit_bytes + 1:
                parts, reason = [b"\n".join((*parts, raw))[:_HEAD_BYTES]], "over_memory"
                break
            parts.append(raw)
            reason = reason or why or ""
    except TruncatedInput as error:
        damage, reason = error, "truncated"
    whole = b"\n".join(parts)
    if reason:
        yield Outcome(rejection=Rejection(origin=origin, reason=reason, raw=whole))
    else:
        values = partial(_values, parts)
        yield outcome(reader, whole, origin, convert, values)
    if damage:
        raise damage


def _values(parts: list[bytes], _whole: bytes) -> list[Any]:
    return [DECODER.decode(part) for part in parts]
