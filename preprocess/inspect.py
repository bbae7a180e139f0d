"""`preprocess inspect`: a manifest, a record, or a document decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from rich.table import Table

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.inputs import RECORD_SUFFIXES
from preprocess.manifest import Manifest, read_manifest
from preprocess.mask import TRAINED, UNTRAINED, harmless, marked
from preprocess.sidecar import mask_of, read_sidecar, with_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

MEMBERS_SHOWN = 5


def clusters(path: Path, count: int, console: Console) -> None:
    """Show the largest clusters of a `dedup` output: who survived, and who fell to it.

    Raises:
        UserError: The directory has no `clusters.parquet`.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file = path / "clusters.parquet"
    if not file.exists():
        raise UserError(f"{file}: expected the clusters that `preprocess dedup` writes, found none")
    table = pq.read_table(file)
    if not table.num_rows:
        console.print("no clusters: no record was a duplicate", highlight=False)
    sizes = table.group_by("cluster").aggregate([("record", "count")])
    largest = sizes.sort_by([("record_count", "descending"), ("cluster", "ascending")])
    for row in largest.slice(0, count).to_pylist():
        members = table.filter(pc.equal(table["cluster"], row["cluster"]))
        console.print(f"{row['record_count']:,} records", highlight=False)
        for member in members.slice(0, MEMBERS_SHOWN).to_pylist():
            console.print(f"  {_member(member)}", highlight=False, markup=False, soft_wrap=True)
        if members.num_rows > MEMBERS_SHOWN:
            console.print(f"  ... and {members.num_rows - MEMBERS_SHOWN:,} more", highlight=False)


def _member(member: dict[str, Any]) -> str:
    if member["kind"] == "survivor":
        return f"{member['record']}  survives"
    record, survivor, estimated = member["record"], member["survivor"], member["estimated"]
    if member["kind"] == "url":
        return f"{record}  same address as {survivor}"
    is_true = member["jaccard"] is not None
    similarity = member["jaccard"] if is_true else estimated
    how = f"{'Jaccard' if is_true else 'estimated Jaccard'} {similarity:.3f}"
    if member["kind"] == "near":
        return f"{record}  similar to {survivor} ({how})"
    if similarity < 1:  # a copy of a near duplicate falls with it
        return f"{record}  equal to one that fell to {survivor} ({how})"
    return f"{record}  equal to {survivor}"


def inspect(path: Path, number: int | None, tokenizer: Path | None, console: Console) -> None:
    """Show what a path holds; `number` chooses a record or a document.

    Raises:
        UserError: The path is none of these, or the number is too high.
    """
    if with_suffix(path, ".idx").is_file():
        _dataset(path, number, tokenizer, console)
    elif path.is_file() and path.name.endswith(RECORD_SUFFIXES):
        _record(path, number or 0, console)
    elif (manifest := read_manifest(path)) is not None:
        if number is None:
            _manifest(path, manifest, console)
        else:
            _numbered(path, manifest, number, tokenizer, console)
    else:
        raise UserError(
            f"{path}: expected a directory with a manifest, a record file "
            f"({', '.join(RECORD_SUFFIXES)}) or a dataset's prefix; check the path"
        )


def rendered(
    path: Path,
    number: int,
    given: str,
    tokenizer: Path,
    train_roles: tuple[str, ...],
    console: Console,
) -> None:
    """Show a record as a chat template renders it.

    Raises:
        UserError: The path holds no records, the number is too high, or the record has no
            rendering.
    """
    from preprocess.chat.show import show_rendered

    line = _rust_ext.read_line(*_record_file(path, number))
    show_rendered(line, given, tokenizer, train_roles, console)


def _record_file(path: Path, number: int) -> tuple[Path, int]:
    """Return the file of a record and its number there."""
    if path.is_file() and path.name.endswith(RECORD_SUFFIXES):
        return path, number
    manifest = read_manifest(path)
    if manifest is None or any(shard.name.endswith(".bin") for shard in manifest.shards):
        raise UserError(
            f"{path}: expected records for --chat-template, a directory of `ingest` or a file of "
            f"them ({', '.join(RECORD_SUFFIXES)}); check the path"
        )
    left = number
    for shard in manifest.shards:
        if left < shard.records:
            return path / shard.name, left
        left -= shard.records
    raise UserError(f"{path}: expected a number below {manifest.counts.out}, got {number}")


def _manifest(path: Path, manifest: Manifest, console: Console) -> None:
    counts = manifest.counts
    head = f"{path}: stage {manifest.stage}, version {manifest.version}"
    console.print(head, highlight=False, markup=False)
    for name, value in manifest.config.items():
        console.print(f"  {name} = {value!r}", highlight=False, markup=False)
    table = Table("counts", "", title="records")
    table.add_row("native", f"{counts.native:,}")
    table.add_row("in", f"{counts.in_:,}")
    for reason, count in counts.dropped.items():
        table.add_row(f"dropped: {reason}", f"{count:,}")
    for reason, count in counts.rejected.items():
        table.add_row(f"rejected: {reason}", f"{count:,}")
    table.add_row("out", f"{counts.out:,}")
    console.print(table)
    shards = Table("shard", "records", "MB", "MB of text", "tokens", "xxh3")
    for shard in manifest.shards:
        shards.add_row(
            shard.name,
            f"{shard.records:,}",
            f"{shard.bytes / 1e6:,.1f}",
            f"{shard.text_bytes / 1e6:,.1f}",
            "" if shard.tokens is None else f"{shard.tokens:,}",
            shard.xxh3,
        )
    console.print(shards)


def _numbered(
    path: Path, manifest: Manifest, number: int, tokenizer: Path | None, console: Console
) -> None:
    left = number
    for shard in manifest.shards:
        if left < shard.records:
            if shard.name.endswith(".bin"):
                _dataset((path / shard.name).with_suffix(""), left, tokenizer, console)
            else:
                _record(path / shard.name, left, console)
            return
        left -= shard.records
    raise UserError(f"{path}: expected a number below {manifest.counts.out}, got {number}")


def _record(path: Path, number: int, console: Console) -> None:
    line = _rust_ext.read_line(path, number)
    try:
        shown = msgspec.json.format(line, indent=2).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: expected JSON in record {number}, but {error}") from error
    console.print(shown, highlight=False, markup=False, soft_wrap=True)


def _dataset(prefix: Path, number: int | None, tokenizer: Path | None, console: Console) -> None:
    sidecar = read_sidecar(prefix)
    if number is None:
        for name, value in msgspec.to_builtins(sidecar).items():
            console.print(f"{name} = {value!r}", highlight=False, markup=False)
        return
    ids = _rust_ext.read_document(prefix, number)
    console.print(f"id: {_document_id(prefix, number)}", highlight=False, markup=False)
    console.print(f"tokens: {len(ids):,}: {ids[:16]} ...", highlight=False, markup=False)
    mask = _rust_ext.read_document(mask_of(prefix), number) if sidecar.has_mask else None
    if mask is not None:
        console.print(
            f"trained: {sum(mask):,} of them: {mask[:16]} ...", highlight=False, markup=False
        )
    if tokenizer is None:
        console.print("text: give --tokenizer to decode it", highlight=False)
        return
    loaded = _rust_ext.Tokenizer.load(tokenizer)
    if loaded.sha256 != sidecar.tokenizer.sha256:
        raise UserError(
            f"{tokenizer}: expected the tokenizer {sidecar.tokenizer.sha256[:12]}... that made "
            f"{prefix}, found {loaded.sha256[:12]}...; give that one"
        )
    text = loaded.decode(ids)
    if mask is not None:
        console.print(f"what is trained stands in {TRAINED}{UNTRAINED}:", highlight=False)
        text = marked(loaded, ids, mask)
    shown = harmless(text) if console.is_terminal else text
    console.print(shown, highlight=False, markup=False, soft_wrap=True)


def _document_id(prefix: Path, number: int) -> str:
    from preprocess.readers.lines import read_lines

    for ordinal, line in enumerate(read_lines(with_suffix(prefix, ".ids.zst"))):
        if ordinal == number:
            return line.data.decode()
    raise UserError(f"{prefix}.ids.zst: expected an id for document {number}, found fewer")
