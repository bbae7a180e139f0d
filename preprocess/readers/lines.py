"""The lines of a file that may be compressed, in bounded memory but for the line itself."""

import codecs
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

from preprocess.records import TruncatedInput

NO_LIMIT = 1 << 62
HEAD_BYTES = 1024
"""How much of a line that is too long is kept to show what it was."""

# 4 KiB of zstd can grow to about 128 MiB (a block of 3 bytes may hold 128 KiB of one character),
# and its streaming interface cannot stop in between; more input at once would mean more memory.
_CHUNK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end."""

    data: bytes
    is_cut: bool = False
    """Whether the input broke off in it."""

    is_oversized: bool = False
    """Whether it was over the limit, and this is only its beginning."""


def read_lines(path: Path, limit_bytes: int = NO_LIMIT) -> Iterator[Line]:
    r"""Yield the lines of a plain, `.gz` or `.zst` file, split at `\n` only.

    Of a line that is longer than `limit_bytes` only the beginning is held and yielded.

    Raises:
        TruncatedInput: The compressed stream ends early or is damaged. Every line before that,
            and what there is of the last one, was yielded.
    """
    damage: TruncatedInput | None = None
    pieces = _Pieces(limit_bytes)
    with path.open("rb") as file:
        chunks = _chunks(file, path)
        while True:
            try:
                chunk = next(chunks, None)
            except TruncatedInput as error:
                damage, chunk = error, None
            if chunk is None:
                break
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                yield pieces.line(end)
            pieces.add(rest)
    if pieces.size:
        yield pieces.line(b"", is_cut=damage is not None)
    if damage:
        raise damage


def read_whole(path: Path, limit_bytes: int = NO_LIMIT) -> bytes | None:
    """Return the bytes of a plain, `.gz` or `.zst` file; None if there are more than the limit.

    Raises:
        TruncatedInput: The compressed stream ends early or is damaged.
    """
    parts, size = [], 0
    with path.open("rb") as file:
        for chunk in _chunks(file, path):
            size += len(chunk)
            if size > limit_bytes:
                return None
            parts.append(chunk)
    return b"".join(parts)


class DecompressedStream(io.RawIOBase):
    """The bytes of a plain, `.gz` or `.zst` file, for libraries that read from a stream.

    Reading raises `TruncatedInput` where the compressed stream ends early or is damaged.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._chunks = _chunks(file, path)
        self._rest = b""
        self.end = b""
        """The last bytes that were read, four at most."""

    def readable(self) -> bool:
        """Return True: that is what it is for."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as one chunk goes; 0 at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
            self.end = (self.end + chunk[-4:])[-4:]
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


class _Pieces:
    """The parts of a line so far; beyond the limit they are counted, not kept."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = max(limit_bytes, HEAD_BYTES)
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes) -> None:
        self.size += len(part)
        if self.size <= self._limit:
            self._parts.append(part)
        else:
            self._parts = [b"".join((*self._parts, part[:HEAD_BYTES]))[:HEAD_BYTES]]

    def line(self, end: bytes, *, is_cut: bool = False) -> Line:
        """Return the line that `end` closes, and begin the next one."""
        self.add(end)
        data, is_oversized = b"".join(self._parts), self.size > self._limit
        data = data.removeprefix(codecs.BOM_UTF8)  # Windows begins files with it
        self._parts, self.size = [], 0
        return Line(data, is_cut=is_cut, is_oversized=is_oversized)


def _chunks(file: IO[bytes], path: Path) -> Iterator[bytes]:
    if path.suffix not in (".gz", ".zst"):
        while chunk := file.read(1 << 18):
            yield chunk
        return
    stream = _decompressor(path)
    while compressed := file.read(_CHUNK_BYTES):
        while compressed:
            if stream.eof:  # another member (gzip) or frame (zstd) follows, or padding (tapes)
                compressed = compressed.lstrip(b"\0")
                if not compressed:
                    break
                stream = _decompressor(path)
            try:
                yield stream.decompress(compressed)
            except (zlib.error, zstandard.ZstdError) as error:
                raise TruncatedInput(
                    f"{path}: the compressed stream is damaged before byte {file.tell()} "
                    f"({error}); what came before it was read; fetch the file again"
                ) from error
            compressed = stream.unused_data if stream.eof else b""
    if not stream.eof:
        raise TruncatedInput(
            f"{path}: the compressed stream ends early, after {file.tell()} bytes; "
            "what came before was read; fetch the file again"
        )


def _decompressor(path: Path) -> Any:
    """Return a fresh decompressor; zlib's and zstandard's have `decompress`, `eof` in common."""
    if path.suffix == ".gz":
        return zlib.decompressobj(wbits=31)
    return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
