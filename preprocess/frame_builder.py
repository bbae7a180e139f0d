"""From the fates of native records to frames: compressed lines, and what they hold counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import zstandard

from preprocess.checks import REQUIREMENTS
from preprocess.licences import Licences
from preprocess.manifest import Share
from preprocess.record_shards import Frame
from preprocess.records import Written, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from preprocess.ingest import IngestConfig
    from preprocess.records import Outcome, Record

FRAME_TEXT_BYTES = 1 << 20
"""A frame is closed when its text reaches this size."""

FRAME_BYTES = 8 << 20
"""A frame is closed when its lines, those of what was rejected too, reach this size."""

ZSTD_LEVEL = 3


class FrameBuilder:
    """Gathers outcomes and sends them off a frame at a time."""

    def __init__(self, send: Callable[[Frame], None], config: IngestConfig) -> None:
        self._send = send
        self._licences = Licences(config.licenses)
        self._requirements = [REQUIREMENTS[name] for name in config.require]
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self._reset()

    def _reset(self) -> None:
        self._native = 0
        self._text_bytes = 0
        self._held_bytes = 0
        self._lines: list[bytes] = []
        self._rejected: list[bytes] = []
        self._records: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[tuple[str, str]] = Counter()
        self._dropped: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._repairs: Counter[str] = Counter()
        self._kept_licences: Counter[str] = Counter()

    def add(self, outcome: Outcome | Written) -> None:
        """Take the fate of one native record."""
        self._native += 1
        if isinstance(outcome, Written):
            self._add_written(outcome)
        else:
            self._add_outcome(outcome)
        if self._text_bytes >= FRAME_TEXT_BYTES or self._held_bytes >= FRAME_BYTES:
            self.close()

    def _add_written(self, written: Written) -> None:
        """Take lines, whose calls are valid: they meet every requirement."""
        reason = self._licences.reason_to_drop(written.license)
        if reason is not None:
            self._dropped[reason] += written.records
            return
        self._lines.append(written.lines)
        self._held_bytes += len(written.lines) - (written.records - 1)  # newlines between them
        share = written.source, written.kind
        self._kept_licences[written.license] += written.records
        self._records[share] += written.records
        self._bytes[share] += written.text_bytes
        self._text_bytes += written.text_bytes

    def _add_outcome(self, outcome: Outcome) -> None:
        if outcome.dropped:
            self._dropped.update(outcome.dropped)
        if outcome.repairs:
            self._repairs.update(outcome.repairs)
        if outcome.rejection is not None:
            self._rejected.append(outcome.rejection.encode())
            self._held_bytes += len(self._rejected[-1])
            self._reasons[outcome.rejection.reason] += 1
        for record in outcome.records:
            reason = self._reason_to_drop(record)
            if reason is not None:
                self._dropped[reason] += 1
                continue
            self._lines.append(encode(record))
            self._held_bytes += len(self._lines[-1])
            text = record.text
            size = len(text) if text.isascii() else len(text.encode())
            share = record.source, record.kind
            self._kept_licences[record.license] += 1
            self._records[share] += 1
            self._bytes[share] += size
            self._text_bytes += size

    def _reason_to_drop(self, record: Record) -> str | None:
        reason = self._licences.reason_to_drop(record.license)
        for unmet in self._requirements:
            reason = reason or unmet(record)
        return reason

    def close(self) -> None:
        """Send what was gathered, if anything was."""
        if self._native == 0:
            return
        frame = Frame(
            native=self._native,
            records=self._compress(self._lines),
            rejected=self._compress(self._rejected),
            composition=[
                Share(source=key[0], kind=key[1], records=count, text_bytes=self._bytes[key])
                for key, count in sorted(self._records.items())
            ],
            dropped=dict(sorted(self._dropped.items())),
            rejected_counts=dict(sorted(self._reasons.items())),
            repaired=dict(sorted(self._repairs.items())),
            licenses=dict(sorted(self._kept_licences.items())),
        )
        self._send(frame)
        self._reset()

    def _compress(self, lines: list[bytes]) -> bytes:
        return self._compressor.compress(b"\n".join([*lines, b""])) if lines else b""
