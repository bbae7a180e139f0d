"""Dataset `web`: pages of the web, from WARC and WET archives or as HTML files.

Of a page its main text is taken, by trafilatura; a WET archive holds text already. A native record
is a page: an archive's responses, resources and conversions. Those of other HTTP statuses, other
types than HTML or text, or without main text are dropped, each with its reason.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.decoding import UndecodableTextError, decode_text
from preprocess.readers.draft import Draft, finish
from preprocess.readers.lines import DecompressedStream, read_whole
from preprocess.readers.reader import Options, Reader, over_memory
from preprocess.records import Origin, Outcome, Rejection, TruncatedInput, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

_ARCHIVES = (".warc", ".wet")
_PAGES = (".html", ".htm", ".xhtml")
_HTML = ("text/html", "application/xhtml+xml")
_DOCUMENTS = frozenset(("response", "resource", "conversion"))
_OK = "200"
_HEAD = 1 << 16
"""Bytes kept of a page that is too long."""

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_META_BYTES = 4096
"""Where a page has to say its character set; HTML asks for the first 1,024."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LATIN = frozenset(("iso-8859-1", "iso8859-1", "latin1", "latin-1", "us-ascii", "ascii"))
_LINES_AT_END = 2
"""Line ends behind every record of an archive."""


def accepts(relative: PurePosixPath) -> bool:
    """Accept WARC and WET archives and HTML files, compressed or not."""
    return _plain_name(relative.name).endswith((*_ARCHIVES, *_PAGES))


def _plain_name(name: str) -> str:
    return name.lower().removesuffix(".gz").removesuffix(".zst")


def read_file(path: Path, relative: str, _options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each page of a file.

    Raises:
        TruncatedInput: An archive ends early or is damaged, after all that could be read.
    """
    if _plain_name(path.name).endswith(_ARCHIVES):
        yield from _read_archive(path, portable_path(relative), limit_bytes)
        return
    data = read_whole(path, limit_bytes)
    if data is None:
        yield over_memory(path, relative)
        return
    yield _page(Origin(path=portable_path(relative), record=0), data, {})


def _read_archive(path: Path, name: str, limit_bytes: int) -> Iterator[Outcome]:
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    ordinal = 0
    with path.open("rb") as file:
        stream = DecompressedStream(file, path)
        try:
            for record in ArchiveIterator(io.BufferedReader(stream), arc2warc=True):
                if record.rec_type not in _DOCUMENTS:
                    continue  # about the archive, or a request: no page
                origin = Origin(path=name, record=ordinal, url=_address(record))
                yield _of_archive(record, origin, limit_bytes)
                ordinal += 1
                if record.raw_stream.limit:
                    raise EOFError(f"{record.raw_stream.limit} bytes of it are missing")
            if stream.end.strip(b"\r\n") or stream.end.count(b"\n") < _LINES_AT_END:
                raise EOFError("the last record has no end")
        except (ArchiveLoadFailed, EOFError, OSError, ValueError) as error:
            raise TruncatedInput(
                f"{path}: expected a whole WARC archive, it is damaged at page {ordinal} "
                f"({error}); what came before was read; fetch the file again"
            ) from error


def _address(record: Any) -> str | None:
    url = record.rec_headers.get_header("WARC-Target-URI")
    return url if url and url.startswith(("http://", "https://")) else None


def _of_archive(record: Any, origin: Origin, limit_bytes: int) -> Outcome:
    stream = record.content_stream()
    data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        while stream.read(1 << 20):
            pass
        return Outcome(rejection=Rejection(origin=origin, reason="over_memory", raw=data[:_HEAD]))
    if record.raw_stream.limit:  # what the archive states and does not have
        return Outcome(rejection=Rejection(origin=origin, reason="truncated", raw=data))
    http = record.http_headers
    headers = record.rec_headers
    meta = {
        key: value
        for key, value in (
            ("crawled", headers.get_header("WARC-Date")),
            ("languages", headers.get_header("WARC-Identified-Content-Language")),
        )
        if value
    }
    if http is not None and http.get_statuscode() != _OK:
        return Outcome(dropped=(f"http_status_{http.get_statuscode() or 'unknown'}",))
    kind = (http.get_header("Content-Type") if http else None) or (
        headers.get_header("WARC-Identified-Payload-Type") or headers.get_header("Content-Type")
    )
    plain = (kind or "").partition(";")[0].strip().lower()
    if record.rec_type == "conversion" or plain == "text/plain":
        return _text(origin, data, meta)
    if plain not in _HTML and kind:
        return Outcome(dropped=("not_html",))
    return _page(origin, data, meta, stated=_charset(kind))


def _charset(kind: str | None) -> str | None:
    match = _CHARSET.search(kind or "")
    return match[1] if match else None


def _text(origin: Origin, data: bytes, meta: dict[str, Any]) -> Outcome:
    try:
        text = decode_text(data)
    except UndecodableTextError as error:
        return Outcome(rejection=Rejection(origin=origin, reason=error.reason, raw=data))
    return _outcome(origin, text.strip("\n"), meta)


def decode_page(data: bytes, stated: str | None) -> str:
    """Return a page's characters: by its mark, its HTTP header, itself, UTF-8, or a guess.

    Args:
        data: The page.
        stated: The character set that the header names.
    """
    from trafilatura.utils import decode_file

    own = _META.search(data, 0, _META_BYTES)
    names = [encoding for mark, encoding in _MARKS if data.startswith(mark)]
    names += [stated] if stated else []
    names += [own[1].decode("ascii")] if own else []
    for name in [*names, "utf-8"]:
        # Browsers read what calls itself Latin-1 as its extension by Windows.
        encoding = "cp1252" if name.lower() in _LATIN else name
        try:
            text = data.decode(encoding)
            text.encode()  # some codecs make lone surrogates
        except (UnicodeError, LookupError):  # LookupError: no codec, or not one for text
            continue
        return text
    guessed: str = decode_file(data)
    return guessed


def _page(
    origin: Origin, data: bytes, meta: dict[str, Any], *, stated: str | None = None
) -> Outcome:
    """Return the outcome of a page's HTML."""
    from trafilatura import extract
    from trafilatura.utils import load_html

    if not data.strip():
        return Outcome(dropped=("empty",))
    tree = load_html(decode_page(data, stated))
    if tree is None:
        return Outcome(rejection=Rejection(origin=origin, reason="not_html", raw=data))
    title = tree.findtext(".//title") or ""
    text = extract(tree, include_comments=False, include_tables=True) or ""
    if title.strip():
        meta = {**meta, "title": " ".join(title.split())}
    return _outcome(origin, text, meta)


def _outcome(origin: Origin, text: str, meta: dict[str, Any]) -> Outcome:
    if not text or text.isspace():
        return Outcome(dropped=("no_main_text",))
    return Outcome(records=(finish(READER, origin, Draft(kind="web", text=text, meta=meta)),))


READER = Reader(
    name="web",
    kind="web",
    license="unknown",
    terms="each page is under its author's terms; its address stands in `origin`",
    url="https://commoncrawl.org",
    published="any size",
    layout="*.warc, *.wet, *.html (.gz, .zst)",
    unit="a page: a response, resource or conversion of an archive, or an HTML file",
    accepts=accepts,
    read_file=read_file,
    streams=True,
)
