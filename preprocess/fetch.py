"""Files at addresses, fetched while a unit of them is read and removed after it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from preprocess.addresses import Place
from preprocess.errors import UserError
from preprocess.records import TruncatedInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from preprocess.inputs import InputFile, Unit

FETCHED = "fetched-"
"""How the names of the private places begin."""


@contextlib.contextmanager
def local_unit(unit: Unit, scratch: Path) -> Iterator[Unit]:
    """Yield the unit with all of its files on this machine."""
    with local_files(unit.files, scratch) as files:
        yield replace(unit, files=files)


@contextlib.contextmanager
def local_files(files: tuple[InputFile, ...], scratch: Path) -> Iterator[tuple[InputFile, ...]]:
    """Yield the files, those at addresses fetched into a private place below `scratch`.

    What a kill leaves there goes with the journal of the run, or with the job's own scratch.

    Raises:
        UserError: A file cannot be fetched, or has not the size any more that it was listed with;
            or what is raised meanwhile names a copy, which nobody would find: it names the address.
    """
    if all(file.address is None for file in files):
        yield files
        return
    place = Path(tempfile.mkdtemp(dir=scratch_directory(scratch), prefix=FETCHED))
    try:
        yield tuple(_local(file, place) for file in files)
    except (UserError, ValueError, TruncatedInput) as error:
        problem = named(str(error), files, scratch)
        if problem == str(error):
            raise
        raise UserError(problem) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def scratch_directory(default: Path) -> Path:
    """Return where files that a run needs for a while are put: `$HEPHAESTUS_FORGE_SCRATCH`.

    Without it they lie in the run's own directory, which has room for them; on a cluster that is
    shared by all nodes, and a disk of the node itself is the better place.
    """
    given = os.environ.get("HEPHAESTUS_FORGE_SCRATCH")
    return Path(given) if given else default


def _local(file: InputFile, place: Path) -> InputFile:
    if file.address is None:
        return file
    path = place / f"{_digest(file.address)}-{file.path.name}"
    Place(file.address).fetch(path)
    size = path.stat().st_size
    if size != file.bytes:
        raise UserError(
            f"{file.address}: expected {file.bytes:,} bytes as listed, fetched {size:,}: it has "
            "changed or broke off; run again, into a new directory if it has changed"
        )
    return replace(file, path=path)


def named(problem: str, files: Iterable[InputFile], scratch: Path) -> str:
    """Return a message with the addresses of files in the place of copies below `scratch`.

    A copy is known by its name, since a message may tell of one that another process fetched.
    """
    if FETCHED not in problem:
        return problem
    # As `mkdtemp` gives it.
    place = re.escape(os.path.abspath(scratch_directory(scratch) / FETCHED))  # noqa: PTH100
    for file in files:
        if file.address is not None:
            digest = _digest(file.address)
            name = re.escape(file.path.name.removeprefix(f"{digest}-"))
            # Not `sub`, in which an address could be read as a pattern.
            for copy in set(re.findall(rf"{place}[^/]+/{digest}-{name}", problem)):
                problem = problem.replace(copy, file.address)
    return problem


def _digest(address: str) -> str:
    return xxhash.xxh3_64_hexdigest(address.encode("utf-8", "surrogateescape"))
