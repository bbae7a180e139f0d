"""Stage `train-tokenizer`: a byte-level BPE vocabulary, through the `tokenizers` library."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec

from preprocess.errors import UserError
from preprocess.fetch import local_files, named
from preprocess.inputs import InputFile, record_files, refuse_inside, units_of
from preprocess.judge import judge
from preprocess.manifest import (
    Counts,
    InputEntry,
    Manifest,
    Shard,
    hash_file,
    write_manifest,
    write_whole,
)
from preprocess.readers.record_lines import read_record_lines
from preprocess.records import Origin, Rejection, TruncatedInput
from preprocess.run_directory import REJECTED, VERSION, RunDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from preprocess.run_options import ProgressCallback, RunOptions

EOD = "<|endoftext|>"
FILE = "tokenizer.json"
COMPRESSION_GUESS = 4
"""Text in a stored byte of a loose compressed file, to choose the share of records taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainTokenizerConfig:
    """What is trained, on how much text."""

    vocab_size: int
    """Entries, the 256 bytes and the end-of-document token included."""

    sample_bytes: int = 64 << 20
    """Text to learn from; every n-th record is taken so that it comes to about this much."""

    text_field: str = "text"

    def __post_init__(self) -> None:
        if self.vocab_size <= 256:
            raise ValueError(
                f"vocab_size ({self.vocab_size}) must be above 256: all bytes, and {EOD}"
            )


class _Sampler:
    """Yields every n-th text of the input and keeps the books."""

    def __init__(
        self,
        files: Sequence[InputFile],
        config: TrainTokenizerConfig,
        scratch: Path,
        progress: ProgressCallback,
    ) -> None:
        self._files = files
        self._scratch = scratch
        self._field = config.text_field
        self._progress = progress
        expected = sum(_text_bytes(file) for file in files)
        self.stride = max(1, -(-expected // config.sample_bytes))
        self.counts = Counts()
        self.entries: list[InputEntry] = []
        self.rejected: list[Rejection] = []
        self.problems: list[str] = []
        self.text_bytes = 0

    def texts(self) -> Iterator[str]:
        for file in self._files:
            with local_files((file,), self._scratch) as files:
                yield from self._file(*files)

    def _file(self, file: InputFile) -> Iterator[str]:
        before = self.counts.native
        try:
            yield from self._texts(file)
        except TruncatedInput as error:
            self.problems.append(named(str(error), (file,), self._scratch))
        records = self.counts.native - before
        size, xxh3 = hash_file(file.path)
        self.entries.append(InputEntry(path=file.shown, bytes=size, records=records, xxh3=xxh3))

    def _texts(self, file: InputFile) -> Iterator[str]:
        ordinal = 0
        for line in read_record_lines(file.path, self._field):
            if not line.data.strip():
                continue
            number = self.counts.native
            self.counts.native += 1
            ordinal += 1
            if number % self.stride:
                continue
            text = self._text(line.data)
            if text is None:
                origin = Origin(path=file.relative, record=ordinal - 1)
                reason = "truncated" if line.is_cut else "unreadable"
                self.rejected.append(Rejection(origin=origin, reason=reason, raw=line.data))
                continue
            self.text_bytes += len(text.encode())
            self.counts.out += 1
            self._progress(self.counts.out, self.text_bytes)
            yield text

    def _text(self, line: bytes) -> str | None:
        try:
            text = msgspec.json.decode(line)[self._field]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
            return None
        return text if isinstance(text, str) else None


def train_tokenizer(
    inputs: Sequence[str], output: Path, config: TrainTokenizerConfig, options: RunOptions
) -> Manifest:
    """Train a tokenizer on a sample of the records into `tokenizer.json`.

    The pre-tokenizer is GPT-2's, every byte is in the vocabulary, and the only special token is
    `<|endoftext|>`.

    Raises:
        UserError: No record files, too little text for the vocabulary, another run's directory.
    """
    refuse_inside(inputs, output)
    files = record_files(list(inputs))
    directory = RunDirectory.begin(output, "train-tokenizer", asdict(config), units_of(files))
    manifest = directory.manifest()
    if manifest is None:
        expected = min(sum(map(_text_bytes, files)), config.sample_bytes)
        with options.report("train-tokenizer", expected) as progress:
            manifest = _train(files, directory, config, progress)
    judge(manifest, output, options)
    return manifest


def _train(
    files: Sequence[InputFile],
    directory: RunDirectory,
    config: TrainTokenizerConfig,
    progress: ProgressCallback,
) -> Manifest:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    sampler = _Sampler(files, config, directory.journal, progress)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[EOD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sampler.texts(), trainer)
    learnt = tokenizer.get_vocab_size()
    if learnt < config.vocab_size:
        raise UserError(
            f"expected {config.vocab_size:,} tokens, {sampler.text_bytes:,} bytes of text gave "
            f"{learnt:,}; give more text or a smaller --vocab-size"
        )
    path = directory.path / FILE
    write_whole(path, tokenizer.to_str(pretty=True).encode() + b"\n")
    return _finish(directory, sampler, path)


def _finish(directory: RunDirectory, sampler: _Sampler, path: Path) -> Manifest:
    counts = sampler.counts
    counts.rejected = {}
    for rejection in sampler.rejected:
        counts.rejected[rejection.reason] = counts.rejected.get(rejection.reason, 0) + 1
    counts.in_ = counts.native - len(sampler.rejected)
    if left := counts.in_ - counts.out:
        counts.dropped = {"not_in_sample": left}
    if sampler.rejected:
        import zstandard

        lines = b"".join(rejection.encode() + b"\n" for rejection in sampler.rejected)
        write_whole(directory.path / REJECTED, zstandard.compress(lines))
    size, xxh3 = hash_file(path)
    manifest = Manifest(
        stage="train-tokenizer",
        version=VERSION,
        config=directory.config,
        inputs=sampler.entries,
        shards=[
            Shard(
                name=FILE,
                records=counts.out,
                bytes=size,
                text_bytes=sampler.text_bytes,
                xxh3=xxh3,
            )
        ],
        counts=counts,
        seconds=directory.seconds(),
        details={"stride": sampler.stride},
        problems=sampler.problems,
    )
    write_manifest(directory.path, manifest)
    directory.discard_journal()
    return manifest


def _text_bytes(file: InputFile) -> int:
    if file.text_bytes is not None:
        return file.text_bytes
    return file.bytes if file.path.suffix == ".jsonl" else file.bytes * COMPRESSION_GUESS
