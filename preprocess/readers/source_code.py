"""Dataset `source_code`: one record for each file of code."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from preprocess.readers.characters import count_characters
from preprocess.readers.decoding import UndecodableTextError, decode_text
from preprocess.readers.installed import license_of_file
from preprocess.readers.languages import language_of_name, language_of_shebang
from preprocess.readers.reader import Options, Reader
from preprocess.records import Origin, Outcome, Record, Rejection, portable_path, record_id

_NAME = "source_code"

_VENDORED_FOLDERS = frozenset(
    (
        "_vendor",
        "_vendored",
        "vendor",
        "vendored",
        "third_party",
        "third-party",
        "thirdparty",
        "3rdparty",
        "node_modules",
        "extern",
        "external",
        "externals",
    )
)
_GENERATED_NAME = re.compile(
    r"\.min\.js$|[.-]bundle\.js$|_pb2(_grpc)?\.pyi?$|\.pb\.(h|cc|go)$|\.g\.dart$", re.IGNORECASE
)
_GENERATED_MARK = re.compile(
    r"\b(auto[- ]?|automatically |machine[- ])generated\b"
    r"|\bgenerated (automatically |automagically )?(by|from|with|using)\b"
    r"|\bdo not (edit|modify)\b|@generated\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"\s*(#|//|/\*|--|;|%|<!--|!|rem\b|dnl\b)", re.IGNORECASE)
_COMMENT_OF_C = re.compile(r"\s*\*")
_MARKED_LINES = 12
"""Lines in which a mark counts: below the usual licence header it is about something else."""

MAX_LINE_CHARACTERS = 1000
MAX_MEAN_LINE_CHARACTERS = 100
MIN_ALPHANUMERIC_SHARE = 0.25
"""The limits of Codex and CodeParrot (Chen et al. 2021, arXiv 2107.03374, for both lengths)."""

_LONG_LINE = re.compile(rf"[^\n]{{{MAX_LINE_CHARACTERS + 1}}}")


def accepts(relative: PurePosixPath) -> bool:
    """Accept files with a name of code, and those without extension that may have a shebang."""
    if language_of_name(relative):
        return True
    # LICENSE, RECORD and their like are in capitals; programs are not.
    return "." not in relative.name and relative.name.islower()


def read_file(path: Path, relative: str, _options: Options, _limit: int) -> Iterator[Outcome]:
    """Yield the one outcome of a file."""
    origin = Origin(path=portable_path(relative), record=0)
    name = PurePosixPath(origin.path)
    language = language_of_name(name)
    if language is None and not _has_shebang(path):
        yield Outcome(dropped=("not_code",))
        return
    data = path.read_bytes()
    try:
        text = decode_text(data, is_python=language in ("Python", "Cython"))
    except UndecodableTextError as error:
        yield Outcome(rejection=Rejection(origin=origin, reason=error.reason, raw=data))
        return
    language = language or language_of_shebang(text)
    reason = _reason_to_drop(path, name, text, language)
    if reason or language is None:
        yield Outcome(dropped=(reason or "not_code",))
        return
    record = Record(
        id=record_id(_NAME, origin),
        text=text,
        kind="code",
        source=_NAME,
        license=license_of_file(path),
        origin=origin,
        meta={"language": language, "lines": _count_lines(text)},
    )
    yield Outcome(records=(record,))


def _has_shebang(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _reason_to_drop(path: Path, name: PurePosixPath, text: str, language: str | None) -> str | None:
    if not text or text.isspace():
        return "empty"
    if language is None:
        return "not_code"
    if is_vendored(path, name):
        return "vendored"
    if is_generated(name, text):
        return "generated"
    characters = len(text) - text.count("\n")
    if _LONG_LINE.search(text) or characters > MAX_MEAN_LINE_CHARACTERS * _count_lines(text):
        return "long_lines"
    if count_characters(text, str.isalnum) < MIN_ALPHANUMERIC_SHARE * len(text):
        return "not_alphanumeric"
    return None


def _count_lines(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n"))


def is_vendored(path: Path, name: PurePosixPath) -> bool:
    """Whether a file is a copy of another project's, by the folders above it."""
    folders = name.parts[:-1]
    if any(folder.lower() in _VENDORED_FOLDERS for folder in folders):
        return True
    # An installation inside a package is a copy too; a plain site-packages folder is not.
    above = list(path.parents)[: len(folders)]
    return any(
        folder.name == "site-packages" and (folder.parent / "__init__.py").is_file()
        for folder in above
    )


def is_generated(name: PurePosixPath, text: str) -> bool:
    """Whether a program wrote the file, by its name or by a comment near its top saying so."""
    if _GENERATED_NAME.search(name.name):
        return True
    head = text[:4000].split("\n", _MARKED_LINES)[:_MARKED_LINES]
    in_c = any(line.lstrip().startswith("/*") for line in head)
    comments = (
        line for line in head if _COMMENT.match(line) or (in_c and _COMMENT_OF_C.match(line))
    )
    return any(map(_GENERATED_MARK.search, comments))


READER = Reader(
    name=_NAME,
    kind="code",
    license="per file",
    published="any size",
    layout="a source tree or an installation, any depth",
    unit="a file of code",
    accepts=accepts,
    read_file=read_file,
)
