"""What a stage says of its output: `manifest.json`, written last.

A directory with a manifest is complete. Everything in it is a function of the input and the
options, but for `seconds` and the absolute part of `inputs`' paths.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from preprocess.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MANIFEST = "manifest.json"
RUN = "run.json"


def read_journal[T](path: Path, kind: type[T]) -> T | None:
    """Return what stands in a file of the journal, None where there is none.

    Raises:
        UserError: The file is there and is not what we write.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: expected what this stage wrote, but {error}; remove the file and run again"
        ) from error


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a shard comes from one source and is of one kind."""

    source: str
    kind: str
    records: int
    text_bytes: int


class Shard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of the output, or one dataset of several."""

    name: str
    """File name; for tokens that of the `.bin`."""
    records: int
    bytes: int
    """Stored size of the file named."""
    text_bytes: int
    """UTF-8 bytes of text in its records."""
    xxh3: str
    """xxh3 (64 bits) of the file named, 16 hexadecimal digits."""
    composition: list[Share] = []
    tokens: int | None = None
    sidecars: dict[str, str] = {}
    """Extension -> xxh3 of each file beside the one named."""


class Counts(msgspec.Struct, kw_only=True):
    """What became of the records; `in = out + sum(dropped)`, always."""

    native: int = 0
    """Native records seen; the reader states their unit. Elsewhere: lines that are not blank."""
    in_: int = msgspec.field(default=0, name="in")
    """Records made of them, or read."""
    out: int = 0
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    """By rule."""
    rejected: dict[str, int] = msgspec.field(default_factory=dict)
    """Unreadable native records by reason; they stand in `rejected.jsonl.zst`."""
    repaired: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """What a reader understood otherwise than it was spelled, where the meaning is certain."""
    licenses: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """Records of each licence that `ingest` let in."""

    def check(self) -> None:
        """Hold the books to their rule: a difference is a bug of ours."""
        total = self.out + sum(self.dropped.values())
        assert self.in_ == total, f"in ({self.in_}) is not out + dropped ({total})"

    @staticmethod
    def total(parts: Iterable[Counts]) -> Counts:
        """Return the sum of several counts, reasons in alphabetical order."""
        total = Counts()
        dropped: Counter[str] = Counter()
        rejected: Counter[str] = Counter()
        repaired: Counter[str] = Counter()
        licenses: Counter[str] = Counter()
        for part in parts:
            total.native += part.native
            total.in_ += part.in_
            total.out += part.out
            dropped.update(part.dropped)
            rejected.update(part.rejected)
            repaired.update(part.repaired or {})
            licenses.update(part.licenses or {})
        total.dropped = dict(sorted(dropped.items()))
        total.rejected = dict(sorted(rejected.items()))
        total.repaired = dict(sorted(repaired.items())) or msgspec.UNSET
        total.licenses = dict(sorted(licenses.items())) or msgspec.UNSET
        return total


DIFFERING_SHOWN = 10
"""So many ids of records that differ are kept."""


class Agreement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `tokenize --check` found: ids on disk against those of the reference library."""

    references: list[str]
    """Library and version, several if tasks ran with different ones."""
    checked: int
    """Sampled records that were compared."""
    equal: int
    passed_over: int = 0
    """Sampled records whose text is too long for a reference, or not found again in the input."""
    differing: list[str] = []
    """Ids of the first records that differ."""

    @staticmethod
    def total(parts: Iterable[Agreement | None]) -> Agreement | None:
        """Return what several checks found together, None if there was none."""
        given = [part for part in parts if part is not None]
        if not given:
            return None
        return Agreement(
            references=sorted({name for part in given for name in part.references}),
            checked=sum(part.checked for part in given),
            equal=sum(part.equal for part in given),
            passed_over=sum(part.passed_over for part in given),
            differing=[name for part in given for name in part.differing][:DIFFERING_SHOWN],
        )

    def __str__(self) -> str:
        """Return it as users read it."""
        text = (
            f"{self.equal:,} of {self.checked:,} sampled records have the ids of "
            f"{', '.join(self.references)}"
        )
        if self.passed_over:
            text += f", {self.passed_over:,} more are too long to compare or not found again"
        return text


class InputEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read."""

    path: str
    bytes: int
    records: int
    xxh3: str


class Manifest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The whole of `manifest.json`."""

    stage: str
    version: str
    config: dict[str, Any]
    inputs: list[InputEntry]
    shards: list[Shard]
    counts: Counts
    seconds: float
    details: dict[str, Any] = {}
    """Figures of this stage that the report shows."""
    beside: dict[str, str] = {}
    """Name -> xxh3 of the files that are no shards: tables, and `rejected.jsonl.zst`."""
    check: Agreement | None = None
    """What the reference library says of sampled records, if it was asked."""
    notices: list[str] = []
    """What a user should know of the run though nothing is wrong with the output."""
    problems: list[str] = []
    """Why the output, though kept, is not whole: a truncated input, for example."""

    def composition(self) -> list[Share]:
        """Return the records and bytes of text by source and kind, summed over the shards."""
        sums: dict[tuple[str, str], list[int]] = {}
        for share in (share for shard in self.shards for share in shard.composition):
            pair = sums.setdefault((share.source, share.kind), [0, 0])
            pair[0] += share.records
            pair[1] += share.text_bytes
        return [
            Share(source=source, kind=kind, records=records, text_bytes=text_bytes)
            for (source, kind), (records, text_bytes) in sorted(sums.items())
        ]


def read_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of a directory, or None where there is none.

    Raises:
        UserError: The file is there and is no manifest.
    """
    try:
        content = (directory / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return parse_manifest(content, str(directory / MANIFEST))


def parse_manifest(content: bytes, place: str) -> Manifest:
    """Return the manifest that a file holds.

    Raises:
        UserError: It is none; `place` names it.
    """
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(
            f"{place}: expected a manifest, but {error}; make the directory again into a new place"
        ) from error


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `manifest.json`; from then on the directory counts as complete."""
    manifest.counts.check()
    shards = tuple(shard.name.removesuffix(".bin") for shard in manifest.shards)
    manifest.beside = {
        path.name: hash_file(path)[1]
        for path in sorted(directory.iterdir())
        if path.is_file()
        and path.name not in (RUN, MANIFEST)
        # A prefix's files are in its shard's sidecars; names with a dot first are private.
        and not path.name.startswith((".", *shards))
    }
    write_whole(directory / MANIFEST, to_json(manifest))


def to_json(value: Any) -> bytes:
    """Return a value as indented JSON with a line end; key order is the value's own."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def write_whole(path: Path, content: bytes) -> None:
    """Put a small file down under a private name, flush it and rename it.

    Raises:
        OSError: With the final path as its file name.
    """
    write_blocks(path, [content])


def concatenate(path: Path, parts: Iterable[Path]) -> None:
    """Put files down as one; frames of zstd one after another are one file.

    Raises:
        OSError: With the final path as its file name, or that of the part that cannot be read.
    """
    write_blocks(path, (block for part in parts for block in _blocks(part)))


def write_blocks(path: Path, blocks: Iterable[bytes]) -> None:
    """Put blocks down as a file, as `write_whole` does; nothing if `blocks` raises.

    Raises:
        OSError: With the final path as its file name.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False
        ) as file:
            temporary = file.name
            for block in blocks:
                file.write(block)
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        is_other = error.filename is not None and f".{path.name}." not in str(error.filename)
        place = error.filename if is_other else str(path)
        raise OSError(error.errno, error.strerror, place) from error
    sync_directory(path.parent)


def _umask() -> int:
    # There is no way to read the mask but to set it; temporary files are 0600 without this.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def sync_directory(directory: Path) -> None:
    """Make the renames in a directory survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> tuple[int, str]:
    """Return the size of a file and its xxh3 (64 bits, 16 hexadecimal digits)."""
    digest = xxhash.xxh3_64()
    size = 0
    for block in _blocks(path):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            yield block
