"""Stage `dedup`: exact, then near duplicates fall; every dropped record names its survivor.

Two records are near-duplicates when the Jaccard similarity of their sets of shingles, runs of
`ngram_size` words lower-cased, is at or above the threshold. MinHash finds the candidates, the
texts decide. A conversation, a record with `messages`, is compared by what was said and called in
it: system prompts, tools and the rendered text, which a whole dataset may share, do not count.

**The survivor rule.** Records are decided in an order: that of `keep`, then that of the input. Of
records with equal text the first one goes on. The rest is decided in that order: a record is
compared with the survivors that share a band with it, the first one first, and is dropped at the
first one whose true similarity is at or above the threshold; if there is none, it survives. What
has its text is dropped with it, unless it is compared by other words, as the plain copy of a
conversation is: of these the first one stays. So a dropped record always names a survivor that is
truly similar or has its text, and nothing chains away. Of records that share one band, only the
first 64 survivors are compared with, which keeps boilerplate from costing quadratic time. At most
`max_cluster` near-duplicates fall to one survivor: a further one is kept, takes nobody, and is
counted. With `verify=False` the classic single link is used instead: of all records that are
connected by shared bands the first survives, however similar the others are.

Four steps, each starting only when the one before is whole; they meet in files of the journal:

| step | per | reads | writes |
|---|---|---|---|
| sign | unit | records | `UUUUU.words`; `UUUUU.sign`: ids, hashes of texts and of bands |
| bands | range of a band, of the texts, of the ids | hashes | `bucket-PPPPP`: who shares one |
| connect | run | buckets, words of candidates | `verdicts` and `clusters.parquet` |
| drop | unit | records, verdicts | `part-NNNNN.jsonl.zst` or `.jsonl` |

Between connect and drop a source that would lose too much stops the run (`loss_alarm`).

Memory is what `memory_bytes` says, whatever the number of records: what does not fit is sorted in
files of the journal, or beside them in files without a name. Texts are read twice, by sign and by
drop; what connect compares are the words that sign has stored.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from preprocess import _rust_ext
from preprocess.errors import Misuse, UserError
from preprocess.fetch import local_unit
from preprocess.inputs import Unit, record_files, refuse_inside, units_of
from preprocess.loss_alarm import SourceLoss, refuse_losses
from preprocess.manifest import Counts, InputEntry, Manifest, Share, to_json
from preprocess.record_shards import SHARD_TEXT_BYTES
from preprocess.run_directory import (
    VERSION,
    FileSummary,
    RunDirectory,
    RunOptions,
    UnitResult,
    UnitShard,
    judge,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

STEPS = ("sign", "bands", "connect", "drop")
CLUSTERS = "clusters.parquet"
FORMATS = ("jsonl.zst", "jsonl")
MOST_DECIMALS = 18
"""Of a threshold: similarities are compared with it in whole numbers of 64 bits."""
SCOPES = ("near", "exact", "url", "line", "paragraph", "substring")


@dataclass(frozen=True, kw_only=True, slots=True)
class DedupConfig:
    """What counts as a near-duplicate."""

    threshold: float = 0.8
    """Least true Jaccard similarity with a survivor at which a record is dropped."""

    keep: tuple[str, ...] = ("first",)
    """Which of records that are alike stays: `source:A,B`, then one of `first`, `longest`,
    `highest:FIELD` and `lowest:FIELD`; either alone will do. The first of the input breaks ties.
    FIELD is a number at the top of a record or in its `meta`; a record without one comes last."""

    verify: bool = True
    """Confirm by true similarity; False: single link, whatever shares a band falls."""

    ngram_size: int = 5
    """Words per shingle."""

    num_bands: int = 14
    """Chances for a pair to collide. More bands find more, and cost more."""

    rows_per_band: int = 8
    """Signature slots that must agree for a band to collide."""

    seed: int = 1
    """Chooses the permutations. Measured on web text, the bands of 1 find what the mean of many
    seeds does; any one finds up to 1 % more or fewer of the pairs at 0.8."""

    scope: str = "near"
    """What is compared, one of `SCOPES`: see `dedup_scopes`."""

    min_piece_chars: int = 40
    """Fewest characters of the normal form of a line or paragraph that is cut."""

    min_substring_bytes: int = 200
    """Fewest bytes of a repeated run that is cut."""

    max_cluster: int = 10_000
    """Most near-duplicates that fall to one survivor; further ones are kept, and counted."""

    format: str = "jsonl.zst"
    """How survivors are stored: `jsonl.zst` or `jsonl`."""

    compression_level: int = 3
    """Of zstd, where it compresses."""

    shard_text_bytes: int = SHARD_TEXT_BYTES
    """Loose files are cut into shards of this much text; shards stay shards."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold ({self.threshold}) must be above 0 and at most 1")
        if 10**MOST_DECIMALS % Fraction(str(self.threshold)).denominator:
            raise ValueError(
                f"threshold ({self.threshold}) must have at most {MOST_DECIMALS} decimals"
            )
        if not self.keep:
            raise ValueError("expected a rule of keep, got none; first is the default")
        _rust_ext.check_keep(list(self.keep))
        for name in ("ngram_size", "num_bands", "rows_per_band"):
            value = getattr(self, name)
            if not 1 <= value <= 1_000:
                raise ValueError(f"{name} ({value}) must be between 1 and 1000")
        if self.scope not in SCOPES:
            raise ValueError(f"scope ({self.scope}) must be one of {', '.join(SCOPES)}")
        if not 1 <= self.min_piece_chars <= 1 << 20:
            raise ValueError(f"min_piece_chars ({self.min_piece_chars}) must be between 1 and 2^20")
        if not 16 <= self.min_substring_bytes <= 1 << 20:
            raise ValueError(
                f"min_substring_bytes ({self.min_substring_bytes}) must be between 16 and 2^20"
            )
        if not 1 <= self.max_cluster < 1 << 31:
            raise ValueError(f"max_cluster ({self.max_cluster}) must be between 1 and 2^31 - 1")
        if self.format not in FORMATS:
            raise ValueError(f"format ({self.format}) must be one of {', '.join(FORMATS)}")
        if not 1 <= self.compression_level <= 22:
            raise ValueError(
                f"compression_level ({self.compression_level}) must be between 1 and 22"
            )
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed ({self.seed}) must be between 0 and 2^64 - 1")

    @property
    def num_permutations(self) -> int:
        """Slots of a signature."""
        return self.num_bands * self.rows_per_band

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What the extension calls the shape: ngram_size, num_bands, rows_per_band, seed.

        Without bands, only equal records are found.
        """
        num_bands = self.num_bands if self.scope == "near" else 0
        return self.ngram_size, num_bands, self.rows_per_band, self.seed

    @property
    def key(self) -> str:
        """What makes two records equal: their `text`, its `normal` form, or their `url`."""
        return {"exact": "normal", "url": "url"}.get(self.scope, "text")

    def collision_probability(self, jaccard: float) -> float:
        """Return the chance that a pair of this similarity shares a band.

        Source: Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.2.

        >>> round(DedupConfig().collision_probability(0.8), 3)
        0.924
        """
        return float(1.0 - (1.0 - jaccard**self.rows_per_band) ** self.num_bands)


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


class _Connected(msgspec.Struct, frozen=True):
    """The part of what `connect` found that the alarm needs."""

    sources: dict[str, SourceLoss]


class _UnitDropped(msgspec.Struct, frozen=True):
    shards: list[_ShardWritten]
    native: int
    dropped: dict[str, int]
    rejected: dict[str, int]
    inputs: list[_FileRead]
    details: dict[str, int]


def dedup(
    inputs: Sequence[str],
    output: Path,
    config: DedupConfig,
    options: RunOptions,
    *,
    step: str | None = None,
    allow_loss: Collection[str] = (),
) -> Manifest | None:
    """Drop exact and near duplicates; write survivors, `clusters.parquet` and the manifest.

    Args:
        inputs: Files, globs or directories of records; earlier ones win over later ones.
        output: The directory to write.
        config: What counts as a duplicate.
        options: What the run may use.
        step: One of `STEPS`; None runs all four in order.
        allow_loss: Sources that may lose more records than `loss_alarm` lets pass.

    Returns:
        The manifest, or None where other steps or tasks have to complete the directory.

    Raises:
        UserError: No record files, an id that occurs twice, a step before this one that is not
            whole, another run's directory, damaged files, a source that would lose too much.
        Misuse: An unknown step, or a task without a step.
    """
    if step is not None and step not in STEPS:
        raise Misuse(f"expected a step of {', '.join(STEPS)}, got {step}")
    if step is None and options.task is not None:
        raise Misuse(
            "expected --step with --task: the steps of all tasks follow one another; "
            f"give --step {STEPS[0]} to all tasks first"
        )
    from preprocess.dedup_scopes import refuse_oversized, run_of

    refuse_inside(inputs, output)
    units = units_of(record_files(list(inputs)))
    refuse_oversized(units, config, options)
    directory = RunDirectory.begin(output, "dedup", asdict(config) | options.limits(), units)
    run = run_of(directory, config, options)
    manifest = directory.manifest()
    if manifest is None:
        try:
            for each in STEPS if step is None else (step,):
                if each == "drop":
                    run.refuse_losses(allow_loss)
                run.do(each)
        except FileNotFoundError:
            # An equal run that completes the directory removes the journal under our feet.
            if directory.manifest() is None:
                raise
        except ValueError as error:
            # What the extension refuses: damaged files, an id that occurs twice, too little memory.
            raise UserError(str(error)) from error
        if options.task is not None or step not in (None, "drop"):
            return None
        manifest = directory.complete()
    judge(manifest, output, options)
    return manifest


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
            raw = _rust_ext.connect_summary(self.verdicts, fingerprint=self.fingerprint)
            summary = msgspec.json.decode(raw, type=_Connected)
            equal = "same-address" if self.config.key == "url" else "exact"
            refuse_losses(summary.sources, allowed, self.directory.path, equal=equal)

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
                return _result(unit, dropped, f".{self.config.format}")

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
