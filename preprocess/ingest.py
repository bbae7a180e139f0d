"""Stage `ingest`: native files of a dataset to records, all cores at work.

Files are dealt to worker processes in batches; a worker hands back frames of compressed lines,
which are appended in the order of the input, whoever was faster. The frames depend on the files
alone, and so do the shards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from preprocess.ingest_workers import WorkerPool
from preprocess.inputs import InputFile, Unit, refuse_inside, resolve, units_of
from preprocess.judge import judge
from preprocess.manifest import Counts, InputEntry, Manifest
from preprocess.readers import READERS
from preprocess.record_shards import SHARD_TEXT_BYTES, RecordShards
from preprocess.render import fingerprint
from preprocess.run_directory import RunDirectory
from preprocess.unit_result import UnitResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from preprocess.run_options import ProgressCallback, RunOptions

BATCH_BYTES = 2 << 20
"""Files are dealt in batches of this stored size; a larger file is a batch of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestConfig:
    """What is read, and how."""

    dataset: str
    """A name of `preprocess datasets`."""

    licenses: tuple[str, ...] = ()
    """Keep only records of these licences, or `any`; empty: all but non-commercial ones."""

    require: tuple[str, ...] = ()
    """Names of `preprocess.checks.REQUIREMENTS`: records that do not hold to them are dropped."""

    options: dict[str, str] = field(default_factory=dict)
    """Options of the reader."""

    shard_text_bytes: int = SHARD_TEXT_BYTES
    """A shard is finished when its text reaches this size."""

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest keeps."""
        reader = READERS[self.dataset]
        return {
            "dataset": self.dataset,
            "unit": reader.unit,
            "license": reader.license,
            "licenses": list(self.licenses),
            "require": list(self.require),
            "templates": fingerprint(),
            "options": dict(sorted(self.options.items())),
            "shard_text_bytes": self.shard_text_bytes,
        }


def ingest(
    inputs: Sequence[str], output: Path, config: IngestConfig, options: RunOptions
) -> Manifest | None:
    """Read a dataset's native files into a record directory.

    Returns:
        The manifest, or None where other tasks have to complete the directory.

    Raises:
        UserError: No native files, another run's directory, too many rejected records.
    """
    refuse_inside(inputs, output)
    reader = READERS[config.dataset]
    files = resolve(list(inputs), reader.accepts, f"files of {config.dataset} ({reader.layout})")
    begun = config.to_json() | options.limits()
    directory = RunDirectory.begin(output, "ingest", begun, units_of(files))
    manifest = directory.manifest()
    if manifest is None:
        with (
            options.report(f"ingest {config.dataset}", None) as progress,
            WorkerPool(options.workers, config, options.memory_bytes) as pool,
        ):
            directory.run(options, lambda unit: _do(unit, directory, config, pool, progress))
        if options.task is not None:
            return None
        manifest = directory.complete()
    judge(manifest, output, options)
    return manifest


def _do(
    unit: Unit,
    directory: RunDirectory,
    config: IngestConfig,
    pool: WorkerPool,
    progress: ProgressCallback,
) -> UnitResult:
    with RecordShards(directory, unit.index, config.shard_text_bytes) as shards:
        batches = batches_of(unit.files)
        records = text_bytes = 0
        ends = []
        for item in pool.frames(batches, skip=shards.done_frames):
            if isinstance(item, tuple):
                ends.append(item)
                continue
            shards.append(item)
            records += item.num_records
            text_bytes += item.text_bytes
            progress(records, text_bytes)
        entries = shards.finish()
    inputs = [entry for found, _ in ends for entry in found]
    return UnitResult(
        shards=[entry.shard for entry in entries if entry.shard is not None],
        counts=Counts.total(entry.counts for entry in entries),
        inputs=[
            InputEntry(path=file.shown, bytes=file.bytes, records=count, xxh3=xxh3)
            for file, (count, xxh3) in zip(unit.files, inputs, strict=True)
        ],
        problems=[problem for _, problems in ends for problem in problems],
    )


def batches_of(files: Sequence[InputFile]) -> list[list[InputFile]]:
    """Return the files in batches of about 2 MiB, in order."""
    batches: list[list[InputFile]] = []
    room = 0
    for file in files:
        if not batches or room < file.bytes:
            batches.append([])
            room = BATCH_BYTES
        batches[-1].append(file)
        room -= file.bytes
    return batches
