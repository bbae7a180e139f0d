"""Native records of JSON files: elements of an array, lines, or the whole of a file.

A reader gives one function, from a native record to drafts; what is unreadable, and why, is
decided here for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.readers.draft import Draft, Dropped, finish
from preprocess.readers.lines import read_lines
from preprocess.records import Origin, Outcome, Rejection, portable_path

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
    try:
        exact = Decimal(spelled)
    except InvalidOperation as error:
        raise ValueError(f"the exponent of {spelled[:40]} is out of range") from error
    return value if Decimal(repr(value)) == exact else exact


DECODER = msgspec.json.Decoder(float_hook=_number)


def read_json(
    reader: Reader, path: Path, relative: str, limit_bytes: int, convert: Convert
) -> Iterator[Outcome]:
    """Yield the outcome of each native record of a JSON file, whatever its extension says.

    An array gives its elements, one after another; JSON Lines give their lines; anything else is
    one record. Plain, `.gz` or `.zst`.

    Raises:
        TruncatedInput: A compressed stream ends early, after all that could be read.
    """
    name = portable_path(relative)
    for ordinal, (raw, reason) in enumerate(_elements(path, limit_bytes)):
        origin = Origin(path=name, record=ordinal)
        if reason is None:
            yield outcome(reader, raw, origin, convert)
        else:
            yield Outcome(rejection=Rejection(origin=origin, reason=reason, raw=raw))


def outcome(reader: Reader, raw: bytes, origin: Origin, convert: Convert) -> Outcome:
    """Return what became of one native record of JSON."""
    try:
        value = DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return Outcome(rejection=Rejection(origin=origin, reason="invalid_json", raw=raw))
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
    return Outcome(
        records=tuple(finish(reader, origin, each) for each in made if isinstance(each, Draft)),
        dropped=tuple(each.reason for each in made if isinstance(each, Dropped)),
        repairs=tuple(native.repairs),
    )


def _elements(path: Path, limit_bytes: int) -> Iterator[tuple[bytes, str | None]]:
    # TODO(native): to be replaced by the streaming splitter of the extension.
    data = b"\n".join(line.data for line in read_lines(path))
    try:
        value = DECODER.decode(data)
    except (msgspec.DecodeError, RecursionError):
        for line in data.split(b"\n"):
            if line.strip():
                yield line, None
        return
    if isinstance(value, list):
        for element in msgspec.json.decode(data, type=list[msgspec.Raw]):
            yield bytes(element), None
    else:
        yield data, None
