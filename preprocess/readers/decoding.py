"""Bytes of a file to text, the same on every machine.

A byte order mark decides, else UTF-8, else the encoding that the first two lines declare (PEP
263, which Emacs and Vim also read in other languages); in Python files the declaration comes
before UTF-8, as it does for Python. The mark is removed, CRLF and CR become LF, and nothing
else changes.
"""

import codecs
import re
import warnings

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# PEP 263's own expression, for more comment signs.
_DECLARATION = re.compile(rb'^[ \t\f]*(?:#|//|/\*|--|;|%|").*?coding[:=][ \t]*([-\w.]+)')


class UndecodableTextError(Exception):
    """The bytes are no text; `reason` says why they are rejected."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode_text(data: bytes, *, is_python: bool = False) -> str:
    """Return the text of a whole file.

    Raises:
        UndecodableTextError: `binary` where there are NUL bytes, `invalid_utf8` where it does not
            decode, or decodes to what UTF-8 cannot express.
    """
    for encoding, body in _candidates(data, is_python):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # `unicode_escape` warns of escapes it keeps
                text = body.decode(encoding)
            if not text.isascii():
                text.encode("utf-8")  # some codecs make lone surrogates
        except (UnicodeError, LookupError):  # LookupError: no codec, or not one for text
            continue
        if "\0" in text:
            raise UndecodableTextError("binary")
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    raise UndecodableTextError("binary" if b"\0" in data else "invalid_utf8")


def _candidates(data: bytes, is_python: bool) -> list[tuple[str, bytes]]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return [(encoding, data[len(mark) :])]
    declared = _declared_encoding(data)
    if declared is None:
        return [("utf-8", data)]
    encodings = (declared, "utf-8") if is_python else ("utf-8", declared)
    return [(encoding, data) for encoding in encodings]


def _declared_encoding(data: bytes) -> str | None:
    for line in data[:1000].splitlines()[:2]:
        match = _DECLARATION.match(line)
        if match:
            return match[1].decode("ascii", "replace")
    return None


def text_fault(data: bytes) -> str:
    """Return why bytes are no text of JSON's kind, UTF-8 without NUL; nothing if they are one."""
    if b"\0" in data:
        return "nul_byte"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "invalid_utf8"
    return ""
