"""Stage `merge`: the shards of a directory as one `.bin/.idx`.

A blend of shards needs no merge; this is for tools that want one prefix.

The kernel moves the bytes. One reading of the copy, part by part while the next one is moved,
checks each part's hash, end-of-document tokens and ids, and hashes the whole: the hash of a whole
does not follow from those of its parts, so that reading cannot be saved, and nothing is read again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

import msgspec

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.manifest import read_manifest, sync_directory, to_json, write_whole
from preprocess.run_directory import FileSummary
from preprocess.sidecar import Sidecar, datasets_in, read_sidecar, with_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.run_directory import ProgressCallback

FILES = (".bin", ".ids.zst", ".idx")
"""In the order in which they get their names; `.json` follows, and makes them a dataset."""


class Merged(msgspec.Struct, frozen=True):
    """What was joined."""

    documents: int
    tokens: int
    bin: FileSummary
    idx: FileSummary
    ids: FileSummary
    moved_by: str
    """The system call."""


def merge(tokens: Path, prefix: Path, progress: ProgressCallback, series: str = "part") -> Merged:
    """Join the shards of a series in a directory into `PREFIX.bin` and its companions.

    Raises:
        UserError: No shards, one is missing, they do not belong together, or there are more
            documents than Megatron counts.
        CorruptDataError: A shard, or the copy of it, is not what its sidecar promises.
    """
    prefixes, sidecars = _shards(tokens, prefix, series)
    first = sidecars[0]
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with _private(prefix) as private:
        raw = _rust_ext.merge_datasets(
            [
                (path, each.bin_xxh3, each.ids_xxh3)
                for path, each in zip(prefixes, sidecars, strict=True)
            ],
            private,
            eod_id=first.eod_id,
            vocab_size=first.vocab_size,
            progress=progress,
        )
        written = msgspec.json.decode(raw, type=Merged)
        for name in ("documents", "tokens"):
            expected = sum(getattr(each, name) for each in sidecars)
            if getattr(written, name) != expected:
                raise UserError(
                    f"{tokens}: expected {expected:,} {name} by the sidecars, the indexes hold "
                    f"{getattr(written, name):,}; run `preprocess verify {tokens}`"
                )
        groups = {each.group for each in sidecars}
        sidecar = msgspec.structs.replace(
            first,
            documents=written.documents,
            tokens=written.tokens,
            group=groups.pop() if len(groups) == 1 else "mixed",
            bin_xxh3=written.bin.xxh3,
            idx_xxh3=written.idx.xxh3,
            ids_xxh3=written.ids.xxh3,
        )
        _publish(private, prefix, to_json(sidecar))
    return written


def _shards(tokens: Path, prefix: Path, series: str) -> tuple[list[Path], list[Sidecar]]:
    """Return the shards to join, in order, once nothing speaks against it."""
    if prefix.parent.resolve() == tokens.resolve():
        raise UserError(
            f"{prefix}: expected a prefix outside of {tokens}, whose shards it would replace or "
            "join; choose another folder"
        )
    prefixes = datasets_in(tokens, series)
    manifest = read_manifest(tokens)
    if manifest is not None:
        listed = [tokens / shard.name for shard in manifest.shards]
        listed = [path.with_suffix("") for path in listed if path.name.startswith(f"{series}-")]
        if missing := sorted(set(listed) - set(prefixes)):
            raise UserError(
                f"{missing[0]}.idx: expected the shard that the manifest lists, it is missing; "
                f"run `preprocess verify {tokens}`"
            )
    if not prefixes:
        raise UserError(f"{tokens}: expected {series} shards, found none; check the path")
    sidecars = [read_sidecar(each) for each in prefixes]
    for path, sidecar in zip(prefixes, sidecars, strict=True):
        for name in ("tokenizer", "vocab_size", "eod_id", "dtype"):
            expected, found = getattr(sidecars[0], name), getattr(sidecar, name)
            if expected != found:
                raise UserError(
                    f"{path}: expected the {name} of {prefixes[0]}, {_shown(expected)}, found "
                    f"{_shown(found)}; merge only shards of one run"
                )
    return prefixes, sidecars


def _shown(value: object) -> object:
    return getattr(value, "sha256", value)


@contextlib.contextmanager
def _private(prefix: Path) -> Iterator[Path]:
    """Lend a prefix beside another one that no other process uses, and clear it in the end."""
    # Not the number of the process alone: of two machines on one disk both may have it.
    private = prefix.with_name(f".{prefix.name}.{os.getpid()}-{secrets.token_hex(8)}.tmp")
    try:
        yield private
    finally:
        for extension in FILES:
            with_suffix(private, extension).unlink(missing_ok=True)


def _publish(private: Path, prefix: Path, sidecar: bytes) -> None:
    """Give whole files their names, the sidecar last."""
    target = with_suffix(prefix, ".json")
    with contextlib.suppress(FileNotFoundError):
        if target.read_bytes() != sidecar:
            # It speaks of other bytes: nobody shall take it for the sidecar of these.
            target.unlink()
    for extension in FILES:
        with_suffix(private, extension).replace(with_suffix(prefix, extension))
    sync_directory(prefix.parent)
    write_whole(target, sidecar)
