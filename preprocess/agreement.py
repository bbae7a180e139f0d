"""`tokenize --check N`: are the ids on disk those of the reference library?

Records are sampled by a hash of their id, so that the sample depends on the input alone. Their text
is read again from the input, by another parser than the one that made the shards, and their ids
from the shards through `.ids.zst`: the whole path is held against the reference, not the encoder
alone. N is shared out to the units by their stored size, so that each task checks its own.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.manifest import DIFFERING_SHOWN, Agreement
from preprocess.readers.lines import Line, read_lines
from preprocess.readers.rows import read_rows
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
    sample = _sample(prefixes, count)
    texts, is_whole = _texts(files, text_field, {name for name, _, _ in sample})
    equal = passed_over = 0
    differing = []
    for name, prefix, document in sample:
        found = texts.get(name, [])
        # Of a damaged file one parser may read more rows than another.
        if not found and not is_whole:
            passed_over += 1
            continue
        if any(len(text.encode()) > LONGEST_CHECKED_BYTES for text in found):
            passed_over += 1
            continue
        ids = _rust_ext.read_document(prefix, document)
        end = [] if eod_id is None else [eod_id]
        # A name that the input has twice stands for either record.
        if any(reference.encode(text) + end == ids for text in found):
            equal += 1
        else:
            differing.append(name)
    return Agreement(
        references=[reference.name],
        checked=len(sample) - passed_over,
        equal=equal,
        passed_over=passed_over,
        differing=differing[:DIFFERING_SHOWN],
    )


def refuse_difference(agreement: Agreement | None, place: Path) -> None:
    """Fail a run whose ids are not those of the reference.

    Raises:
        UserError: Naming a record.
    """
    if agreement is None or agreement.equal == agreement.checked:
        return
    raise UserError(
        f"{place}: expected the ids of {', '.join(agreement.references)} for "
        f"{agreement.checked:,} sampled records, {agreement.checked - agreement.equal:,} differ, "
        f"{agreement.differing[0]} for example; all is kept; do not train on it, and report it "
        "with that record"
    )


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


class _Named(msgspec.Struct):
    id: str | None = None


def _texts(
    files: Sequence[InputFile], text_field: str, wanted: set[str]
) -> tuple[dict[str, list[str]], bool]:
    """Return the texts of the records of these ids, and whether all of the input could be read."""
    texts: dict[str, list[str]] = {}
    is_whole = True
    for file in files if wanted else ():
        try:
            for name, text in _records(file, text_field, wanted):
                texts.setdefault(name, []).append(text)
        except TruncatedInput:
            is_whole = False  # named among the run's problems
    return texts, is_whole


def _records(file: InputFile, text_field: str, wanted: set[str]) -> Iterator[tuple[str, str]]:
    decoder = msgspec.json.Decoder(_Named)
    number = -1
    for line in _lines(file, text_field):
        data = line.data.removeprefix(b"\xef\xbb\xbf")
        if not data.strip():
            continue
        number += 1
        try:
            name = decoder.decode(data).id or ""
        except msgspec.DecodeError:
            continue  # rejected, and counted there
        if not name.strip(_BLANK):
            name = f"{file.relative}#{number}"
        if name in wanted:
            record: Any = msgspec.json.decode(data)
            yield name, str(record.get(text_field, ""))


def _lines(file: InputFile, text_field: str) -> Iterator[Line]:
    if file.path.suffix == ".parquet":
        return read_rows(file.path, text_field, "id")
    return read_lines(file.path)
