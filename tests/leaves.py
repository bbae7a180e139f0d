"""What the tests of all readers ask: does every native record have a fate, is any text lost?

Native files are parsed here with the standard library, apart from the readers' own path.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import zstandard

from preprocess.records import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from preprocess.readers import Reader
    from preprocess.records import Outcome, Record

LONG_CHARACTERS = 40
"""A string of this many characters or more is content; shorter ones are names and markers."""


class Broken(str):
    """The text of a native record that is no JSON."""

    __slots__ = ()


def missing_leaves(native_value: Any, records: Sequence[Record]) -> list[str]:
    """Return the long string leaves of a native value that stand in none of `records`.

    A string that holds a JSON object or array counts by its own leaves, at any depth. A leaf is
    found as a part of any string of the records, as it is or as JSON spells it.
    """
    there = "\0".join(part for record in records for part in _strings(json.loads(encode(record))))
    return [leaf for leaf in long_leaves(native_value) if not _stands_in(leaf, there)]


def long_leaves(value: Any) -> list[str]:
    """Return the string leaves of at least `LONG_CHARACTERS`, those inside JSON strings too."""
    return [leaf for leaf in _leaves(value) if len(leaf) >= LONG_CHARACTERS]


def native_values(path: Path) -> list[Any]:
    """Return the native records of a file: elements of an array, lines, rows, or the whole."""
    text = _text(path)
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text)))
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        lines = [line for line in text.split("\n") if line.strip()]
        return [_parsed(line) for line in lines]
    return value if isinstance(value, list) else [value]


def files(reader: Reader, path: Path) -> list[Path]:
    """Return `path`, or the files below it that the reader accepts, in order."""
    if path.is_file():
        return [path]
    found = sorted(each for each in path.rglob("*") if each.is_file())
    return [each for each in found if reader.accepts(PurePosixPath(each.relative_to(path)))]


def read_all(reader: Reader, path: Path, root: Path) -> list[Outcome]:
    """Return the outcome of each native record of a file or of a directory's files.

    Asserts that each native record has exactly one outcome, in order, that ids are unique over
    all that was read, and that every record can be written.

    Args:
        reader: The dataset's reader.
        path: A file, or a directory whose files the reader accepts.
        root: What names in ids are relative to.
    """
    outcomes = [each for file in files(reader, path) for _, each in outcomes_of(reader, file, root)]
    records = [record for each in outcomes for record in each.records]
    for record in records:
        encode(record)
    ids = [record.id for record in records]
    assert len(set(ids)) == len(ids), next(each for each in ids if ids.count(each) > 1)
    return outcomes


def outcomes_of(reader: Reader, file: Path, root: Path) -> list[tuple[Any, Outcome]]:
    """Return each native value of one file with its outcome; asserts that they match in number."""
    relative = file.relative_to(root).as_posix()
    outcomes = list(reader.read(file, relative))
    values = native_values(file)
    if not file.stat().st_size:
        assert len(outcomes) <= 1, relative
        return [(Broken(""), each) for each in outcomes]
    assert len(outcomes) == len(values), relative
    for ordinal, (value, each) in enumerate(zip(values, outcomes, strict=True)):
        where = f"{relative}#{ordinal}"
        assert each.records or each.dropped or each.rejection, where
        assert all(record.origin.path == relative for record in each.records), where
        assert all(record.origin.record == ordinal for record in each.records), where
        assert each.rejection is not None or not isinstance(value, Broken), where
    return list(zip(values, outcomes, strict=True))


def lost_leaves(reader: Reader, path: Path, root: Path) -> tuple[int, list[str]]:
    """Return how many long leaves the records read from `path` had, and those that are lost.

    Native records that were rejected, or dropped whole by a rule, do not count.
    """
    total, lost = 0, []
    for file in files(reader, path):
        for value, each in outcomes_of(reader, file, root):
            if each.records:
                total += len(long_leaves(value))
                lost += missing_leaves(value, each.records)
    return total, lost


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Return native, out, dropped and rejected with reasons, and repairs, for comparing."""
    total: dict[str, int] = {"native": 0, "out": 0}
    for each in outcomes:
        total["native"] += 1
        total["out"] += len(each.records)
        names = [f"dropped {reason}" for reason in each.dropped]
        names += [f"repaired {repair}" for repair in each.repairs]
        if each.rejection:
            names.append(f"rejected {each.rejection.reason}")
        for name in names:
            total[name] = total.get(name, 0) + 1
    return total


def _text(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data.decode("utf-8-sig", "replace")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return Broken(text)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, str):
        inner = _container(value)
        if inner is None:
            yield value
        else:
            yield from _leaves(inner)


def _strings(value: Any) -> Iterator[str]:
    """Yield every string of a record as it is, and the leaves of those that hold JSON."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, str):
        yield value
        inner = _container(value)
        if inner is not None:
            yield from _leaves(inner)


def _container(text: str) -> Any:
    """Return the object or array that a string is JSON of, else None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None


def _stands_in(leaf: str, there: str) -> bool:
    return (
        leaf in there
        or json.dumps(leaf, ensure_ascii=False)[1:-1] in there
        or json.dumps(leaf)[1:-1] in there
    )
