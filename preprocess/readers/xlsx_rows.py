"""Rows of the first sheet of an `.xlsx` file as native records, by the names in its first row.

Only what a table of texts needs: shared and inline strings, numbers and truth values as they are
spelled. Source: ECMA-376, part 1, sections 18.3 (worksheets) and 18.4 (shared strings).
"""

from __future__ import annotations

import re
import zipfile
import zlib
from functools import partial
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import msgspec

from preprocess.readers.native import outcome
from preprocess.records import Origin, Outcome, Rejection, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.readers.reader import Convert, Reader

_SHEET, _STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
_COLUMN = re.compile(r"([A-Z]{1,3})[0-9]*")
_MOST_COLUMNS = 16_384
"""As many as a sheet can have."""


class _Damaged(Exception):  # noqa: N818 - it names a state of the file
    """Why a file is no table; the only argument is the reason."""


def read_xlsx(
    reader: Reader, path: Path, relative: str, limit_bytes: int, convert: Convert
) -> Iterator[Outcome]:
    """Yield the outcome of each row after the first that holds anything.

    A file that is no such table is one rejection, with its beginning.
    """
    name = portable_path(relative)
    try:
        rows = _rows(path, limit_bytes)
    except _Damaged as error:
        with path.open("rb") as file:
            raw = file.read(1024)
        origin = Origin(path=name, record=0)
        yield Outcome(rejection=Rejection(origin=origin, reason=str(error), raw=raw))
        return
    header, *rest = rows or [[]]
    for ordinal, cells in enumerate(rest):
        origin = Origin(path=name, record=ordinal)
        raw = msgspec.json.encode(cells)
        named = [each for each in header if each]
        if len(cells) > len(named) or len(set(named)) < len(header):
            reason = "cells_do_not_fit_the_header"
            yield Outcome(rejection=Rejection(origin=origin, reason=reason, raw=raw))
            continue
        yield outcome(reader, raw, origin, convert, partial(_object, header))


def _object(header: list[str], raw: bytes) -> dict[str, str]:
    """Return a row by the names of its columns; cells that are not there are empty."""
    cells = msgspec.json.decode(raw, type=list[str])
    return dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=True))


def _rows(path: Path, limit_bytes: int) -> list[list[str]]:
    try:
        with zipfile.ZipFile(path) as file:
            has_strings = _STRINGS in file.namelist()
            strings = list(_part(file, _STRINGS, limit_bytes)) if has_strings else []
            sheet = _part(file, _SHEET, limit_bytes)
    except (
        zipfile.BadZipFile,
        KeyError,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise _Damaged("invalid_xlsx") from error
    shared = ["".join(_texts(each)) for each in strings]
    rows = [_cells(row, shared) for part in sheet if _tag(part) == "sheetData" for row in part]
    return [row for row in rows if any(row)]


def _part(file: zipfile.ZipFile, name: str, limit_bytes: int) -> ElementTree.Element:
    """Return the tree of one file inside; its size is checked before and while unpacking."""
    with file.open(name) as part:
        data = part.read(min(limit_bytes, file.getinfo(name).file_size) + 1)
    if len(data) > limit_bytes:
        raise _Damaged("over_memory")
    if b"<!DOCTYPE" in data:
        raise _Damaged("invalid_xlsx")  # the format has none; entities could grow without bound
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise _Damaged("invalid_xlsx") from error


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _texts(element: ElementTree.Element) -> Iterator[str]:
    """Yield the texts of a string and of its runs; phonetic hints are no part of it."""
    for part in element:
        if _tag(part) == "t":
            yield part.text or ""
        elif _tag(part) == "r":
            yield from _texts(part)


def _cells(row: ElementTree.Element, shared: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in row:
        at = _column(cell.get("r", ""), len(cells))
        cells += [""] * (at + 1 - len(cells))
        cells[at] = _value(cell, shared)
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _column(reference: str, expected: int) -> int:
    """Return the number of the column of `B7`, from 0."""
    letters = _COLUMN.fullmatch(reference)
    if letters is None:
        return expected
    number = 0
    for letter in letters[1]:
        number = number * 26 + ord(letter) - ord("A") + 1
    if number > _MOST_COLUMNS:
        raise _Damaged("invalid_xlsx")
    return number - 1


def _value(cell: ElementTree.Element, shared: list[str]) -> str:
    for part in cell:
        if _tag(part) == "is":
            return "".join(_texts(part))
        if _tag(part) == "v":
            text = part.text or ""
            if cell.get("t") != "s":
                return text
            if not text.isdigit() or int(text) >= len(shared):
                raise _Damaged("invalid_xlsx")
            return shared[int(text)]
    return ""
