"""Native records of JSON files: elements of an array, lines, or the whole of a file.

A reader gives one function, from a native record to drafts; what is unreadable, and why, is
decided here for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess._rust_ext import CommonForm, NativeRecords
from preprocess.exact_json import DECODER
from preprocess.readers.draft import Draft, Dropped, finish
from preprocess.records import (
    Origin,
    Outcome,
    Rejection,
    TruncatedInput,
    Written,
    portable_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from preprocess.readers.reader import Convert, Reader


class Unreadable(Exception):  # noqa: N818 - it names a state of the record
    """Why a native record gives no record: its only argument, in snake_case."""


@dataclass(slots=True)
class Native:
    """One native record."""

    value: Any
    """The parsed JSON; numbers that a double cannot hold are `Decimal`."""

    raw: bytes
    origin: Origin
    repairs: list[str] = field(default_factory=list)
    """What had to be understood otherwise than it was spelled, for the manifest."""

    def repaired(self, what: str) -> None:
        """Note a repair, in snake_case."""
        self.repairs.append(what)


_DECODER = msgspec.json.Decoder()
"""For records whose numbers a double holds: it calls nothing for each of them."""


def read_json(
    reader: Reader, path: Path, relative: str, limit_bytes: int, convert: Convert
) -> Iterator[Outcome]:
    """Yield the outcome of each native record of a JSON file, whatever its extension says.

    An array gives its elements, one after another; JSON Lines give their lines; values one behind
    the other are a record each; one value is one record. Plain, `.gz` or `.zst`. What is broken is
    rejected, and reading goes on behind it where the next record certainly begins.

    Raises:
        TruncatedInput: A compressed stream ends early, after all that could be read.
    """
    name = portable_path(relative)
    for ordinal, split in enumerate(_split(path, limit_bytes)):
        yield _outcome(reader, split, Origin(path=name, record=ordinal), convert)


def read_common(
    reader: Reader, path: Path, relative: str, limit_bytes: int, convert: Convert
) -> Iterator[Outcome | Written]:
    """Yield the same as `read_json`; records of the dataset's commonest form as lines."""
    name = portable_path(relative)
    lines_of = CommonForm(reader.name, license=reader.license).lines
    for ordinal, split in enumerate(_split(path, limit_bytes)):
        raw, reason, _ = split
        made = None if reason else lines_of(raw, path=name, record=ordinal)
        if made is None:
            yield _outcome(reader, split, Origin(path=name, record=ordinal), convert)
        else:
            lines, records, text_bytes = made
            yield Written(
                lines=lines,
                records=records,
                text_bytes=text_bytes,
                source=reader.name,
                kind=reader.kind,
                license=reader.license,
            )


type Split = tuple[bytes, str | None, bool]
"""Bytes of a native record, why it is unreadable if it is, and whether a double may not hold one of
its numbers."""


def _outcome(reader: Reader, split: Split, origin: Origin, convert: Convert) -> Outcome:
    raw, reason, may_be_inexact = split
    if reason is not None:
        return Outcome(rejection=Rejection(origin=origin, reason=reason, raw=raw))
    parse = DECODER.decode if may_be_inexact else _DECODER.decode
    return outcome(reader, raw, origin, convert, parse)


def elements(path: Path, limit_bytes: int) -> Iterator[tuple[bytes, str | None]]:
    """Yield each native record of a JSON file, or its beginning and why it is unreadable.

    Raises:
        TruncatedInput: A compressed stream ends early, after all that could be read.
    """
    for raw, reason, _ in _split(path, limit_bytes):
        yield raw, reason


def _split(path: Path, limit_bytes: int) -> Iterator[Split]:
    natives = NativeRecords(path, limit_bytes=limit_bytes)
    for batch in natives:
        yield from batch
    if natives.damage is not None:
        raise TruncatedInput(
            f"{path}: {natives.damage}; what came before was read; fetch the file again"
        )


def outcome(
    reader: Reader,
    raw: bytes,
    origin: Origin,
    convert: Convert,
    parse: Callable[[bytes], Any] = DECODER.decode,
) -> Outcome:
    """Return what became of one native record, whose bytes `parse` understands."""
    try:
        value = parse(raw)
    except (msgspec.DecodeError, RecursionError):
        return Outcome(rejection=Rejection(origin=origin, reason="invalid_json", raw=raw))
    except Unreadable as error:
        return Outcome(rejection=Rejection(origin=origin, reason=str(error), raw=raw))
    return understood(reader, Native(value, raw, origin), convert)


def understood(reader: Reader, native: Native, convert: Convert) -> Outcome:
    """Return what became of one native record whose value is there."""
    origin, raw = native.origin, native.raw
    try:
        made = list(convert(native))
    except (msgspec.DecodeError, RecursionError):
        return Outcome(rejection=Rejection(origin=origin, reason="invalid_json", raw=raw))
    except Unreadable as error:
        return Outcome(rejection=Rejection(origin=origin, reason=str(error), raw=raw))
    records = [finish(reader, origin, each) for each in made if isinstance(each, Draft)]
    is_whole = len(records) == len(made)
    return Outcome(
        records=tuple(records),
        dropped=() if is_whole else tuple([e.reason for e in made if isinstance(e, Dropped)]),
        repairs=tuple(native.repairs),
    )
