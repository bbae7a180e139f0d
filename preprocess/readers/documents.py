"""Documents in Markdown, MDX, reStructuredText and plain text, for the datasets made of them.

The front matter of a page (YAML between two lines of dashes) is not its text: it goes to `meta`
as it stands. Where it names a title that the page's beginning does not, the title heads the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.decoding import UndecodableTextError, decode_text
from preprocess.readers.draft import Draft, finish
from preprocess.readers.lines import read_lines, read_whole
from preprocess.readers.reader import over_memory
from preprocess.records import Origin, Outcome, Rejection, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    from preprocess.readers.reader import Options, Reader

SUFFIXES = (".md", ".mdx", ".markdown", ".rst", ".rst.txt", ".txt")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*(?:\n|\Z)", re.DOTALL)
_HEAD_CHARACTERS = 500
_MOST_DEPTH = 64


def is_document(relative: PurePosixPath) -> bool:
    """Return whether a name is that of a document, compressed or not."""
    name = relative.name.lower().removesuffix(".gz").removesuffix(".zst")
    return name.endswith(SUFFIXES)


def read_documents(
    reader: Reader, path: Path, relative: str, options: Options, limit_bytes: int
) -> Iterator[Outcome]:
    """Yield the outcome of a file, or of each of its lines that is not blank.

    Args:
        reader: The dataset.
        path: A plain, `.gz` or `.zst` file.
        relative: Its path relative to the input.
        options: `per`: `file`, or `line` where each line is a document.
        limit_bytes: Documents of more are rejected.

    Raises:
        TruncatedInput: A compressed stream ends early or is damaged.
    """
    name = portable_path(relative)
    if options["per"] == "line":
        lines = (line for line in read_lines(path, limit_bytes) if line.data.strip())
        for ordinal, line in enumerate(lines):
            origin = Origin(path=name, record=ordinal)
            if line.is_oversized or line.is_cut:
                reason = "over_memory" if line.is_oversized else "truncated"
                yield Outcome(rejection=Rejection(origin=origin, reason=reason, raw=line.data))
            else:
                yield _outcome(reader, origin, line.data, is_page=False)
        return
    data = read_whole(path, limit_bytes)
    if data is None:
        yield over_memory(path, relative)
    else:
        yield _outcome(reader, Origin(path=name, record=0), data, is_page=True)


def _outcome(reader: Reader, origin: Origin, data: bytes, *, is_page: bool) -> Outcome:
    try:
        text = decode_text(data)
    except UndecodableTextError as error:
        return Outcome(rejection=Rejection(origin=origin, reason=error.reason, raw=data))
    meta = {}
    if is_page:
        text, front_matter = split_front_matter(text)
        if front_matter:
            meta["front_matter"] = front_matter
    if not text or text.isspace():
        return Outcome(dropped=("empty",))
    draft = Draft(kind=reader.kind, text=text, meta=meta)
    return Outcome(records=(finish(reader, origin, draft),))


def split_front_matter(text: str) -> tuple[str, str]:
    """Return a page's text, headed by its title, and its front matter without the dashes."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        return text, ""
    stated = _stated(match[1])
    if isinstance(stated, str):
        return text, ""  # a paragraph between two rules
    body = text[match.end() :].lstrip("\n")
    title = _title(stated)
    if body.strip() and title and title not in body[:_HEAD_CHARACTERS]:
        body = f"# {title}\n\n{body}"
    return body, match[1]


def _title(stated: Any) -> str:
    title = stated.get("title") if isinstance(stated, dict) else None
    return title.strip() if isinstance(title, str) else ""


def _stated(front_matter: str) -> Any:
    """Return what front matter says, all scalars as strings; None where it is no YAML."""
    import yaml

    from preprocess.readers.yaml_depth import deeper_than

    try:
        if deeper_than(_MOST_DEPTH, front_matter):
            return None
        return yaml.load(front_matter, Loader=yaml.CBaseLoader)  # makes strings alone
    except (yaml.YAMLError, RecursionError):
        return None
