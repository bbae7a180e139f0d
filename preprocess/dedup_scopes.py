"""What `dedup --scope` compares, and the scopes that cut parts out of texts.

| scope | equal are | what falls |
|---|---|---|
| `near` | texts; then those whose sets of shingles are alike | records |
| `exact` | normal forms of texts | records |
| `url` | addresses (`origin.url`) that count as one; a record without one stays | records |
| `line`, `paragraph` | normal forms of lines or paragraphs of `min_piece_chars` and more | parts |
| `substring` | runs of `min_substring_bytes` and more, byte for byte | parts |

The normal form of a text is its NFC in lower case, each run of white space a blank, none at the
ends. Lines end at a line feed; a line of white space alone ends a paragraph.

In the scopes of parts, records of equal text fall first. Of what several of the others have, or one
has twice, the first occurrence stays, in the order of `keep`, then of the input, then of the text;
the others are cut out, a line with its line feed, a paragraph with the blank lines behind it, a run
of bytes at the borders of its characters. All else of the record stays byte for byte, and
`cuts.parquet` says what went and where it stays. A record of which white space alone is left is
dropped as `nothing_left`. Records with `messages` lose nothing, as their text is made of those, but
others lose to them. A source of other agent data that would lose too much of its text stops the run
between connect and drop (`loss_alarm`).

`line` and `paragraph` sort on disk and take the memory they are given. For `substring` all texts
lie in memory with a suffix array: 6 bytes a byte of text and 60 a record up to 2 GiB of text, 11 a
byte beyond. One machine does it; what does not fit is refused, before anything is read where the
inputs' manifests say how long the texts are.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, override

import msgspec

from preprocess import _rust_ext
from preprocess.dedup_run import DedupRun, files_of
from preprocess.errors import UserError
from preprocess.fetch import local_unit
from preprocess.loss_alarm import TextLoss, refuse_text_losses
from preprocess.manifest import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from preprocess.dedup_config import DedupConfig
    from preprocess.inputs import Unit
    from preprocess.run_directory import RunDirectory
    from preprocess.run_options import RunOptions

CUTS = "cuts.parquet"


def run_of(directory: RunDirectory, config: DedupConfig, options: RunOptions) -> DedupRun:
    """Return the steps of a run of this scope."""
    if config.scope in ("line", "paragraph"):
        return PieceRun(directory, config, options)
    if config.scope == "substring":
        return SubstringRun(directory, config, options)
    return DedupRun(directory, config, options)


def refuse_oversized(units: Sequence[Unit], config: DedupConfig, options: RunOptions) -> None:
    """Refuse texts that could not lie in memory at once, where their sizes are known.

    Raises:
        UserError: Naming what is needed and what there is.
    """
    files = [file for unit in units for file in unit.files]
    sizes = [file.text_bytes for file in files if file.text_bytes is not None]
    if config.scope != "substring" or len(sizes) < len(files):
        return  # loose files are measured by `sign`
    try:
        _rust_ext.check_substring_memory(
            text_bytes=sum(sizes),
            records=sum(share.records for file in files for share in file.composition),
            memory_bytes=options.memory_bytes,
        )
    except ValueError as error:
        raise UserError(str(error)) from error


class CutRun(DedupRun):
    """The steps of a scope that ends in cuts: `connect` finds them, `drop` makes them."""

    def __init__(self, directory: RunDirectory, config: DedupConfig, options: RunOptions) -> None:
        super().__init__(directory, config, options)
        self.cuts = directory.journal / "cuts"
        self.cut_table = directory.path / CUTS
        self.losses = directory.journal / "losses.json"

    @override
    def outputs(self, step: str) -> list[Path]:
        own = [self.cuts, self.losses, self.cut_table] if step == "connect" else []
        return [*super().outputs(step), *own]

    @override
    def connect(self) -> None:
        super().connect()
        if self.options.task not in (None, 0):
            return
        if not self.cuts.exists():
            self.find_cuts()
        if not self.losses.exists():
            losses = _rust_ext.cut_losses(
                self.cuts, signatures=self.signatures, fingerprint=self.fingerprint
            )
            write_whole(self.losses, losses.encode())
        if not self.cut_table.exists():
            with self.shown(self.cut_table) as made:
                _rust_ext.write_cuts(
                    self.cuts,
                    signatures=self.signatures,
                    fingerprint=self.fingerprint,
                    output=made,
                    memory_bytes=self.options.memory_bytes,
                )

    def find_cuts(self) -> None:
        """Write the file of cuts; records of equal text have fallen."""
        raise NotImplementedError

    @override
    def refuse_losses(self, allowed: Collection[str]) -> None:
        super().refuse_losses(allowed)
        if self.losses.exists() and self.cut_table.exists():
            losses = msgspec.json.decode(self.losses.read_bytes(), type=dict[str, TextLoss])
            refuse_text_losses(losses, allowed, self.cut_table)

    @override
    def drop_arguments(self) -> dict[str, Any]:
        return {**super().drop_arguments(), "cuts": self.cuts}


class PieceRun(CutRun):
    """Lines or paragraphs: `sign` lists them, `bands` finds equal ones, range by range."""

    def __init__(self, directory: RunDirectory, config: DedupConfig, options: RunOptions) -> None:
        super().__init__(directory, config, options)
        self.pieces = [path.with_suffix(".pieces") for path in self.signatures]

    @override
    def outputs(self, step: str) -> list[Path]:
        own = {"sign": lambda: self.pieces, "bands": self.parts}.get(step, list)
        return [*super().outputs(step), *own()]

    def parts(self) -> list[Path]:
        """Return where the cuts of each range of hashes lie."""
        count = _rust_ext.piece_parts(self.pieces, fingerprint=self.fingerprint)
        return [self.directory.journal / f"cuts-{part:05}" for part in range(count)]

    @override
    def sign(self) -> None:
        super().sign()
        label = f"dedup: {self.config.scope}s"
        with self.options.report(label, self.expected_text_bytes()) as progress:

            def sign(number: int) -> None:
                with local_unit(self.directory.units[number], self.directory.journal) as unit:
                    _rust_ext.sign_pieces(
                        files_of(unit),
                        grain=self.config.scope,
                        min_chars=self.config.min_piece_chars,
                        fingerprint=self.fingerprint,
                        signatures=self.signatures[number],
                        output=self.pieces[number],
                        workers=self.options.workers,
                        memory_bytes=self.options.memory_bytes,
                        progress=progress,
                    )

            for number, _ in self.waiting([[path] for path in self.pieces]):
                sign(number)

    @override
    def bands(self) -> None:
        super().bands()
        parts = self.parts()

        def cut(part: int) -> None:
            _rust_ext.cut_pieces(
                self.pieces,
                part=part,
                num_parts=len(parts),
                fingerprint=self.fingerprint,
                output=parts[part],
                memory_bytes=self.options.memory_bytes,
            )

        for part, _ in self.waiting([[path] for path in parts]):
            cut(part)

    @override
    def find_cuts(self) -> None:
        _rust_ext.gather_cuts(
            self.parts(),
            verdicts=self.verdicts,
            fingerprint=self.fingerprint,
            output=self.cuts,
        )


class SubstringRun(CutRun):
    """Runs of bytes: `connect` reads all texts and sorts their suffixes."""

    @override
    def find_cuts(self) -> None:
        with (
            contextlib.ExitStack() as fetched,
            self.options.report("dedup: substrings", self.expected_text_bytes()) as progress,
        ):
            units = [
                fetched.enter_context(local_unit(unit, self.directory.journal))
                for unit in self.directory.units
            ]
            _rust_ext.cut_substrings(
                [files_of(unit) for unit in units],
                min_bytes=self.config.min_substring_bytes,
                fingerprint=self.fingerprint,
                signatures=self.signatures,
                verdicts=self.verdicts,
                output=self.cuts,
                workers=self.options.workers,
                memory_bytes=self.options.memory_bytes,
                progress=progress,
            )
