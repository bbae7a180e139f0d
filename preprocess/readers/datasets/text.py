"""Dataset `text`: prose in any language.

A native record is a file in Markdown, MDX, reStructuredText or plain text, or one of its lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.readers.documents import is_document, read_documents
from preprocess.readers.reader import Options, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.records import Outcome


def read_file(path: Path, relative: str, options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each page of a file."""
    yield from read_documents(READER, path, relative, options, limit_bytes)


READER = Reader(
    name="text",
    kind="text",
    license="unknown",
    terms="under the terms of whoever wrote it",
    published="any size",
    layout="*.md, *.mdx, *.markdown, *.rst, *.txt (.gz, .zst), any depth",
    unit="a file, or with --per line a line",
    accepts=is_document,
    read_file=read_file,
    streams=True,
    options={"per": "file"},
)
