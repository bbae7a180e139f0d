"""Native records of JSON files: elements of an array, lines, or the whole of a file.

A reader gives one function, from a native record to drafts; what is unreadable, and why, is
decided here for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess._rust_ext import NativeRecords
from preprocess.readers.draft import Draft, Dropped, finish
from preprocess.records import Origin, Outcome, Rejection, TruncatedInput, portable_path

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.readers.reader import Reader


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


type Convert = Callable[[Native], Iterable[Draft | Dropped]]
"""Raises `Unreadable` where the meaning is not certain."""


def _number(spelled: str) -> float | Decimal:
    """Return a number that is written with the digits it was read with, as far as they matter."""
    value = float(spelled)
    shortest = repr(value)
    if shortest == spelled:
        return value
    exact = Decimal(spelled)
    return value if Decimal(shortest) == exact else exact


_DECODER = msgspec.json.Decoder()
DECODER = msgspec.json.Decoder(float_hook=_number)


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
    ordinal = 0
    natives = NativeRecords(path, limit_bytes=limit_bytes)
    for batch in natives:
        for raw, reason, may_be_inexact in batch:
            origin = Origin(path=name, record=ordinal)
            ordinal += 1
            if reason is None:
                decoder = DECODER if may_be_inexact else _DECODER
                yield _outcome(reader, raw, origin, convert, decoder)
            else:
                yield Outcome(rejection=Rejection(origin=origin, reason=reason, raw=raw))
    if natives.damage is not None:
        raise TruncatedInput(
            f"{path}: {natives.damage}; what came before was read; fetch the file again"
        )


def outcome(reader: Reader, raw: bytes, origin: Origin, convert: Convert) -> Outcome:
    """Return what became of one native record."""
    return _outcome(reader, raw, origin, convert, DECODER)


def _outcome(
    reader: Reader, raw: bytes, origin: Origin, convert: Convert, decoder: msgspec.json.Decoder[Any]
) -> Outcome:
    native = Native(None, raw, origin)
    try:
        native.value = decoder.decode(raw)
        made = list(convert(native))
    except (msgspec.DecodeError, RecursionError):
        return Outcome(rejection=Rejection(origin=origin, reason="invalid_json", raw=raw))
    except Unreadable as error:
        return Outcome(rejection=Rejection(origin=origin, reason=str(error), raw=raw))
    return Outcome(
        records=tuple(finish(reader, origin, each) for each in made if isinstance(each, Draft)),
        dropped=tuple(each.reason for each in made if isinstance(each, Dropped)),
        repairs=tuple(native.repairs),
    )
