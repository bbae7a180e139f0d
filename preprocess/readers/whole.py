"""Files whose native record is the whole file: a dialogue, a session, a scene."""

from __future__ import annotations

import codecs
import gzip
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import zstandard

from preprocess._rust_ext import json_fault
from preprocess.readers import lines as text_lines
from preprocess.readers.native import Convert, Native, Unreadable, exact_number, outcome
from preprocess.records import Origin, Outcome, Rejection, TruncatedInput, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.readers.reader import Reader

_HEAD_BYTES = 4096
_DECODER = msgspec.json.Decoder(float_hook=exact_number)


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
        raw = text_lines.read_whole(path, limit_bytes)
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
    """Return why bytes are no text, nothing if they are one."""
    if not raw.strip():
        return "empty_file"
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "invalid_utf8"
    return ""


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


def json_values(native: Native) -> list[Any]:
    """Return the values of a whole file of JSON Lines.

    Raises:
        Unreadable: A line that is not blank holds none, or is broken as a native record may not be.
    """
    lines = [line for line in native.raw.split(b"\n") if line.strip()]
    for line in lines:
        if fault := json_fault(line):
            raise Unreadable(fault)
    try:
        return [_DECODER.decode(line) for line in lines]
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable("invalid_json") from error
