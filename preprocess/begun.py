"""What a directory was begun with: `run.json`, written once, held against every later run."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.errors import UserError
from preprocess.manifest import MANIFEST, RUN, to_json, write_whole
from preprocess.run_options import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from pathlib import Path


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `run.json`."""

    stage: str
    version: str
    config: dict[str, Any]
    inputs: list[dict[str, Any]]
    units: int


def begin_or_resume(path: Path, begun: Begun) -> None:
    """Claim a directory for a run, unless an equal one has.

    Raises:
        UserError: It was begun with another stage, other inputs or options, or holds files that
            are not ours.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: expected a directory to write into, found a file")
    path.mkdir(parents=True, exist_ok=True)
    existing = read_begun(path)
    if existing is None:
        _refuse_foreign(path)
        existing = _claim(path, begun)
    _refuse_other(path, existing, begun)


def read_begun(path: Path) -> Begun | None:
    """Return what a directory was begun with, or None if nothing was.

    Raises:
        UserError: No stage wrote what stands there.
    """
    try:
        content = (path / RUN).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return msgspec.json.decode(content, type=Begun)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path / RUN}: expected what a stage wrote there, but {error}; choose a new directory"
        ) from error


def _refuse_foreign(path: Path) -> None:
    ours = {RUN, MANIFEST, "units", "tasks"}
    for name in sorted(entry.name for entry in path.iterdir()):
        if name not in ours and not name.startswith("."):
            raise UserError(
                f"{path}: expected an empty or new directory, found {name} in it; "
                "choose another, nothing there was touched"
            )


def _claim(path: Path, begun: Begun) -> Begun:
    """Write `run.json` unless somebody else just did; return what stands there."""
    # Not the number of the process alone: of two machines on one disk both may have it.
    private = path / f".{RUN}.{os.getpid()}-{secrets.token_hex(8)}.tmp"
    write_whole(private, to_json(begun))
    try:
        # A link fails where the name is taken, on NFS too: of two runs one wins.
        os.link(private, path / RUN)
    except FileExistsError:
        pass
    except OSError:
        # A file system without links; the rename is still whole.
        private.replace(path / RUN)
    finally:
        private.unlink(missing_ok=True)
    existing = read_begun(path)
    assert existing is not None
    return existing


def _refuse_other(path: Path, existing: Begun, begun: Begun) -> None:
    if existing == begun:
        return
    if existing.stage != begun.stage:
        difference = f"stage {existing.stage}, not {begun.stage}"
    elif existing.version != begun.version:
        difference = f"version {existing.version}, not {begun.version}"
    elif existing.config != begun.config:
        name = min(
            name
            for name in existing.config.keys() | begun.config.keys()
            if existing.config.get(name) != begun.config.get(name)
        )
        if name == "max_record_bytes":
            raise UserError(_other_memory(path, existing, begun))
        difference = f"{name} {existing.config.get(name)!r}, not {begun.config.get(name)!r}"
    else:
        difference = f"other inputs ({_first_difference(existing.inputs, begun.inputs)})"
    raise UserError(
        f"{path}: this directory was begun with {difference}; "
        "choose a new directory, or remove this one"
    )


def _other_memory(path: Path, existing: Begun, begun: Begun) -> str:
    """Say that the limits of a record differ, which follow from the memory."""

    def shown(limit: int | None) -> str:
        return f"{limit} bytes" if limit else f"{MAX_RECORD_BYTES >> 30}GiB or more"

    before, now = (each.config.get("max_record_bytes") for each in (existing, begun))
    return (
        f"{path}: this directory was begun with --memory {shown(before)}, not {shown(now)}, which "
        "decides how long a record may be; give the same again, choose a new directory, or remove "
        "this one"
    )


def _first_difference(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> str:
    for old, new in zip(before, now, strict=False):
        if old["path"] != new["path"]:
            return f"{old['path']} where {new['path']} is now"
        if old != new:
            return f"{old['path']} has changed"
    return f"{len(before)} files, {len(now)} now"
