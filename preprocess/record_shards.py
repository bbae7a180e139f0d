"""Writes the shards of a unit from frames of records, each shard with its journal entry.

A frame is a whole number of records, compressed on its own; zstd frames one after another are one
file. So what workers compress in parallel is only appended here, and the bytes of a shard depend
on the frames alone.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import xxhash

from preprocess.manifest import Counts, Share, read_journal, to_json, write_whole
from preprocess.unit_result import FileSummary, UnitShard

if TYPE_CHECKING:
    from typing import IO

    from preprocess.run_directory import RunDirectory

SHARD_TEXT_BYTES = 256 << 20
EXTENSION = ".jsonl.zst"


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """Some records in a row, as a worker hands them over."""

    native: int
    """Native records that it accounts for."""
    records: bytes
    """Lines of JSON, compressed; empty if there are none."""
    rejected: bytes
    composition: list[Share]
    dropped: dict[str, int]
    rejected_counts: dict[str, int]
    repaired: dict[str, int]
    licenses: dict[str, int]

    @property
    def num_records(self) -> int:
        """Records in it."""
        return sum(share.records for share in self.composition)

    @property
    def text_bytes(self) -> int:
        """Bytes of text in its records."""
        return sum(share.text_bytes for share in self.composition)


class ShardEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The journal entry of a finished shard."""

    frames: int
    """Frames of the unit that were used up when it ended."""
    shard: UnitShard | None
    """None: only dropped and rejected records."""
    counts: Counts


class _HashedFile:
    """A file under a private name, hashed as it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
        )
        self._temporary = Path(temporary)
        self._file: IO[bytes] = os.fdopen(descriptor, "wb")
        self._digest = xxhash.xxh3_64()
        self._bytes = 0

    def append(self, content: bytes) -> None:
        try:
            self._file.write(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._digest.update(content)
        self._bytes += len(content)

    def finish(self) -> FileSummary:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._temporary.chmod(0o644)
        self._temporary.replace(self._path)
        return FileSummary(bytes=self._bytes, xxh3=self._digest.hexdigest())

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)


class RecordShards:
    """The shards of one unit; a context manager that removes what was not finished."""

    def __init__(self, directory: RunDirectory, unit: int, shard_text_bytes: int) -> None:
        self._directory = directory
        self._unit = unit
        self._limit = shard_text_bytes
        self.entries: list[ShardEntry] = []
        while (entry := self._read(len(self.entries))) is not None:
            self.entries.append(entry)
        self._frames = self.done_frames
        self._open: list[_HashedFile] = []
        self._records: _HashedFile | None = None
        self._rejected: _HashedFile | None = None
        self._parts: list[Frame] = []
        self._text_bytes = 0

    @property
    def done_frames(self) -> int:
        """Frames that finished shards hold; the next frame to append is this one."""
        return self.entries[-1].frames if self.entries else 0

    def __enter__(self) -> RecordShards:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open:
            file.abandon()

    def append(self, frame: Frame) -> None:
        """Append a frame and finish the shard if its text has reached the limit."""
        number = len(self.entries)
        if frame.records:
            if self._records is None:
                path = self._directory.shard_path(self._unit, number, "part", EXTENSION)
                self._records = self._create(path)
            self._records.append(frame.records)
        if frame.rejected:
            if self._rejected is None:
                self._rejected = self._create(self._directory.rejected_path(self._unit, number))
            self._rejected.append(frame.rejected)
        self._frames += 1
        # What is in the files need not stay in memory as well.
        self._parts.append(msgspec.structs.replace(frame, records=b"", rejected=b""))
        self._text_bytes += frame.text_bytes
        if self._text_bytes >= self._limit:
            self._finish_shard()

    def finish(self) -> list[ShardEntry]:
        """Finish the last shard and return all of the unit."""
        if self._parts:
            self._finish_shard()
        return self.entries

    def _create(self, path: Path) -> _HashedFile:
        file = _HashedFile(path)
        self._open.append(file)
        return file

    def _finish_shard(self) -> None:
        number = len(self.entries)
        if self._rejected is not None:
            self._rejected.finish()
        shard = None
        composition = _sum_shares(self._parts)
        if self._records is not None:
            shard = UnitShard(
                shard=number,
                series="part",
                records=sum(share.records for share in composition),
                text_bytes=sum(share.text_bytes for share in composition),
                files={EXTENSION: self._records.finish()},
                composition=composition,
            )
        entry = ShardEntry(frames=self._frames, shard=shard, counts=_sum_counts(self._parts))
        write_whole(self._entry_path(number), to_json(entry))
        self.entries.append(entry)
        self._open.clear()
        self._records = self._rejected = None
        self._parts, self._text_bytes = [], 0

    def _entry_path(self, shard: int) -> Path:
        return self._directory.journal / f"{self._unit:05}-{shard:05}.json"

    def _read(self, shard: int) -> ShardEntry | None:
        return read_journal(self._entry_path(shard), ShardEntry)


def _sum_shares(frames: list[Frame]) -> list[Share]:
    records: Counter[tuple[str, str]] = Counter()
    text_bytes: Counter[tuple[str, str]] = Counter()
    for share in (share for frame in frames for share in frame.composition):
        records[share.source, share.kind] += share.records
        text_bytes[share.source, share.kind] += share.text_bytes
    return [
        Share(source=key[0], kind=key[1], records=records[key], text_bytes=text_bytes[key])
        for key in sorted(records)
    ]


def _sum_counts(frames: list[Frame]) -> Counts:
    return Counts.total(
        Counts(
            native=frame.native,
            in_=frame.num_records + sum(frame.dropped.values()),
            out=frame.num_records,
            dropped=frame.dropped,
            rejected=frame.rejected_counts,
            repaired=frame.repaired,
            licenses=frame.licenses,
        )
        for frame in frames
    )
