"""`preprocess verify`: every checksum and every count, read again from the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.manifest import Manifest, Shard, hash_file, read_manifest
from preprocess.mask import mask_faults
from preprocess.sidecar import Sidecar, mask_of, read_sidecar, with_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.run_options import ProgressCallback


class _Scan(msgspec.Struct, frozen=True):
    records: int
    text_bytes: int
    bytes: int
    xxh3: str
    problem: str | None


class _Audit(msgspec.Struct, frozen=True):
    sequences: int
    documents: int
    tokens: int
    empty_documents: int
    misplaced_eod: int
    first_misplaced: int | None
    dtype: str
    bin_bytes: int
    bin_xxh3: str


def verify(path: Path, progress: ProgressCallback) -> tuple[int, list[str]]:
    """Check a complete directory or a dataset's prefix.

    Returns:
        Files checked, and a line for each fault.

    Raises:
        UserError: There is nothing that could be checked.
    """
    manifest = read_manifest(path)
    if manifest is not None:
        checked, faults = 0, list(manifest.problems)
        for shard in manifest.shards:
            checked += 1 + len(shard.sidecars)
            faults += _shard(path, shard, progress)
        for name, xxh3 in manifest.beside.items():
            checked += 1
            faults += _compare(path / name, None, xxh3)
        faults += _books(manifest)
        return checked, faults
    if with_suffix(path, ".idx").exists():
        return 6 if _has_mask(path) else 4, list(_dataset(path, progress))
    raise UserError(
        f"{path}: expected a directory with a manifest.json, or the prefix of a dataset; "
        "if its tasks are done, `preprocess verify --complete` makes it whole"
    )


def _books(manifest: Manifest) -> Iterator[str]:
    counts = manifest.counts
    accounted = counts.out + sum(counts.dropped.values())
    if counts.in_ != accounted:
        yield f"manifest: expected in = out + dropped, found {counts.in_} and {accounted}"
    records = sum(shard.records for shard in manifest.shards)
    if records != counts.out:
        yield f"manifest: expected {counts.out} records in the shards, they list {records}"
    if manifest.check and manifest.check.equal != manifest.check.checked:
        yield f"manifest: expected ids as the reference library gives them, {manifest.check}"


def _shard(directory: Path, shard: Shard, progress: ProgressCallback) -> Iterator[str]:
    path = directory / shard.name
    if not path.exists():
        yield f"{path}: expected a shard, it is missing"
        return
    if shard.name.endswith(".bin"):
        prefix = path.with_suffix("")
        for extension, xxh3 in shard.sidecars.items():
            yield from _compare(with_suffix(prefix, extension), None, xxh3)
        yield from _dataset(prefix, progress, shard)
    elif shard.name.endswith((".jsonl", ".jsonl.zst")):
        raw = _rust_ext.scan_records(path, progress=progress)
        yield from _records(path, shard, msgspec.json.decode(raw, type=_Scan))
    else:
        yield from _compare(path, shard.bytes, shard.xxh3)


def _records(path: Path, shard: Shard, scan: _Scan) -> Iterator[str]:
    if scan.problem is not None:
        yield f"{path}: expected whole records, {scan.problem}"
    for name in ("bytes", "xxh3", "records", "text_bytes"):
        expected, found = getattr(shard, name), getattr(scan, name)
        if expected != found:
            yield f"{path}: expected {name} {expected}, found {found}"


def _compare(path: Path, size: int | None, xxh3: str) -> Iterator[str]:
    try:
        found_size, found = hash_file(path)
    except FileNotFoundError:
        yield f"{path}: expected a file, it is missing"
        return
    if size is not None and size != found_size:
        yield f"{path}: expected {size} bytes, found {found_size}"
    elif found != xxh3:
        yield f"{path}: expected xxh3 {xxh3}, found {found}"


def _dataset(prefix: Path, progress: ProgressCallback, shard: Shard | None = None) -> Iterator[str]:
    """Prove pointers against sizes, and documents against end-of-document tokens and ids.

    `.bin` is read once, by the audit, which hashes it on the way.
    """
    bin_path, ids_path = with_suffix(prefix, ".bin"), with_suffix(prefix, ".ids.zst")
    try:
        sidecar = read_sidecar(prefix)
    except UserError as error:
        yield str(error)
        return
    if shard is None:
        yield from _compare(with_suffix(prefix, ".idx"), None, sidecar.idx_xxh3)
        yield from _compare(ids_path, None, sidecar.ids_xxh3)
        if sidecar.has_mask:
            mask = mask_of(prefix)
            yield from _compare(with_suffix(mask, ".bin"), None, sidecar.mask_bin_xxh3 or "")
            yield from _compare(with_suffix(mask, ".idx"), None, sidecar.mask_idx_xxh3 or "")
    try:
        raw = _rust_ext.audit_dataset(
            prefix, eod_id=sidecar.eod_id, vocab_size=sidecar.vocab_size, progress=progress
        )
    except (_rust_ext.CorruptDataError, OSError) as error:
        yield str(error)
        yield from _compare(bin_path, shard.bytes if shard else None, sidecar.bin_xxh3)
        return
    audit = msgspec.json.decode(raw, type=_Audit)
    yield from _agreement(prefix, sidecar, audit)
    promises = [sidecar.bin_xxh3, shard.xxh3] if shard else [sidecar.bin_xxh3]
    for promise in dict.fromkeys(promises):
        if audit.bin_xxh3 != promise:
            yield f"{bin_path}: expected xxh3 {promise}, found {audit.bin_xxh3}"
    if shard is not None:
        yield from _promises(prefix, shard, audit)
    if sidecar.has_mask:
        yield from mask_faults(prefix, sidecar, progress)
    try:
        ids, damage = _rust_ext.count_lines(ids_path, progress=progress)
    except OSError as error:
        yield str(error)
        return
    if damage is not None:
        yield f"{ids_path}: {damage}"
    if ids != audit.documents:
        yield f"{ids_path}: expected {audit.documents} ids, found {ids}"


def _agreement(prefix: Path, sidecar: Sidecar, audit: _Audit) -> Iterator[str]:
    """Hold what was found against the sidecar, and against what every dataset of ours is."""
    if audit.misplaced_eod:
        yield (
            f"{prefix}: expected one end-of-document token {sidecar.eod_id} at the end of each "
            f"document, {audit.misplaced_eod} documents differ, the first is "
            f"{audit.first_misplaced}"
        )
    if audit.sequences != audit.documents or audit.empty_documents:
        yield (
            f"{prefix}: expected one sequence a document, found {audit.sequences} in "
            f"{audit.documents} documents, {audit.empty_documents} of them without any"
        )
    for name in ("documents", "tokens", "dtype"):
        expected, found = getattr(sidecar, name), getattr(audit, name)
        if expected != found:
            yield f"{prefix}: expected {name} {expected} by its sidecar, found {found}"


def _promises(prefix: Path, shard: Shard, audit: _Audit) -> Iterator[str]:
    """Hold what was found against the manifest."""
    if shard.records != audit.documents:
        yield f"{prefix}: expected {shard.records} documents, found {audit.documents}"
    if shard.tokens is not None and shard.tokens != audit.tokens:
        yield f"{prefix}: expected {shard.tokens} tokens by the manifest, found {audit.tokens}"
    if shard.bytes != audit.bin_bytes:
        yield f"{prefix}.bin: expected {shard.bytes} bytes, found {audit.bin_bytes}"


def _has_mask(prefix: Path) -> bool:
    try:
        return read_sidecar(prefix).has_mask
    except UserError:
        return False  # said when the dataset is looked at
