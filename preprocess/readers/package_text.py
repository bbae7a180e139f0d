"""Dataset `package_text`: the prose that packages carry.

What is read, in a directory: READMEs, licences, change logs, the descriptions in installed
metadata, and `.md`, `.rst` and `.txt` documents. What is not: lists for tools (requirements,
entry points, CMake), and anything in folders of tests or data, whose text is not prose. A
`.txt` document of which too little is words is dropped as `not_prose`: a table or a word list.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath

from preprocess.readers.characters import count_characters
from preprocess.readers.decoding import UndecodableTextError, decode_text
from preprocess.readers.installed import license_of_file, license_of_metadata, parse_metadata
from preprocess.readers.reader import Options, Reader
from preprocess.records import Origin, Outcome, Record, Rejection, portable_path, record_id

_NAME = "package_text"

_LICENCE = re.compile(
    r"(licen[cs]es?|copying|notice|copyright|unlicense)([-._ ].*)?", re.IGNORECASE
)
_README = re.compile(r"read[-_ ]?me([-._ ].*)?", re.IGNORECASE)
_CHANGES = re.compile(
    r"(changes|changelog|change_log|news|history|authors|contributors|credits|thanks|todo"
    r"|contributing|releases?|release[-_]notes)(\.(md|rst|txt))?",
    re.IGNORECASE,
)
_LISTS = re.compile(
    r"(.*requirements.*|constraints.*|top_level|entry_points|dependency_links|sources|cmakelists"
    r"|namespace_packages|requires|zip-safe|record|robots|.*[-_]?words|.*word[-_]?list)\.txt",
    re.IGNORECASE,
)
_DOCUMENTS = frozenset((".md", ".markdown", ".rst", ".txt"))
_OTHER_FILES = frozenset(
    (".py", ".pyi", ".pyc", ".c", ".h", ".cpp", ".js", ".json", ".html", ".css", ".in", ".toml")
)
_FOLDERS_OF_DATA = frozenset(
    (
        "test",
        "tests",
        "testing",
        "testdata",
        "test_data",
        "data",
        "fixtures",
        "samples",
        "sample_data",
        "__pycache__",
    )
)
_PRINTED_LINE = re.compile(r"\S[^\n]*")
_METADATA_FOLDERS = (".dist-info", ".egg-info")

MIN_LETTER_SHARE = 0.65
"""Share of letters in what a `.txt` document prints, blanks left out: prose has 0.9, tables of
codes and numbers under 0.5."""

MIN_LETTERS_PER_LINE = 10
"""Letters in the mean line of a `.txt` document: one word has 6, a line of prose 50. Counted in
letters, not words, for scripts without spaces."""


def document_type(relative: PurePosixPath) -> str | None:
    """Return `readme`, `metadata`, `licence` or `documentation`, or None for other files."""
    name, suffix = relative.name, relative.suffix.lower()
    folder = relative.parent.name
    if name in ("METADATA", "PKG-INFO"):
        return "metadata" if folder.endswith(_METADATA_FOLDERS) else None
    if suffix in _OTHER_FILES or _LISTS.fullmatch(name):
        return None
    if _LICENCE.fullmatch(name) or _is_kept_as_licence(relative):
        return "licence"
    if _FOLDERS_OF_DATA.intersection(part.lower() for part in relative.parts[:-1]):
        return None
    if _README.fullmatch(name):
        return "readme"
    return "documentation" if suffix in _DOCUMENTS or _CHANGES.fullmatch(name) else None


def _is_kept_as_licence(relative: PurePosixPath) -> bool:
    """Whether installed metadata keeps the file as a licence (PEP 639), whatever its name."""
    pairs = pairwise(relative.parts)
    return any(f.endswith(_METADATA_FOLDERS) and below == "licenses" for f, below in pairs)


def accepts(relative: PurePosixPath) -> bool:
    """Accept documents by their names; the rule is the module's."""
    return document_type(relative) is not None


def read_file(path: Path, relative: str, _options: Options, _limit: int) -> Iterator[Outcome]:
    """Yield the one outcome of a document."""
    origin = Origin(path=portable_path(relative), record=0)
    data = path.read_bytes()
    try:
        text = decode_text(data)
    except UndecodableTextError as error:
        yield Outcome(rejection=Rejection(origin=origin, reason=error.reason, raw=data))
        return
    document = document_type(PurePosixPath(origin.path)) or "documentation"
    if document == "metadata":
        yield _describe(origin, text)
    elif document == "documentation" and path.suffix.lower() == ".txt" and not _is_prose(text):
        yield Outcome(dropped=("not_prose" if text.strip() else "empty",))
    else:
        yield _outcome(origin, text, license_of_file(path), {"document": document})


def _describe(origin: Origin, text: str) -> Outcome:
    """Return the long description of core metadata: the body, or the field of old versions."""
    metadata = parse_metadata(text)
    body = str(metadata.get_payload())
    if not body.strip():
        body = re.sub(r"\n(?: {7}\|| {8})", "\n", metadata.get("Description", ""))
    if body.strip() == "UNKNOWN":  # what old versions of setuptools wrote for none
        body = ""
    meta = {"document": "metadata", "distribution": metadata.get("Name", "")}
    return _outcome(origin, body.strip("\n"), license_of_metadata(metadata), meta)


def _outcome(origin: Origin, text: str, license_: str, meta: dict[str, str]) -> Outcome:
    if not text or text.isspace():
        return Outcome(dropped=("empty",))
    record = Record(
        id=record_id(_NAME, origin),
        text=text,
        kind="text",
        source=_NAME,
        license=license_,
        origin=origin,
        meta=dict(meta),
    )
    return Outcome(records=(record,))


def _is_prose(text: str) -> bool:
    """Whether enough is words, and lines hold more than a word: no table, no list of words."""
    letters = count_characters(text, str.isalpha)
    printed = len(text) - count_characters(text, str.isspace)
    lines = sum(1 for _ in _PRINTED_LINE.finditer(text))
    return letters >= MIN_LETTER_SHARE * printed and letters >= MIN_LETTERS_PER_LINE * lines


READER = Reader(
    name=_NAME,
    kind="text",
    license="per file",
    published="any size",
    layout="an installation (site-packages, standard library) or source trees, any depth",
    unit="a document",
    accepts=accepts,
    read_file=read_file,
)
