"""Stage `merge`: the shards of a directory as one `.bin/.idx`.

A blend of shards needs no merge; this is for tools that want one prefix.

The kernel moves the bytes. One reading of the copy, part by part while the next one is moved,
checks each part's hash, end-of-document tokens and ids, and hashes the whole: the hash of a whole
does not follow from those of its parts, so that reading cannot be saved, and nothing is read again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
from typing import TYPE_CHECKING

import msgspec

from preprocess import _rust_ext
from preprocess.agreement import refuse_difference
from preprocess.errors import UserError
from preprocess.manifest import (
    MANIFEST,
    RUN,
    read_manifest,
    sync_directory,
    to_json,
    write_whole,
)
from preprocess.mask import MASK_VALUES, have_equal_lengths
from preprocess.sidecar import Sidecar, datasets_in, mask_of, read_sidecar, with_suffix
from preprocess.unit_result import FileSummary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.run_options import ProgressCallback

MASK_FILES = ("_mask.bin", "_mask.idx")
FILES = (".bin", ".ids.zst", ".idx")
"""In the order in which they get their names, behind those of the mask; `.json` follows, and makes
them a dataset."""


WRITE_ADVICE = {
    errno.ENOSPC: "free some space, then merge again",
    errno.EDQUOT: "the quota is used up: free some space, then merge again",
    errno.EROFS: "the file system is read-only, choose another place",
}


class Merged(msgspec.Struct, frozen=True):
    """What was joined."""

    documents: int
    tokens: int
    bin: FileSummary
    idx: FileSummary
    ids: FileSummary | None
    """None for a mask, which has no ids of its own."""
    moved_by: str
    """The system call."""


def merge(tokens: Path, prefix: Path, progress: ProgressCallback, series: str = "part") -> Merged:
    """Join the shards of a series in a directory into `PREFIX.bin` and its companions.

    Masks are joined as tokens are; both or neither get their names.

    Raises:
        UserError: No shards, one is missing, they do not belong together, only some have masks, or
            there are more documents than Megatron counts.
        CorruptDataError: A shard, or the copy of it, is not what its sidecar promises.
    """
    prefixes, sidecars = _shards(tokens, prefix, series)
    refuse_place(prefix)
    with _named(prefix), _private(prefix) as private:
        written = _join_tokens(prefixes, sidecars, private, progress)
        for name in ("documents", "tokens"):
            expected = sum(getattr(each, name) for each in sidecars)
            if getattr(written, name) != expected:
                raise UserError(
                    f"{tokens}: expected {expected:,} {name} by the sidecars, the indexes hold "
                    f"{getattr(written, name):,}; run `preprocess verify {tokens}`"
                )
        mask = None
        if sidecars[0].has_mask:
            mask = _join_masks(prefixes, sidecars, private, written, progress)
        _publish(private, prefix, _sidecar(sidecars, written, mask))
    return written


def _join_tokens(
    prefixes: list[Path], sidecars: list[Sidecar], private: Path, progress: ProgressCallback
) -> Merged:
    raw = _rust_ext.merge_datasets(
        [
            (path, each.bin_xxh3, each.idx_xxh3, each.ids_xxh3)
            for path, each in zip(prefixes, sidecars, strict=True)
        ],
        private,
        eod_id=sidecars[0].eod_id,
        vocab_size=sidecars[0].vocab_size,
        progress=progress,
    )
    return msgspec.json.decode(raw, type=Merged)


def _join_masks(
    prefixes: list[Path],
    sidecars: list[Sidecar],
    private: Path,
    tokens: Merged,
    progress: ProgressCallback,
) -> Merged:
    raw = _rust_ext.merge_datasets(
        [
            (mask_of(path), each.mask_bin_xxh3 or "", each.mask_idx_xxh3 or "", None)
            for path, each in zip(prefixes, sidecars, strict=True)
        ],
        mask_of(private),
        eod_id=None,
        vocab_size=len(MASK_VALUES),
        progress=progress,
    )
    written = msgspec.json.decode(raw, type=Merged)
    if not have_equal_lengths(private, mask_of(private), tokens.documents):
        # Part by part, since the copies have no names that would mean anything to a user.
        unlike = (
            path
            for path, each in zip(prefixes, sidecars, strict=True)
            if not have_equal_lengths(path, mask_of(path), each.documents)
        )
        raise UserError(
            f"{mask_of(next(unlike, prefixes[0]))}: expected documents as long as those beside it, "
            f"found others; run `preprocess verify {prefixes[0].parent}`"
        )
    return written


def _sidecar(sidecars: list[Sidecar], written: Merged, mask: Merged | None) -> Sidecar:
    groups = {each.group for each in sidecars}
    return msgspec.structs.replace(
        sidecars[0],
        documents=written.documents,
        tokens=written.tokens,
        group=groups.pop() if len(groups) == 1 else "mixed",
        bin_xxh3=written.bin.xxh3,
        idx_xxh3=written.idx.xxh3,
        ids_xxh3=written.ids.xxh3 if written.ids else "",
        trained_tokens=sum(each.trained_tokens or 0 for each in sidecars) if mask else None,
        mask_bin_xxh3=mask.bin.xxh3 if mask else None,
        mask_idx_xxh3=mask.idx.xxh3 if mask else None,
    )


def _shards(tokens: Path, prefix: Path, series: str) -> tuple[list[Path], list[Sidecar]]:
    """Return the shards to join, in order, once nothing speaks against it."""
    if prefix.parent.resolve() == tokens.resolve():
        raise UserError(
            f"{prefix}: expected a prefix outside of {tokens}, whose shards it would replace or "
            "join; choose another folder"
        )
    if tokens.is_dir():
        _refuse_unsound(tokens)
    prefixes = datasets_in(tokens, series)
    if not prefixes:
        raise UserError(f"{tokens}: expected {series} shards, found none; check the path")
    sidecars = [read_sidecar(each) for each in prefixes]
    first = sidecars[0]
    for path, sidecar in zip(prefixes, sidecars, strict=True):
        for name in ("tokenizer", "vocab_size", "eod_id", "dtype"):
            expected, found = getattr(first, name), getattr(sidecar, name)
            if expected != found:
                raise UserError(
                    f"{path}: expected the {name} of {prefixes[0]}, {_shown(expected)}, found "
                    f"{_shown(found)}; merge only shards of one run"
                )
        if sidecar.has_mask != first.has_mask:
            raise UserError(
                f"{path}: expected {'a' if first.has_mask else 'no'} mask as beside {prefixes[0]}, "
                f"found {'one' if sidecar.has_mask else 'none'}; merge only shards of one run"
            )
    return prefixes, sidecars


def refuse_place(prefix: Path) -> None:
    """Refuse a prefix under which other things would be lost.

    Raises:
        UserError: It is a directory, its folder is that of a run, or its `.json` is no sidecar.
    """
    if prefix.is_dir():
        raise UserError(
            f"{prefix}: expected a prefix (the path without .bin), found a directory; name the "
            f"dataset in it, {prefix / 'all'} for example"
        )
    for name in (RUN, MANIFEST):
        if (prefix.parent / name).exists():
            raise UserError(
                f"{prefix}: expected a folder outside of a stage's output, found {name} in "
                f"{prefix.parent}; choose another folder"
            )
    path = with_suffix(prefix, ".json")
    if path.exists():
        try:
            read_sidecar(prefix)
        except UserError as error:
            raise UserError(
                f"{path}: expected nothing or the sidecar of an earlier merge, found another file, "
                "which would be lost; choose another prefix"
            ) from error


def _refuse_unsound(tokens: Path) -> None:
    manifest = read_manifest(tokens)
    if manifest is None:
        return
    if manifest.problems:
        raise UserError(
            f"{tokens}: expected whole output, but {manifest.problems[0]}; mend that input and "
            "make the directory again"
        )
    refuse_difference(manifest.check, manifest.counts.out, tokens)


def _shown(value: object) -> object:
    return getattr(value, "sha256", value)


@contextlib.contextmanager
def _private(prefix: Path) -> Iterator[Path]:
    """Lend a prefix beside another one that no other process uses, and clear it in the end."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    _remove_dead(prefix)
    # Not the number of the process alone: of two machines on one disk both may have it.
    host = re.sub(r"[^\w]", "_", socket.gethostname())
    private = prefix.with_name(f".{prefix.name}.{host}-{os.getpid()}-{secrets.token_hex(8)}.tmp")
    try:
        yield private
    finally:
        for extension in (*MASK_FILES, *FILES):
            with_suffix(private, extension).unlink(missing_ok=True)


def _remove_dead(prefix: Path) -> None:
    """Remove what runs of this prefix left on this machine when they were killed."""
    host = re.escape(re.sub(r"[^\w]", "_", socket.gethostname()))
    endings = "|".join(map(re.escape, (*MASK_FILES, *FILES)))
    pattern = re.compile(
        rf"\.{re.escape(prefix.name)}\.{host}-(\d+)-[0-9a-f]{{16}}\.tmp(?:{endings})"
    )
    for path in prefix.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and not _is_alive(int(match[1])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextlib.contextmanager
def _named(prefix: Path) -> Iterator[None]:
    """Have errors of a disk that cannot be written name the prefix: nothing of a merge is kept."""
    try:
        yield
    except OSError as error:
        advice = WRITE_ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        reason = os.strerror(error.errno or 0).lower()
        raise UserError(
            f"{prefix}: expected to write there, but {reason}; nothing of it was kept; {advice}"
        ) from error


def _publish(private: Path, prefix: Path, sidecar: Sidecar) -> None:
    """Give whole files their names, the sidecar last."""
    target, content = with_suffix(prefix, ".json"), to_json(sidecar)
    with contextlib.suppress(FileNotFoundError):
        if target.read_bytes() != content:
            # It speaks of other bytes: nobody shall take it for the sidecar of these.
            target.unlink()
    # Before the first of the new files: no index shall stand beside tokens of another merge.
    for extension in (".idx", "_mask.idx"):
        with_suffix(prefix, extension).unlink(missing_ok=True)
    sync_directory(prefix.parent)
    for extension in MASK_FILES:
        if sidecar.has_mask:
            with_suffix(private, extension).replace(with_suffix(prefix, extension))
        else:
            # Of an earlier merge: nobody shall take it for the mask of these tokens.
            with_suffix(prefix, extension).unlink(missing_ok=True)
    for extension in FILES:
        with_suffix(private, extension).replace(with_suffix(prefix, extension))
    sync_directory(prefix.parent)
    write_whole(target, content)
