"""Dataset `jsonl`: JSON Lines, JSON arrays or Parquet files of anything with a field of text.

An element of an array that is a string is a text itself. Every other field goes to `meta` as it is
spelled: numbers keep their digits, objects their order, repeated keys of inner objects all their
values.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from preprocess.readers.lines import HEAD_BYTES, Line, read_lines
from preprocess.readers.native import elements
from preprocess.readers.reader import Options, Reader
from preprocess.records import Origin, Outcome, Record, Rejection, portable_path, record_id

_NAME = "jsonl"
_FILE = re.compile(r".*\.(jsonl?(\.gz|\.zst)?|parquet)")
_ANYTHING = msgspec.json.Decoder()
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _UnreadableError(Exception):
    """Why a line gives no record; its only argument is the reason."""


def accepts(relative: PurePosixPath) -> bool:
    """Accept `.jsonl`, `.json`, each also `.gz` and `.zst`, and `.parquet`."""
    return _FILE.fullmatch(relative.name) is not None


def read_file(path: Path, relative: str, options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each line that is not blank, each element, or each row."""
    name = portable_path(relative)
    if path.suffix == ".parquet":
        yield from _read_rows(path, name, options["text_field"], limit_bytes)
        return
    if path.name.removesuffix(".gz").removesuffix(".zst").endswith(".json"):
        for number, (data, reason) in enumerate(elements(path, limit_bytes)):
            yield _outcome(Origin(path=name, record=number), data, reason, options["text_field"])
        return
    ordinal = 0
    for line in read_lines(path, limit_bytes):
        data = line.data.removeprefix(_BYTE_ORDER_MARK) if ordinal == 0 else line.data
        if not data.strip():
            continue
        origin = Origin(path=name, record=ordinal)
        ordinal += 1
        try:
            if line.is_oversized:
                raise _UnreadableError("over_memory")
            outcome = Outcome(records=(_record(origin, data, options["text_field"]),))
        except _UnreadableError as error:
            reason = _reason(error, line)
            outcome = Outcome(rejection=Rejection(origin=origin, reason=reason, raw=data))
        yield outcome


def _outcome(origin: Origin, data: bytes, reason: str | None, text_field: str) -> Outcome:
    try:
        if reason is not None:
            raise _UnreadableError(reason)
        return Outcome(records=(_record(origin, data, text_field),))
    except _UnreadableError as error:
        return Outcome(rejection=Rejection(origin=origin, reason=str(error), raw=data))


def _read_rows(path: Path, name: str, text_field: str, limit_bytes: int) -> Iterator[Outcome]:
    from preprocess.readers.rows import OddRow, read_whole_rows

    for number, row in enumerate(read_whole_rows(path, text_field)):
        origin = Origin(path=name, record=number)
        if isinstance(row, OddRow):
            yield _outcome(origin, row.raw, row.reason, text_field)
        elif len(row) > limit_bytes:
            yield _outcome(origin, row[:HEAD_BYTES], "over_memory", text_field)
        else:
            yield _outcome(origin, row, None, text_field)


def _reason(error: _UnreadableError, line: Line) -> str:
    return "truncated" if line.is_cut else str(error)


def _record(origin: Origin, data: bytes, text_field: str) -> Record:
    fields = _parse(data, text_field)
    text = _string(fields.pop(text_field, None))
    if text is None:
        raise _UnreadableError("no_text")
    if not text or text.isspace():
        raise _UnreadableError("empty_text")
    url = _string(fields.get("url"))
    if url and url.startswith(("http://", "https://")):
        origin = Origin(path=origin.path, record=origin.record, url=url)
    return Record(
        id=record_id(_NAME, origin),
        text=text,
        kind="text",
        source=_NAME,
        license="unknown",
        origin=origin,
        meta=dict(fields),
    )


def _parse(data: bytes, text_field: str) -> dict[str, msgspec.Raw]:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _UnreadableError("invalid_utf8") from error
    try:
        # Raw values are not looked into: escapes and numbers are checked by decoding them.
        native = _ANYTHING.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _UnreadableError("invalid_json") from error
    if isinstance(native, str):
        return {text_field: msgspec.Raw(data)}
    if not isinstance(native, dict):
        raise _UnreadableError("no_text")
    return _FIELDS.decode(data)


def _string(raw: msgspec.Raw | None) -> str | None:
    """Return the string that `raw` is JSON of; None for any other value."""
    value = None if raw is None else _ANYTHING.decode(raw)
    return value if isinstance(value, str) else None


READER = Reader(
    name=_NAME,
    kind="text",
    license="unknown",
    published="any size",
    layout="*.jsonl, *.json (.gz, .zst), *.parquet; objects with a field that holds text",
    unit="a line that is not blank, an element of an array, or a row",
    accepts=accepts,
    read_file=read_file,
    streams=True,
    options={"text_field": "text"},
)
