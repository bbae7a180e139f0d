"""Stage `tokenize`: records to Megatron shards. Texts never enter Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess import _rust_ext
from preprocess.agreement import check_unit, refuse_difference, sample_size
from preprocess.chat import roles
from preprocess.chat.template import ChatTemplate
from preprocess.end_of_document import EndOfDocument, resolve_eod
from preprocess.errors import UserError
from preprocess.inputs import Unit, record_files, refuse_inside, units_of
from preprocess.judge import judge
from preprocess.manifest import Agreement, Counts, InputEntry, Manifest, Share, to_json, write_whole
from preprocess.readers.registry import BENCHMARKS
from preprocess.record_shards import SHARD_TEXT_BYTES
from preprocess.records import GROUPS
from preprocess.reference import Reference, load_reference
from preprocess.run_directory import RunDirectory
from preprocess.run_options import ProgressCallback, RunOptions
from preprocess.sidecar import Sidecar, TokenizerName
from preprocess.unit_result import FileSummary, UnitResult, UnitShard, file_summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from preprocess.inputs import InputFile

SMALL_VOCABULARY = 65_500
"""Below it Megatron stores uint16; source: `DType.optimal_dtype` of Megatron-Core 0.19.2."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizeConfig:
    """What is made of the records."""

    tokenizer: Path
    """A tokenizer.json, a tiktoken file, a SentencePiece model, or a directory of one."""

    eod: str | None = None
    """The token that ends a document; None: the tokenizer's own."""

    append_eod: bool = True

    holdout: float = 0.005
    """Share of the documents that goes to `valid-NNNNN`, chosen by a hash of the id."""

    group: str | None = None
    """Only records of this group: agent, code or text. None: all."""

    text_field: str = "text"

    spans_field: str | None = None
    """A field with a list of spans, instead of a text; then each dataset has a mask."""

    chat_template: str | None = None
    """A template's name, a tokenizer's directory or a file in Jinja that renders `messages` and
    `tools`, instead of a text; then each dataset has a mask, too."""

    train_roles: tuple[str, ...] = roles.DEFAULT
    """With a chat template: whose turns are trained where a message does not say."""

    check: int = 0
    """So many records, sampled by id, are encoded by the reference library too; 0: none, since
    loading a second tokenizer and reading the input again cost seconds that few runs need."""

    shard_text_bytes: int = SHARD_TEXT_BYTES
    """Loose files are cut into shards of this much text; shards stay shards."""

    def __post_init__(self) -> None:
        if not 0 <= self.holdout <= 1:
            raise ValueError(f"holdout ({self.holdout}) must be between 0 and 1")
        if self.check < 0:
            raise ValueError(f"check ({self.check}) must be 0 or more")
        if self.spans_field is not None and self.chat_template is not None:
            raise ValueError(
                f"spans_field ({self.spans_field}) and chat_template ({self.chat_template}) must "
                "not both be given: a template makes spans of messages"
            )
        if self.check and self.has_masks:
            raise ValueError(
                f"check ({self.check}) must be 0 with a spans_field or a chat_template: no "
                "reference library takes records in spans"
            )
        if self.train_roles != roles.DEFAULT and self.chat_template is None:
            raise ValueError(
                f"train_roles ({', '.join(self.train_roles)}) must be left out without a "
                "chat_template, which alone knows roles"
            )
        if self.group is not None and self.group not in GROUPS:
            raise ValueError(f"group ({self.group!r}) must be one of {', '.join(GROUPS)}")

    @property
    def has_masks(self) -> bool:
        """Whether each dataset has a mask beside it."""
        return self.spans_field is not None or self.chat_template is not None


class _FileEntry(msgspec.Struct, frozen=True):
    series: str
    documents: int
    tokens: int
    text_bytes: int
    composition: list[Share]
    files: dict[str, FileSummary]
    trained_tokens: int | None = None


class _ShardEntry(msgspec.Struct, frozen=True):
    shard: int
    native: int
    dropped: dict[str, int]
    rejected: dict[str, int]
    series: list[_FileEntry]
    literal_tokens: int = 0


class _UnitSummary(msgspec.Struct, frozen=True):
    shards: list[_ShardEntry]
    inputs: list[tuple[int, int, str]]
    problems: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """What every unit of a run needs."""

    directory: RunDirectory
    config: TokenizeConfig
    tokenizer: _rust_ext.Tokenizer
    chat: ChatTemplate | None
    eod: EndOfDocument | None
    reference: Reference | None
    options: RunOptions
    progress: ProgressCallback


def tokenize(
    inputs: Sequence[str], output: Path, config: TokenizeConfig, options: RunOptions
) -> Manifest | None:
    """Encode records into `part-NNNNN` and `valid-NNNNN` datasets.

    Returns:
        The manifest, or None where other tasks have to complete the directory.

    Raises:
        UserError: No record files, an unknown end-of-document token, another run's directory, no
            reference library to check with, or ids that are not those of the reference.
        TokenizerError: The tokenizer's file is not understood.
    """
    refuse_inside(inputs, output)
    tokenizer = _rust_ext.Tokenizer.load(config.tokenizer)
    chat = _chat_template(config, tokenizer)
    eod = resolve_eod(tokenizer, config.eod) if config.append_eod else None
    turn_end = _turn_end(config, chat, eod)
    if turn_end is not None:
        eod = None
    files = record_files(list(inputs))
    refuse_benchmarks(share for file in files for share in file.composition)
    kinds = set(GROUPS[config.group]) if config.group else None
    if kinds is not None:
        files = [
            file
            for file in files
            if not file.composition or any(share.kind in kinds for share in file.composition)
        ]
        if not files:
            raise UserError(
                f"expected records of the group {config.group} in {', '.join(inputs)}, "
                "their manifest lists none; check --group"
            )
    if config.has_masks:
        _refuse_rows(files, "--spans-field" if config.spans_field else "--chat-template")
    # Before anything is begun: the library may not be there.
    reference = load_reference(tokenizer) if config.check else None
    directory = RunDirectory.begin(
        output,
        "tokenize",
        {
            **_describe(config, tokenizer, eod),
            **({"eod_reason": turn_end} if turn_end is not None else {}),
            **_describe_chat(config, chat),
            **options.limits(),
        },
        units_of(files),
    )
    manifest = directory.manifest()
    if manifest is None:
        expected = sum(file.text_bytes or 0 for file in files) or None
        with options.report("tokenize", expected) as progress:
            job = _Job(
                directory=directory,
                config=config,
                tokenizer=tokenizer,
                chat=chat,
                eod=eod,
                reference=reference,
                options=options,
                progress=progress,
            )
            directory.run(options, lambda unit: _do(unit, job))
        if options.task is not None:
            # Of the whole it knows nothing yet, of its own units it does.
            units = directory.units_of(options)
            results = filter(None, (directory.result(unit.index) for unit in units))
            mine = [result for result in results if result.check is not None]
            documents = sum(result.counts.out for result in mine)
            refuse_difference(Agreement.total(each.check for each in mine), documents, output)
            return None
        manifest = directory.complete()
    judge(manifest, output, options)
    if config.check and manifest.check is None and manifest.counts.out:
        raise UserError(
            f"{output}: expected sampled records to compare, but all units were done without "
            "--check; leave it out, or run into a new directory"
        )
    return manifest


def _describe(
    config: TokenizeConfig, tokenizer: _rust_ext.Tokenizer, eod: EndOfDocument | None
) -> dict[str, Any]:
    """Return what the manifest keeps, and what decides whether two runs are the same."""
    return {
        "tokenizer": Path(tokenizer.file).name,
        "tokenizer_sha256": tokenizer.sha256,
        "encoder": tokenizer.kind,
        "fallback": tokenizer.fallback_reason,
        "vocab_size": tokenizer.vocab_size,
        "dtype": dtype_of(tokenizer.vocab_size),
        "eod": eod.token if eod else None,
        "eod_id": eod.id if eod else None,
        "eod_reason": eod.reason if eod else "--no-eod",
        "holdout": config.holdout,
        "group": config.group,
        "text_field": None if config.has_masks else config.text_field,
        "spans_field": config.spans_field,
        "shard_text_bytes": config.shard_text_bytes,
    }


def _chat_template(config: TokenizeConfig, tokenizer: _rust_ext.Tokenizer) -> ChatTemplate | None:
    if config.chat_template is None:
        return None
    return ChatTemplate(config.chat_template, tokenizer, config.train_roles)


def _turn_end(
    config: TokenizeConfig, chat: ChatTemplate | None, eod: EndOfDocument | None
) -> str | None:
    """Return why documents end in their last turn alone: the template ends turns as documents end.

    A document would else hold its end inside, and every reader would cut it there.

    Raises:
        UserError: That token was asked for by name.
    """
    if chat is None or eod is None or not chat.writes(eod.token):
        return None
    if config.eod is not None:
        raise UserError(
            f"--eod {config.eod}: expected a token that ends documents alone, but the chat "
            f"template {chat.source.name} writes it in conversations; name another one, or give "
            "--no-eod"
        )
    return f"none, since {chat.source.name} writes {eod.token} in conversations"


def _describe_chat(config: TokenizeConfig, chat: ChatTemplate | None) -> dict[str, Any]:
    if chat is None:
        return {}
    return {**chat.describe(), "train_roles": list(config.train_roles)}


def _refuse_rows(files: Sequence[InputFile], option: str) -> None:
    for file in files:
        if file.path.suffix == ".parquet":
            raise UserError(
                f"{file.path}: expected lines of JSON for {option}, found Parquet, of which "
                "only columns of strings are read; write the records as .jsonl"
            )


def dtype_of(vocab_size: int) -> str:
    """Return the element type that Megatron chooses for a vocabulary, added tokens included."""
    return "uint16" if vocab_size < SMALL_VOCABULARY else "int32"


def _do(unit: Unit, job: _Job) -> UnitResult:
    config = job.config
    raw = _rust_ext.tokenize_unit(
        job.tokenizer,
        [(file.path, file.relative) for file in unit.files],
        journal=job.directory.journal,
        unit=unit.index,
        text_field=config.text_field,
        spans_field=config.spans_field,
        chat_template=job.chat.named if job.chat else None,
        render=job.chat.jinja if job.chat else None,
        kinds=GROUPS[config.group] if config.group else (),
        eod_id=job.eod.id if job.eod else None,
        holdout=config.holdout,
        # A shard of records gives one shard of tokens; loose files are cut.
        shard_text_bytes=None if unit.is_shard else config.shard_text_bytes,
        workers=job.options.workers,
        memory_bytes=job.options.memory_bytes,
        progress=job.progress,
    )
    summary = msgspec.json.decode(raw, type=_UnitSummary)
    shards = [
        _with_sidecar(unit, entry.shard, series, job)
        for entry in summary.shards
        for series in entry.series
    ]
    return UnitResult(
        shards=shards,
        counts=Counts.total(map(_counts, summary.shards)),
        inputs=[
            InputEntry(path=file.shown, bytes=size, records=records, xxh3=xxh3)
            for file, (records, size, xxh3) in zip(unit.files, summary.inputs, strict=True)
        ],
        problems=summary.problems + _changed(unit, summary),
        details=_details(summary, job),
        check=_check(unit, shards, job),
    )


def _check(unit: Unit, shards: list[UnitShard], job: _Job) -> Agreement | None:
    count = sample_size(job.config.check, job.directory.units, unit.index)
    if job.reference is None or not count:
        return None
    return check_unit(
        unit.files,
        [job.directory.shard_path(unit.index, each.shard, each.series, "") for each in shards],
        job.reference,
        count=count,
        text_field=job.config.text_field,
        eod_id=job.eod.id if job.eod else None,
    )


def _details(summary: _UnitSummary, job: _Job) -> dict[str, int]:
    if job.chat is None:
        return {}
    return {"literal_special_tokens": sum(entry.literal_tokens for entry in summary.shards)}


def _changed(unit: Unit, summary: _UnitSummary) -> list[str]:
    """Return a line for each shard whose bytes are not those that its manifest promised."""
    return [
        f"{file.path}: expected the xxh3 {file.xxh3} of its manifest, found {xxh3}: it is damaged"
        for file, (_, _, xxh3) in zip(unit.files, summary.inputs, strict=True)
        if file.is_hashed and file.xxh3 != xxh3
    ]


def _counts(entry: _ShardEntry) -> Counts:
    out = sum(series.documents for series in entry.series)
    return Counts(
        native=entry.native,
        in_=out + sum(entry.dropped.values()),
        out=out,
        dropped=entry.dropped,
        rejected=entry.rejected,
    )


def _with_sidecar(unit: Unit, shard: int, series: _FileEntry, job: _Job) -> UnitShard:
    """Put `PREFIX.json` beside a finished dataset."""
    refuse_benchmarks(series.composition)  # of loose files it is known only now
    names = [".bin", ".idx", ".ids.zst"]
    if series.trained_tokens is not None:
        names += ["_mask.bin", "_mask.idx"]
    files = {name: series.files[name] for name in names}
    sidecar = Sidecar(
        tokenizer=TokenizerName(sha256=job.tokenizer.sha256, file=Path(job.tokenizer.file).name),
        vocab_size=job.tokenizer.vocab_size,
        eod_id=job.eod.id if job.eod else None,
        dtype=dtype_of(job.tokenizer.vocab_size),
        documents=series.documents,
        tokens=series.tokens,
        group=group_of(series.composition),
        bin_xxh3=files[".bin"].xxh3,
        idx_xxh3=files[".idx"].xxh3,
        ids_xxh3=files[".ids.zst"].xxh3,
        trained_tokens=series.trained_tokens,
        mask_bin_xxh3=_xxh3(files.get("_mask.bin")),
        mask_idx_xxh3=_xxh3(files.get("_mask.idx")),
    )
    path = job.directory.shard_path(unit.index, shard, series.series, ".json")
    write_whole(path, to_json(sidecar))
    return UnitShard(
        shard=shard,
        series=series.series,
        records=series.documents,
        text_bytes=series.text_bytes,
        files={**files, ".json": file_summary(path)},
        composition=series.composition,
        tokens=series.tokens,
    )


def _xxh3(file: FileSummary | None) -> str | None:
    return None if file is None else file.xxh3


def refuse_benchmarks(composition: Iterable[Share]) -> None:
    """Refuse records of a benchmark: trained on, it measures nothing any more.

    Raises:
        UserError: Naming the first one.
    """
    for share in composition:
        if share.source in BENCHMARKS:
            raise UserError(
                f"expected records to train on, found {share.records:,} of {share.source}, a "
                "benchmark; use it in `decontaminate` and for evaluation, and take it out of the "
                "input"
            )


def group_of(composition: Sequence[Share]) -> str:
    """Return the group that all the kinds belong to, or `mixed`."""
    kinds = {share.kind for share in composition}
    for group, members in GROUPS.items():
        if kinds <= set(members):
            return group
    return "mixed"
