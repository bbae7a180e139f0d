"""Looking up the texts of a few records in the files that a stage read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from preprocess import _rust_ext

if TYPE_CHECKING:
    from collections.abc import Iterable

SEARCHED_BYTES = 4 << 30
"""Stored bytes that are searched at most: a few minutes; the page is no place to scan a corpus."""


def locate(name: str, run: Path) -> Path:
    """Return where a file that a manifest names is: if it has moved along with the run, there."""
    path = Path(name)
    return path if path.is_file() else run / path.parent.name / path.name


class _Text(msgspec.Struct):
    text: str


def find_texts(
    paths: Iterable[str], wanted: set[str], run: Path, *, is_own_content: bool = True
) -> dict[str, str]:
    """Return what `dedup` compares of those wanted records that stand in the files.

    That is the own content of a conversation, or, where `is_own_content` is False, its text.

    A file that is gone, damaged or behind `SEARCHED_BYTES` gives nothing, or what stands before
    the damage.
    """
    found: dict[str, str] = {}
    compared = _rust_ext.compared_text if is_own_content else _text
    searched = 0
    for name in paths:
        path = locate(name, run)
        if found.keys() >= wanted or not path.is_file():
            continue
        searched += path.stat().st_size
        if searched > SEARCHED_BYTES:
            break
        try:
            lines, _ = _rust_ext.find_records(
                path, relative=path.name, ids=sorted(wanted - found.keys())
            )
            found |= {identifier: compared(line) for identifier, _, line in lines}
        except (OSError, ValueError):
            continue
    return found


def _text(line: bytes) -> str:
    return msgspec.json.decode(line, type=_Text).text
