"""The steps of `dedup`, and where their files lie: see `preprocess.dedup`."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from preprocess import _rust_ext
from preprocess.dedup_notices import Connected, notices
from preprocess.errors import UserError
from preprocess.fetch import local_unit
from preprocess.loss_alarm import refuse_losses
from preprocess.manifest import Counts, InputEntry, Share, to_json
from preprocess.run_directory import VERSION
from preprocess.unit_result import FileSummary, UnitResult, UnitShard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from preprocess.dedup_config import DedupConfig
    from preprocess.inputs import Unit
    from preprocess.run_directory import RunDirectory
    from preprocess.run_options import RunOptions

STEPS = ("sign", "bands", "connect", "drop")
CLUSTERS = "clusters.parquet"


class _ShardWritten(msgspec.Struct, frozen=True):
    records: int
    text_bytes: int
    composition: list[Share]
    file: FileSummary


class _FileRead(msgspec.Struct, frozen=True):
    path: str
    records: int
    bytes: int
    xxh3: str
    problem: str | None


class _UnitDropped(msgspec.Struct, frozen=True):
    shards: list[_ShardWritten]
    native: int
    dropped: dict[str, int]
    rejected: dict[str, int]
    inputs: list[_FileRead]
    details: dict[str, int]


class DedupRun:
    """The steps of one run, and where their files lie."""

    def __init__(self, directory: RunDirectory, config: DedupConfig, options: RunOptions) -> None:
        self.directory = directory
        self.config = config
        self.options = options
        begun = [
            VERSION,
            asdict(config),
            [
                [file.relative, file.bytes, file.xxh3]
                for unit in directory.units
                for file in unit.files
            ],
        ]
        self.fingerprint = xxhash.xxh3_64_intdigest(to_json(begun))
        journal = directory.journal
        self.signatures = [journal / f"{unit.index:05}.sign" for unit in directory.units]
        self.verdicts = journal / "verdicts"
        self.clusters = directory.path / CLUSTERS

    def do(self, step: str) -> None:
        """Do this task's part of a step, if the steps before are whole."""
        for earlier in STEPS[: STEPS.index(step)]:
            if step == "drop" and earlier == "bands":
                continue  # `connect` has all that they say
            missing = [path.name for path in self.outputs(earlier) if not path.exists()]
            if missing:
                if self.directory.manifest() is not None:
                    return
                raise UserError(
                    f"{self.directory.path}: expected the step {earlier} to be whole before "
                    f"{step}, {len(missing)} of its files are missing (the first is "
                    f"{missing[0]}); run --step {earlier} for all tasks first"
                )
        {"sign": self.sign, "bands": self.bands, "connect": self.connect, "drop": self.drop}[step]()

    def outputs(self, step: str) -> list[Path]:
        """Return what a step before `drop` writes; of `bands`, once `sign` is whole."""
        match step:
            case "sign":
                return [path for paths in self._signed() for path in paths]
            case "bands":
                return [path for paths in self._buckets() for path in paths]
            case _:
                return [self.verdicts, self.clusters]

    def expected_text_bytes(self) -> int | None:
        """Return the bytes of text of the whole input, where they are known."""
        sizes = [file.text_bytes or 0 for unit in self.directory.units for file in unit.files]
        return sum(sizes) or None

    def sign(self) -> None:
        """Sign the units of this task."""
        with self.options.report("dedup: sign", self.expected_text_bytes()) as progress:

            def sign(number: int) -> None:
                with local_unit(self.directory.units[number], self.directory.journal) as unit:
                    _rust_ext.sign_records(
                        files_of(unit),
                        shape=self.config.shape,
                        key=self.config.key,
                        keep=list(self.config.keep),
                        fingerprint=self.fingerprint,
                        output=self.signatures[number],
                        rejected=self.directory.rejected_path(number, 0),
                        workers=self.options.workers,
                        memory_bytes=self.options.memory_bytes,
                        progress=progress,
                    )

            for number, _ in self.waiting(self._signed()):
                sign(number)

    def bands(self) -> None:
        """Group this task's parts of what records share."""
        parts = [[path] for paths in self._buckets() for path in paths]
        with self.options.report("dedup: bands", None):
            _rust_ext.band_records(
                self.signatures,
                parts=[(number, path) for number, (path,) in self.waiting(parts)],
                shape=self.config.shape,
                fingerprint=self.fingerprint,
                workers=self.options.workers,
                memory_bytes=self.options.memory_bytes,
            )

    def connect(self) -> None:
        """Decide which records fall, and tell in `clusters.parquet`."""
        if self.options.task not in (None, 0):
            return  # the step is one piece of work, and task 0 does it
        with self.options.report("dedup: connect", None) as progress:
            if not self.verdicts.exists():
                *bands, texts, _ids = self._buckets()  # the ids are only checked
                _rust_ext.connect_records(
                    self.signatures,
                    shape=self.config.shape,
                    key=self.config.key,
                    keep=list(self.config.keep),
                    threshold=self.config.threshold if self.config.verify else None,
                    max_cluster=self.config.max_cluster,
                    fingerprint=self.fingerprint,
                    buckets=[path for paths in bands for path in paths],
                    texts=texts,
                    output=self.verdicts,
                    workers=self.options.workers,
                    memory_bytes=self.options.memory_bytes,
                    progress=progress,
                )
        if not self.clusters.exists():
            with self.shown(self.clusters) as made:
                _rust_ext.write_clusters(
                    self.signatures,
                    verdicts=self.verdicts,
                    fingerprint=self.fingerprint,
                    output=made,
                    memory_bytes=self.options.memory_bytes,
                )

    @contextlib.contextmanager
    def shown(self, table: Path) -> Iterator[Path]:
        """Give a path in the journal for a table, which is moved to its place when it is whole.

        What a kill leaves of it goes with the journal.
        """
        made = self.directory.journal / table.name
        yield made
        try:
            made.replace(table)
        except FileNotFoundError:
            if not table.exists():  # or an equal run has moved it
                raise

    def refuse_losses(self, allowed: Collection[str]) -> None:
        """Stop before `drop` if a source would lose too much."""
        if self.verdicts.exists() and self.clusters.exists():
            summary = self.connected()
            equal = "same-address" if self.config.key == "url" else "exact"
            refuse_losses(summary.sources, allowed, self.directory.path, equal=equal)

    def connected(self) -> Connected:
        """Return what `connect` found."""
        raw = _rust_ext.connect_summary(self.verdicts, fingerprint=self.fingerprint)
        return msgspec.json.decode(raw, type=Connected)

    def drop_arguments(self) -> dict[str, Any]:
        """Return what `drop` needs of the steps before."""
        return {"signatures": self.signatures, "verdicts": self.verdicts, "cuts": None}

    def drop(self) -> None:
        """Write what is left of the units of this task."""
        with self.options.report("dedup: drop", self.expected_text_bytes()) as progress:

            def drop(unit: Unit) -> UnitResult:
                raw = _rust_ext.drop_duplicates(
                    files_of(unit),
                    unit=unit.index,
                    fingerprint=self.fingerprint,
                    **self.drop_arguments(),
                    journal=self.directory.journal,
                    # A shard of records gives one shard again; loose files are cut.
                    shard_text_bytes=None if unit.is_shard else self.config.shard_text_bytes,
                    format=self.config.format,
                    compression_level=self.config.compression_level,
                    workers=self.options.workers,
                    memory_bytes=self.options.memory_bytes,
                    progress=progress,
                )
                dropped = msgspec.json.decode(raw, type=_UnitDropped)
                result = _result(unit, dropped, f".{self.config.format}")
                if unit.index > 0:
                    return result
                said = notices(self.connected(), self.config, self.directory.units)
                return msgspec.structs.replace(result, notices=list(said))

            self.directory.run(self.options, drop)

    def _signed(self) -> list[list[Path]]:
        """Return what `sign` writes of each unit."""
        return [[path, path.with_suffix(".words")] for path in self.signatures]

    def _buckets(self) -> list[list[Path]]:
        """Return what `bands` writes of each band, of the texts and of the ids, by ranges."""
        ranges = _rust_ext.band_ranges(
            self.signatures, shape=self.config.shape, fingerprint=self.fingerprint
        )
        num_bands = self.config.shape[1]
        return [
            [self.directory.journal / f"bucket-{first + part:05}" for part in range(ranges)]
            for first in range(0, (num_bands + 2) * ranges, ranges)
        ]

    def waiting(self, outputs: list[list[Path]]) -> Iterator[tuple[int, list[Path]]]:
        """Yield the outputs of this task that are not all there; a file under its name is whole."""
        for number, paths in enumerate(outputs):
            is_ours = self.options.task in (None, number % self.options.num_tasks)
            if is_ours and not all(path.exists() for path in paths):
                yield number, paths


def files_of(unit: Unit) -> list[tuple[Path, str]]:
    """Return a unit's files as the extension takes them."""
    return [(file.path, file.relative) for file in unit.files]


def _result(unit: Unit, dropped: _UnitDropped, extension: str) -> UnitResult:
    out = sum(shard.records for shard in dropped.shards)
    shards = [
        UnitShard(
            shard=number,
            series="part",
            records=shard.records,
            text_bytes=shard.text_bytes,
            files={extension: shard.file},
            composition=shard.composition,
        )
        for number, shard in enumerate(dropped.shards)
    ]
    damaged = [
        f"{file.path}: expected the xxh3 {file.xxh3} of its manifest, found {read.xxh3}: "
        "it is damaged"
        for file, read in zip(unit.files, dropped.inputs, strict=True)
        if file.is_hashed and file.xxh3 != read.xxh3
    ]
    return UnitResult(
        shards=shards,
        counts=Counts(
            native=dropped.native,
            in_=dropped.native - sum(dropped.rejected.values()),
            out=out,
            dropped=dropped.dropped,
            rejected=dropped.rejected,
        ),
        inputs=[
            InputEntry(path=file.shown, bytes=read.bytes, records=read.records, xxh3=read.xxh3)
            for file, read in zip(unit.files, dropped.inputs, strict=True)
        ],
        problems=[read.problem for read in dropped.inputs if read.problem] + damaged,
        details=dropped.details,
    )
