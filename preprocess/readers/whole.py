"""Files whose native record is the whole file: a dialogue, a session, a scene."""

from __future__ import annotations

import codecs
import gzip
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import zstandard

from preprocess.readers.lines import HEAD_BYTES, read_chunks
from preprocess.readers.native import DECODER, Convert, Native, Unreadable, understood
from preprocess.records import Origin, Outcome, Rejection, TruncatedInput, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.readers.reader import Reader


def read_whole(
    reader: Reader, path: Path, relative: str, limit_bytes: int, convert: Convert
) -> Iterator[Outcome]:
    """Yield the outcome of a file as one native record, whose value is the file's text.

    Plain, `.gz` or `.zst`. A file of nothing but blanks is rejected as `empty_file`, one above the
    limit as `over_memory` without being held.

    Raises:
        TruncatedInput: A compressed stream ends early; what there is of it was rejected before.
    """
    origin = Origin(path=portable_path(relative), record=0)
    parts: list[bytes] = []
    size, damage = 0, None
    try:
        for chunk in read_chunks(path):
            size += len(chunk)
            parts.append(chunk)
            if size > limit_bytes:
                head = b"".join(parts)[:HEAD_BYTES]
                yield Outcome(rejection=Rejection(origin=origin, reason="over_memory", raw=head))
                return
    except TruncatedInput as error:
        damage = error
    raw = b"".join(parts).removeprefix(codecs.BOM_UTF8)
    if damage:
        yield Outcome(rejection=Rejection(origin=origin, reason="truncated", raw=raw))
        raise damage
    yield _outcome(reader, raw, origin, convert)


def head_of(path: Path) -> bytes:
    """Return the beginning of a file that may be compressed; of a damaged one, some word."""
    try:
        with _open(path) as file:
            head: bytes = file.read(4 * HEAD_BYTES)
            return head
    except (EOFError, OSError, zlib.error, zstandard.ZstdError):
        return b"damaged"  # reading the file says what is wrong with it


def _open(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path)
    if path.suffix == ".zst":
        return zstandard.open(path)
    return path.open("rb")


def _outcome(reader: Reader, raw: bytes, origin: Origin, convert: Convert) -> Outcome:
    reason = "" if raw.strip() else "empty_file"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        reason = "invalid_utf8"
    if reason:
        return Outcome(rejection=Rejection(origin=origin, reason=reason, raw=raw))
    return understood(reader, Native(text, raw, origin), convert)


def json_lines(native: Native) -> list[Any]:
    """Return the values of a whole file of JSON Lines.

    Raises:
        Unreadable: `invalid_json`; a line that is not blank holds none.
    """
    try:
        return [DECODER.decode(line) for line in native.raw.split(b"\n") if line.strip()]
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable("invalid_json") from error
