"""`tokenize --check N`: are the ids on disk those of the reference library?

Records are sampled by a hash of their id, so that the sample depends on the input alone. Their text
is read again from the input, by another parser than the one that made the shards, and their ids
from the shards through `.ids.zst`: the whole path is held against the reference, not the encoder
alone. N is shared out to the units by their stored size, so that each task checks its own.
"""

from __future__ import annotations

import contextlib
import heapq
import json
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.manifest import DIFFERING_SHOWN, Agreement
from preprocess.readers.lines import read_lines
from preprocess.readers.record_lines import read_record_lines
from preprocess.records import TruncatedInput
from preprocess.sidecar import with_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from preprocess.inputs import InputFile, Unit
    from preprocess.reference import Reference

SEED = 0x636865636B
"""Not the seed of `--holdout`: documents that are held out and others are sampled alike."""

LONGEST_CHECKED_BYTES = 1 << 20
"""A reference may take time quadratic in a word's length; such texts are counted, not checked."""

SPARE = 8
"""So many more are sampled than asked for, to stand in for those that cannot be compared."""

BLANK = b" \t\n\r\x0c"
"""A line of these alone is no record."""


def sample_size(count: int, units: Sequence[Unit], index: int) -> int:
    """Return how many of `count` records a unit checks; the units' shares sum to `count`."""
    total = sum(unit.bytes for unit in units) or 1
    before = sum(unit.bytes for unit in units[:index])
    return count * (before + units[index].bytes) // total - count * before // total


def check_unit(
    files: Sequence[InputFile],
    prefixes: Sequence[Path],
    reference: Reference,
    *,
    count: int,
    text_field: str,
    eod_id: int | None,
) -> Agreement:
    """Compare sampled documents of a unit's datasets with what the reference makes of the input."""
    equal = checked = passed_over = 0
    differing: list[str] = []
    for name, prefix, document, texts in _comparable(files, prefixes, count, text_field):
        if not texts:
            passed_over += 1
            continue
        checked += 1
        ids = _rust_ext.read_document(prefix, document)
        end = [] if eod_id is None else [eod_id]
        # A name that the input has twice stands for either record.
        if any(reference.encode(text) + end == ids for text in texts):
            equal += 1
        else:
            differing.append(name)
    return Agreement(
        references=[reference.name],
        checked=checked,
        equal=equal,
        passed_over=passed_over,
        differing=differing[:DIFFERING_SHOWN],
    )


def refuse_difference(agreement: Agreement | None, documents: int, place: Path) -> None:
    """Fail a run whose ids are not those of the reference, or of whose documents none was compared.

    Raises:
        UserError: Naming a record.
    """
    if agreement is None:
        return
    names = ", ".join(agreement.references)
    if documents and not agreement.checked:
        raise UserError(
            f"{place}: expected records to compare with {names}, none of the sample of "
            f"{documents:,} documents could be ({agreement.passed_over:,} are too long, or not "
            "found again in the input); all is kept; ask for more with --check in a new directory, "
            "or leave --check out"
        )
    if agreement.equal < agreement.checked:
        raise UserError(
            f"{place}: expected the ids of {names} for {agreement.checked:,} sampled records, "
            f"{agreement.checked - agreement.equal:,} differ, {agreement.differing[0]} for "
            "example; all is kept; do not train on it, and report it with that record"
        )


def _comparable(
    files: Sequence[InputFile], prefixes: Sequence[Path], count: int, text_field: str
) -> list[tuple[str, Path, int, list[str]]]:
    """Return sampled documents with their texts, up to `count` that can be compared.

    Those without texts are passed over, and others stand in for them.
    """
    asked = count + SPARE
    while True:
        sample = _sample(prefixes, asked)
        texts = _texts(files, text_field, {name for name, _, _ in sample})
        chosen: list[tuple[str, Path, int, list[str]]] = []
        left = count
        for name, prefix, document in sample:
            if not left:
                return chosen
            found = texts.get(name, [])
            chosen.append((name, prefix, document, found))
            left -= bool(found)
        if not left or len(sample) < asked:
            return chosen
        asked *= 8


def _sample(prefixes: Sequence[Path], count: int) -> list[tuple[str, Path, int]]:
    """Return the id, dataset and number of the documents whose ids have the smallest hashes."""
    rows = (
        (xxhash.xxh3_64_intdigest(line.data, seed=SEED), part, number, line.data)
        for part, prefix in enumerate(prefixes)
        for number, line in enumerate(read_lines(with_suffix(prefix, ".ids.zst")))
    )
    chosen = heapq.nsmallest(count, rows)
    return [(name.decode(), prefixes[part], number) for _, part, number, name in chosen]


_BLANK = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""White space of Unicode and the byte order mark: an id of nothing else names nothing."""


def _texts(files: Sequence[InputFile], text_field: str, wanted: set[str]) -> dict[str, list[str]]:
    """Return the texts of the records of these ids, none of an id that has a text too long."""
    texts: dict[str, list[str]] = {}
    too_long = set()
    for file in files if wanted else ():
        with contextlib.suppress(TruncatedInput):  # named among the run's problems
            for name, text in _records(file, text_field, wanted):
                if len(text.encode()) > LONGEST_CHECKED_BYTES:
                    too_long.add(name)
                else:
                    texts.setdefault(name, []).append(text)
    return {name: found for name, found in texts.items() if name not in too_long}


def _records(file: InputFile, text_field: str, wanted: set[str]) -> Iterator[tuple[str, str]]:
    fields = _Fields(text_field)
    number = -1
    for line in read_record_lines(file.path, text_field, "id"):
        data = line.data.removeprefix(b"\xef\xbb\xbf")
        if not data.strip(BLANK):
            continue
        number += 1
        # What cannot be read was rejected, and counted there.
        with contextlib.suppress(ValueError, RecursionError):
            name, text = fields.read(data)
            name = name or f"{file.relative}#{number}"
            if name in wanted and text:
                yield name, text


class _Fields:
    """Reads id and text of a line; of equal keys the last one counts, other values are not read."""

    def __init__(self, text_field: str) -> None:
        self._text_field = text_field
        self._kind = msgspec.defstruct(
            "_Kept",
            [("id", msgspec.Raw, msgspec.Raw(b"null")), ("text", msgspec.Raw, msgspec.Raw(b"null"))]
            if text_field != "id"
            else [("text", msgspec.Raw, msgspec.Raw(b"null"))],
            rename={"text": text_field},
        )
        self._decoder = msgspec.json.Decoder(self._kind)

    def read(self, line: bytes) -> tuple[str | None, str | None]:
        """Return id and text, None where there is none.

        Raises:
            ValueError: It is no record.
            RecursionError: It is nested too deeply for the parser.
        """
        try:
            found: Any = self._decoder.decode(line)
            name = msgspec.json.decode(getattr(found, "id", b"null"), type=str | None)
            text = msgspec.json.decode(found.text, type=str | None)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # It refuses half a surrogate pair even where nobody looks; this parser takes it, and
            # numbers are left as they are spelled, since they may be of any size.
            loose = json.loads(line, parse_int=_Number, parse_float=_Number)
            if not isinstance(loose, dict):
                raise ValueError("no object") from None
            name = None if self._text_field == "id" else loose.get("id")
            text = loose.get(self._text_field)
            for each in (name, text):
                if isinstance(each, str):
                    each.encode()  # raises where half a pair is in what is needed
                elif each is not None:
                    raise ValueError("no string") from None
        return (name if name and name.strip(_BLANK) else None), text


class _Number:
    """Stands for a number that nobody needs."""

    def __init__(self, _spelled: str) -> None: ...
