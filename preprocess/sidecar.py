"""`PREFIX.json`: what a dataset's tokens mean, beside its `.bin` and `.idx`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from preprocess.errors import UserError
from preprocess.manifest import read_manifest

if TYPE_CHECKING:
    from pathlib import Path


MASK = "_mask"
"""What the prefix of a mask ends with."""


class TokenizerName(msgspec.Struct, frozen=True, kw_only=True):
    """Which tokenizer made the tokens."""

    sha256: str
    """Of the file that was loaded."""
    file: str
    """Its name, without the folder."""


class Sidecar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The whole of `PREFIX.json`."""

    tokenizer: TokenizerName
    vocab_size: int
    """One more than the highest id, added tokens included."""
    eod_id: int | None
    dtype: str
    """uint16 or int32, as Megatron decides by the vocabulary."""
    documents: int
    tokens: int
    """End-of-document tokens included."""
    group: str
    """agent, code, text, or mixed."""
    bin_xxh3: str
    idx_xxh3: str
    ids_xxh3: str
    trained_tokens: int | None = None
    """Where `PREFIX_mask` has a 1; None: there is no mask, and the loss of all counts."""
    mask_bin_xxh3: str | None = None
    mask_idx_xxh3: str | None = None

    @property
    def has_mask(self) -> bool:
        """Whether a second dataset says which tokens are trained."""
        return self.trained_tokens is not None


def with_suffix(prefix: Path, suffix: str) -> Path:
    """Append to the last part of a prefix, which may hold dots."""
    return prefix.with_name(prefix.name + suffix)


def mask_of(prefix: Path) -> Path:
    """Return the prefix of the mask that stands beside a dataset, if one does."""
    return with_suffix(prefix, MASK)


def read_sidecar(prefix: Path) -> Sidecar:
    """Return what stands beside a dataset.

    Raises:
        UserError: There is nothing, or something else.
    """
    path = with_suffix(prefix, ".json")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sidecar)
    except FileNotFoundError:
        raise UserError(
            f"{path}: expected what `preprocess tokenize` writes beside a dataset, found nothing; "
            "check the prefix, which is the path without .bin"
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a dataset's sidecar, but {error}") from error


def datasets_in(path: Path, series: str = "part") -> list[Path]:
    """Return the prefixes that a path names: a prefix, or the shards of a series in a directory.

    Those are the shards that its manifest lists: what else lies there belongs to no run, and masks
    are no shards of their own.

    Raises:
        UserError: Neither, or the directory is not complete.
    """
    if with_suffix(path, ".idx").is_file():
        return [path] if series == "part" else []
    if not path.is_dir():
        raise UserError(
            f"{path}: expected a directory of shards or a prefix (the path without .bin), "
            "found neither; check the path"
        )
    manifest = read_manifest(path)
    if manifest is None:
        raise UserError(
            f"{path}: expected a complete directory of shards, it has no manifest.json; "
            "run `preprocess tokenize` to its end"
        )
    names = (shard.name for shard in manifest.shards if shard.name.startswith(f"{series}-"))
    prefixes = [path / name.removesuffix(".bin") for name in names if name.endswith(".bin")]
    for prefix in prefixes:
        if not with_suffix(prefix, ".idx").is_file():
            raise UserError(
                f"{prefix}.idx: expected the shard that the manifest lists, it is missing; "
                f"run `preprocess verify {path}`"
            )
    return prefixes
