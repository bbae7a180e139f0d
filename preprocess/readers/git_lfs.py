"""Pointer files of Git LFS: what a checkout without LFS holds in place of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.records import Origin, Outcome, Rejection, portable_path

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = b"version https://git-lfs.github.com/spec/"
_LARGEST_BYTES = 1024
"""Pointers are shorter than this, says the specification."""


def pointer_outcome(path: Path, relative: str) -> Outcome | None:
    """Return the rejection (`git_lfs_pointer`) of a pointer file, None for any other file."""
    with path.open("rb") as file:
        head = file.read(_LARGEST_BYTES)
    if not head.startswith(_HEAD):
        return None
    origin = Origin(path=portable_path(relative), record=0)
    return Outcome(rejection=Rejection(origin=origin, reason="git_lfs_pointer", raw=head))
