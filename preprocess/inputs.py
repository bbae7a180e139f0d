"""From the INPUT of a command line to the files that are read, in an order all machines share."""

from __future__ import annotations

import glob
import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import xxhash

from preprocess.addresses import Place, is_address
from preprocess.errors import UserError
from preprocess.manifest import MANIFEST, Share, parse_manifest, read_manifest
from preprocess.records import portable_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from preprocess.manifest import Manifest

LINE_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
JSON_SUFFIXES = (".json", ".json.gz", ".json.zst")
WARC_SUFFIXES = tuple(f".{kind}{end}" for kind in ("wet", "warc") for end in ("", ".gz", ".zst"))
RECORD_SUFFIXES = (*LINE_SUFFIXES, ".parquet", *JSON_SUFFIXES, *WARC_SUFFIXES)
RECORD_FILES = ".jsonl, .json, .wet, each also .gz and .zst, .parquet"
LOCAL = ("file:", "local:")
"""How addresses of what lies on this machine begin."""
NOT_RECORDS = (".", "rejected.", "clusters.", "cuts.")
"""Names that begin so are hidden, or stand beside the shards of a stage."""
NO_RECORDS = (MANIFEST, "run.json")
"""What stages write beside their shards."""
SPELLED_LIKE_RECORDS = re.compile(r"\.(json|parquet)", re.IGNORECASE)
UNIT_BYTES = 256 << 20
"""A unit of loose files ends with the file that brings it to this stored size."""
FINGERPRINT_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFile:
    """A file to read."""

    path: Path
    relative: str
    """Path below the input that was given, `/` between its parts; names the file in records."""
    bytes: int
    xxh3: str
    """From the manifest of the stage that wrote it; else of its first and last 64 KiB."""
    is_hashed: bool
    """Whether `xxh3` is that of the whole file."""
    text_bytes: int | None = None
    composition: tuple[Share, ...] = ()
    address: str | None = None
    """Where it is fetched from; until then `path` says no more than its name."""

    @property
    def shown(self) -> str:
        """The path or address as a manifest can hold it: names need not be UTF-8."""
        return portable_path(self.address or str(self.path))


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """What one task works on at a time."""

    index: int
    files: tuple[InputFile, ...]
    is_shard: bool
    """Whether it is a shard of a record directory: then it gives one shard again."""
    bytes: int = field(default=0)


def is_record_file(relative: PurePosixPath) -> bool:
    """Return whether a name promises records: JSON, rows, or texts of a WET file."""
    name = relative.name
    is_aside = name.startswith(NOT_RECORDS) or name in NO_RECORDS
    return name.endswith(RECORD_SUFFIXES) and not is_aside


def resolve(
    inputs: list[str], accepts: Callable[[PurePosixPath], bool], expected: str
) -> list[InputFile]:
    """Return the files that the inputs name: files, globs, directories, record directories.

    Each may be an address that fsspec knows instead of a path.

    Files of a directory are taken if `accepts` says so, in the order of their path's bytes; a file
    that is named is always taken. `expected` says in words what is accepted.

    Raises:
        UserError: An input is missing or empty, a record directory is not complete, or two files
            would have the same relative path.
    """
    files: list[InputFile] = []
    for given in inputs:
        places = Place(given).matches() if is_address(given) else []
        for place in places:
            if place.local is None:
                files += _remote(place, accepts, expected)
        local = [place.local for place in places if place.local is not None]
        for path in local if places else _expand(given):
            if path.is_dir():
                found = _directory(path, accepts)
                if not found:
                    raise UserError(f"expected {expected} in {path}, found none; check the path")
                files += found
            else:
                files.append(_file(path, path.name))
    _refuse_twins(files)
    return files


def refuse_inside(inputs: Sequence[str], output: Path) -> None:
    """Refuse an output below a directory that is read: the next run would read it as well.

    Raises:
        UserError: Naming both.
    """
    target = output.resolve()
    for given in inputs:
        is_local = is_address(given) and given.startswith(LOCAL)
        path = ((Place(given).local if is_local else None) or Path(given)).resolve()
        if path != target and path.is_dir() and target.is_relative_to(path):
            raise UserError(
                f"{output}: expected a place outside of the input, found it below {given}; "
                "choose another"
            )


def record_files(inputs: list[str]) -> list[InputFile]:
    """Return the files of records that the inputs name.

    Raises:
        UserError: As `resolve`, or a named file has another extension.
    """
    files = resolve(inputs, is_record_file, f"record files ({RECORD_FILES})")
    for file in files:
        if not file.path.name.endswith(RECORD_SUFFIXES):
            raise UserError(
                f"{file.shown}: expected a file of records ({RECORD_FILES}) or a "
                "directory of them; rename it, or make records of it with `preprocess ingest`"
            )
    return files


def units_of(files: list[InputFile]) -> list[Unit]:
    """Return the units that the files make: a shard each, or loose files up to 256 MiB stored.

    It depends on nothing but the files, so that every task cuts the same units.
    """
    units: list[Unit] = []
    loose: list[InputFile] = []
    size = 0

    def close() -> None:
        nonlocal size
        if loose:
            units.append(_unit(len(units), loose, size, is_shard=False))
            loose.clear()
            size = 0

    for file in files:
        if file.is_hashed:
            close()
            units.append(_unit(len(units), [file], file.bytes, is_shard=True))
            continue
        loose.append(file)
        size += file.bytes
        if size >= UNIT_BYTES:
            close()
    close()
    return units


def _unit(index: int, files: list[InputFile], size: int, *, is_shard: bool) -> Unit:
    return Unit(index=index, files=tuple(files), is_shard=is_shard, bytes=size)


def _expand(given: str) -> list[Path]:
    path = Path(given)
    if path.exists():
        return [path]
    if glob.has_magic(given):
        matches = sorted(glob.glob(given, recursive=True), key=os.fsencode)  # noqa: PTH207 - absolute ones too
        if matches:
            return [Path(match) for match in matches]
        raise UserError(f"{given}: expected files that match, found none; check the pattern")
    raise UserError(f"{given}: expected a file or a directory, found nothing there; check the path")


def _directory(directory: Path, accepts: Callable[[PurePosixPath], bool]) -> list[InputFile]:
    manifest = read_manifest(directory)
    if manifest is None:
        if (directory / "run.json").exists():
            raise UserError(
                f"{directory}: expected a complete directory, but it has no {MANIFEST}; run the "
                "command that began it again, or `preprocess verify --complete` after its tasks"
            )
        named = [relative for relative in _walk(directory) if accepts(relative)]
        named = [relative for relative in named if not _is_sidecar(directory / relative)]
        there = [relative for relative in named if (directory / relative).is_file()]
        if left := sorted(set(named) - set(there)):
            # Real trees hold dangling links; a run of hours does not fail for one, nor hide it.
            print(
                f"{directory}: {len(left)} names are no files (pipes, dangling links) and hold "
                f"nothing to read, {left[0]} for example",
                file=sys.stderr,
            )
        _say_passed_over(directory, accepts)
        return [_file(directory / relative, str(relative)) for relative in there]
    return [
        replace(file, path=directory / file.relative) for file in _shards(str(directory), manifest)
    ]


def _shards(directory: str, manifest: Manifest) -> list[InputFile]:
    """Return the shards of a record directory."""
    if manifest.problems:
        raise UserError(
            f"{directory}: expected whole output, but {manifest.problems[0]}; mend that input and "
            "make the directory again"
        )
    return [
        InputFile(
            path=Path(shard.name),
            relative=shard.name,
            bytes=shard.bytes,
            xxh3=shard.xxh3,
            is_hashed=True,
            text_bytes=shard.text_bytes,
            composition=tuple(shard.composition),
        )
        for shard in manifest.shards
    ]


def _remote(
    place: Place, accepts: Callable[[PurePosixPath], bool], expected: str
) -> list[InputFile]:
    """Return the files at an address: one, those of a directory, or the shards of a stage."""
    if not place.is_directory():
        return [_remote_file(place, place.name)]
    if (listed := place.beside(MANIFEST)).exists():
        manifest = parse_manifest(listed.read(), listed.address)
        return [
            replace(file, address=place.beside(file.relative).address)
            for file in _shards(place.address, manifest)
        ]
    if place.beside("run.json").exists():
        raise UserError(
            f"{place.address}: expected a complete directory, but it has no {MANIFEST}; complete "
            "it where it was begun"
        )
    found = [
        _remote_file(file, relative)
        for relative, file in place.below()
        if accepts(PurePosixPath(relative))
    ]
    if not found:
        raise UserError(f"expected {expected} in {place.address}, found none; check the address")
    return found


def _remote_file(place: Place, relative: str) -> InputFile:
    size = place.size()
    digest = xxhash.xxh3_64(place.read(0, min(size, FINGERPRINT_BYTES)) if size else b"")
    if size > FINGERPRINT_BYTES:
        digest.update(place.read(max(FINGERPRINT_BYTES, size - FINGERPRINT_BYTES), size))
    return InputFile(
        path=Path(place.name),
        relative=portable_path(relative),
        bytes=size,
        xxh3=digest.hexdigest(),
        is_hashed=False,
        address=place.address,
    )


def _say_passed_over(directory: Path, accepts: Callable[[PurePosixPath], bool]) -> None:
    """Say what in a directory looks like input and is not taken: nobody would miss it else."""
    found = []
    for root, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(root)
        found += [below / name for name in folders if (below / name).is_symlink()]
        found += [
            below / name
            for name in names
            if SPELLED_LIKE_RECORDS.search(name)
            and not name.endswith(RECORD_SUFFIXES)
            and not name.startswith(NOT_RECORDS)
            and not accepts(PurePosixPath((below / name).relative_to(directory)))
        ]
    if found:
        shown = portable_path(str(min(found, key=os.fsencode)))
        print(
            f"{directory}: {len(found)} linked folders or names spelled otherwise than "
            f"{', '.join(RECORD_SUFFIXES)} are passed over, {shown} for example; name them as "
            "inputs, or rename them",
            file=sys.stderr,
        )


def _is_sidecar(path: Path) -> bool:
    """Return whether a `.json` describes the indexed dataset that it stands beside."""
    return path.suffix == ".json" and path.with_suffix(".idx").exists()


def _walk(directory: Path) -> Iterator[PurePosixPath]:
    """Yield the files below a directory in byte order of their paths; links are not followed."""
    found: list[str] = []
    for root, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(root, directory)
        found += [name if below == "." else f"{below}/{name}" for name in names]
    for relative in sorted(found, key=os.fsencode):
        yield PurePosixPath(relative)


def _file(path: Path, relative: str) -> InputFile:
    try:
        if not path.is_file():
            path.stat()  # says why, if there is nothing
            raise UserError(f"{path}: expected a file, found a device or a pipe; store it first")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = xxhash.xxh3_64(file.read(FINGERPRINT_BYTES))
            if size > FINGERPRINT_BYTES:
                file.seek(max(FINGERPRINT_BYTES, size - FINGERPRINT_BYTES))
                digest.update(file.read(FINGERPRINT_BYTES))
    except OSError as error:
        raise UserError(f"{path}: expected a readable file, but {error.strerror}") from error
    return InputFile(
        path=path,
        relative=portable_path(relative),
        bytes=size,
        xxh3=digest.hexdigest(),
        is_hashed=False,
    )


def _refuse_twins(files: list[InputFile]) -> None:
    seen: dict[str, str] = {}
    places: set[str] = set()
    for file in files:
        # Of the path itself links are not followed: two names in one directory are two files.
        place = file.address or os.path.join(  # noqa: PTH118
            os.path.realpath(file.path.parent), file.path.name
        )
        if place in places:
            raise UserError(f"{file.shown}: expected each file once, it is among the inputs twice")
        places.add(place)
        if file.is_hashed:
            continue  # shards are all named alike; their records' ids are their own
        other = seen.setdefault(file.relative, file.shown)
        if other != file.shown:
            raise UserError(
                f"{other} and {file.shown} would give records the same id ({file.relative}#...); "
                "give the folder that holds both as one input, or run twice"
            )
