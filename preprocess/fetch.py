"""Files at addresses, fetched while a unit of them is read and removed after it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.addresses import Place
from preprocess.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.inputs import InputFile, Unit


@contextlib.contextmanager
def local_unit(unit: Unit, scratch: Path) -> Iterator[Unit]:
    """Yield the unit with all of its files on this machine."""
    with local_files(unit.files, scratch) as files:
        yield replace(unit, files=files)


@contextlib.contextmanager
def local_files(files: tuple[InputFile, ...], scratch: Path) -> Iterator[tuple[InputFile, ...]]:
    """Yield the files, those at addresses fetched into a private place below `scratch`.

    What a kill leaves there goes with the journal of the run.

    Raises:
        UserError: A file cannot be fetched, or has not the size any more that it was listed with.
    """
    if all(file.address is None for file in files):
        yield files
        return
    place = Path(tempfile.mkdtemp(dir=scratch, prefix="fetched-"))
    try:
        yield tuple(_local(file, place, number) for number, file in enumerate(files))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _local(file: InputFile, place: Path, number: int) -> InputFile:
    if file.address is None:
        return file
    path = place / f"{number:05}-{file.path.name}"
    Place(file.address).fetch(path)
    size = path.stat().st_size
    if size != file.bytes:
        raise UserError(
            f"{file.address}: expected {file.bytes:,} bytes as listed, fetched {size:,}: it has "
            "changed or broke off; run again, into a new directory if it has changed"
        )
    return replace(file, path=path)


def named(problem: str, files: tuple[InputFile, ...]) -> str:
    """Return a message with the addresses of fetched files in the place of their copies."""
    for file in files:
        if file.address is not None:
            problem = problem.replace(str(file.path), file.address)
    return problem
