"""Dataset `openapi`: OpenAPI 2 (Swagger) and 3 documents, in JSON or YAML.

A native record is a document. It gives a record for each operation, whose tool takes what the
request takes; one for each schema that no request uses, since what an API answers is part of its
documentation; and one for the document itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.readers.native import Native, Unreadable, outcome, read_common
from preprocess.readers.reader import Options, Reader, over_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    from preprocess.readers.draft import Draft
    from preprocess.records import Outcome, Written

_YAML = (".yaml", ".yml")
_SUFFIXES = (".json", *_YAML)


def accepts(relative: PurePosixPath) -> bool:
    """Accept JSON and YAML files, compressed ones too."""
    return relative.name.removesuffix(".gz").removesuffix(".zst").endswith(_SUFFIXES)


def read_file(
    path: Path, relative: str, _options: Options, limit_bytes: int
) -> Iterator[Outcome | Written]:
    """Yield the outcome of each document of a file: usually there is one."""
    if not path.name.removesuffix(".gz").removesuffix(".zst").endswith(_YAML):
        yield from read_common(READER, path, relative, limit_bytes, convert)
        return
    from preprocess.readers.datasets.openapi.yaml_text import load_yaml
    from preprocess.readers.lines import read_whole
    from preprocess.records import Origin, portable_path

    data = read_whole(path, limit_bytes)
    if data is None:
        yield over_memory(path, relative)
        return
    origin = Origin(path=portable_path(relative), record=0)
    yield outcome(READER, data, origin, convert, parse=load_yaml)


def convert(native: Native) -> Iterator[Draft]:
    """Yield the drafts of a document.

    Raises:
        Unreadable: `not_openapi`: an object that names no version of OpenAPI or has no paths.
    """
    from preprocess.readers.datasets.openapi.document import drafts_of

    value = native.value
    if not isinstance(value, dict) or not ("swagger" in value or "openapi" in value):
        raise Unreadable("not_openapi")
    yield from drafts_of(native)


READER = Reader(
    name="openapi",
    kind="tool_documentation",
    license="unknown",
    terms="each document is under its provider's terms; `info.license` stands in `meta`",
    url="https://github.com/APIs-guru/openapi-directory",
    released="2015 and later",
    published="any size; APIs.guru lists over 2,500 documents",
    layout="*.json, *.yaml, *.yml (.gz, .zst): OpenAPI 2.0, 3.0 or 3.1, a document a file",
    unit="a document",
    accepts=accepts,
    read_file=read_file,
    has_common_form=True,
    streams=True,
)
