"""Stage `merge`: the shards of a directory as one `.bin/.idx`.

A blend of shards needs no merge; this is for tools that want one prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.manifest import concatenate, hash_file, to_json, write_whole
from preprocess.run_directory import FileSummary
from preprocess.sidecar import Sidecar, datasets_in, mask_of, read_sidecar, with_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.run_directory import ProgressCallback


class _Written(msgspec.Struct, frozen=True):
    documents: int
    tokens: int
    bin: FileSummary
    idx: FileSummary


def merge(tokens: Path, prefix: Path, progress: ProgressCallback, series: str = "part") -> Sidecar:
    """Join the shards of a series in a directory into `PREFIX.bin` and its companions.

    Returns:
        What stands beside the merged dataset.

    Raises:
        UserError: No shards, or they do not belong together.
    """
    if prefix.parent.resolve() == tokens.resolve():
        raise UserError(
            f"{prefix}: expected a prefix outside of {tokens}, whose shards it would replace or "
            "join; choose another folder"
        )
    prefixes = datasets_in(tokens, series)
    if not prefixes:
        raise UserError(f"{tokens}: expected {series} shards, found none; check the path")
    sidecars = [read_sidecar(each) for each in prefixes]
    first = sidecars[0]
    for path, sidecar in zip(prefixes, sidecars, strict=True):
        if _identity(sidecar) != _identity(first):
            raise UserError(
                f"{path}: expected the tokenizer, end of document and mask of {prefixes[0]}, "
                "found others; merge only shards of one run"
            )
    prefix.parent.mkdir(parents=True, exist_ok=True)
    raw = _rust_ext.merge_datasets(prefixes, prefix, progress=progress)
    written = msgspec.json.decode(raw, type=_Written)
    expected = sum(sidecar.documents for sidecar in sidecars)
    if written.documents != expected:
        raise UserError(
            f"{tokens}: expected {expected:,} documents by the sidecars, the indexes hold "
            f"{written.documents:,}; run `preprocess verify {tokens}`"
        )
    mask = _merge_masks(prefixes, prefix, written, progress) if first.has_mask else None
    ids = with_suffix(prefix, ".ids.zst")
    concatenate(ids, (with_suffix(each, ".ids.zst") for each in prefixes))
    groups = {sidecar.group for sidecar in sidecars}
    merged = msgspec.structs.replace(
        first,
        documents=written.documents,
        tokens=written.tokens,
        group=groups.pop() if len(groups) == 1 else "mixed",
        bin_xxh3=written.bin.xxh3,
        idx_xxh3=written.idx.xxh3,
        ids_xxh3=hash_file(ids)[1],
        trained_tokens=sum(sidecar.trained_tokens or 0 for sidecar in sidecars) if mask else None,
        mask_bin_xxh3=mask.bin.xxh3 if mask else None,
        mask_idx_xxh3=mask.idx.xxh3 if mask else None,
    )
    write_whole(with_suffix(prefix, ".json"), to_json(merged))
    return merged


def _merge_masks(
    prefixes: list[Path], prefix: Path, tokens: _Written, progress: ProgressCallback
) -> _Written:
    masks = [mask_of(each) for each in prefixes]
    raw = _rust_ext.merge_datasets(masks, mask_of(prefix), progress=progress)
    written = msgspec.json.decode(raw, type=_Written)
    if (written.documents, written.tokens) != (tokens.documents, tokens.tokens):
        raise UserError(
            f"{mask_of(prefix)}: expected {tokens.documents:,} documents of {tokens.tokens:,} "
            f"tokens as in {prefix}, found {written.documents:,} of {written.tokens:,}; run "
            "`preprocess verify` on the shards"
        )
    return written


def _identity(sidecar: Sidecar) -> tuple[object, ...]:
    return (
        sidecar.tokenizer.sha256,
        sidecar.vocab_size,
        sidecar.eod_id,
        sidecar.dtype,
        sidecar.has_mask,
    )
