"""The lines of a file that may be compressed, in bounded memory but for the line itself."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

from preprocess.records import TruncatedInput

# 4 KiB of zstd can grow to about 128 MiB (a block of 3 bytes may hold 128 KiB of one character),
# and its streaming interface cannot stop in between; more input at once would mean more memory.
_CHUNK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end."""

    data: bytes
    is_cut: bool = False
    """Whether the input broke off in it."""


def read_lines(path: Path) -> Iterator[Line]:
    r"""Yield the lines of a plain, `.gz` or `.zst` file, split at `\n` only.

    Raises:
        TruncatedInput: The compressed stream ends early or is damaged. Every line before that,
            and what there is of the last one, was yielded.
    """
    damage: TruncatedInput | None = None
    pieces: list[bytes] = []
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
                yield Line(b"".join((*pieces, end)))
                pieces.clear()
            if rest:
                pieces.append(rest)
    if pieces:
        yield Line(b"".join(pieces), is_cut=damage is not None)
    if damage:
        raise damage


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
