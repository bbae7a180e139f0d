"""Blend files, and the datasets that they or the stages name: tokens, text, group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from preprocess.blend import Part
from preprocess.errors import UserError
from preprocess.manifest import MANIFEST, RUN, Shard
from preprocess.records import GROUPS
from preprocess.sidecar import read_sidecar
from preprocess.tokenize import group_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.report.stages import Stage

LARGEST_BLEND_BYTES = 64 << 20
"""A longer file of JSON is data, not a blend: some 500,000 prefixes fit."""


class _BlendFile(msgspec.Struct, frozen=True, kw_only=True):
    """A blend file, which others may have written without the parts that are empty."""

    train: list[Part]
    valid: list[Part] = []
    test: list[Part] = []


@dataclass(frozen=True, kw_only=True, slots=True)
class Blend:
    """A blend file that was found in the run."""

    path: Path
    train: tuple[Part, ...]
    held_out: tuple[Part, ...]
    """Those under `valid` and `test`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """One `.bin/.idx` pair."""

    prefix: Path
    group: str
    is_held_out: bool
    documents: int
    tokens: int
    text_bytes: int | None
    """UTF-8 bytes of its text; None where no manifest says it."""


def read_blends(run: Path) -> list[Blend]:
    """Return the blend files of a run: those in RUN, and those a folder below it."""
    return [blend for path in _candidates(run) if (blend := _read(path)) is not None]


def _candidates(run: Path) -> Iterator[Path]:
    for path in sorted(run.iterdir()):
        if path.is_file() and path.suffix in ("", ".json"):
            yield path
        elif path.is_dir():
            for inner in sorted(path.glob("*.json")):
                # A directory of tokens holds a `.json` a shard, none of them a blend.
                if inner.name not in (MANIFEST, RUN) and not inner.with_suffix(".idx").exists():
                    yield inner


def _read(path: Path) -> Blend | None:
    try:
        if path.stat().st_size > LARGEST_BLEND_BYTES:
            return None
        content = msgspec.json.decode(path.read_bytes(), type=_BlendFile)
    except (OSError, msgspec.MsgspecError):
        return None  # any other file may lie there as well
    return Blend(
        path=path, train=tuple(content.train), held_out=tuple(content.valid + content.test)
    )


def read_datasets(stages: list[Stage], blends: list[Blend]) -> list[Dataset]:
    """Return the datasets that the blends name, or where they name none, those of the stages.

    A merged dataset and the shards that it was merged from are so not both counted. A dataset's
    group is the one under which a blend lists it, else that of its records.
    """
    of_stages = {
        _key(dataset.prefix): dataset
        for stage in stages
        for shard in (stage.manifest.shards if stage.manifest else [])
        if shard.name.endswith(".bin")
        for dataset in [_of_shard(stage, shard)]
    }
    named: dict[Path, Dataset] = {}
    for blend in blends:
        for parts, is_held_out in ((blend.train, False), (blend.held_out, True)):
            for group, prefix in ((part.group, name) for part in parts for name in part.prefixes):
                path = _key(blend.path.parent / prefix)
                known = of_stages.get(path) or _of_sidecar(path)
                if known is not None:
                    named[path] = replace(known, group=group, is_held_out=is_held_out)
    return list((named or of_stages).values())


def _of_shard(stage: Stage, shard: Shard) -> Dataset:
    prefix = stage.directory / shard.name.removesuffix(".bin")
    return Dataset(
        prefix=prefix,
        group=group_of(shard.composition),
        is_held_out=prefix.name.startswith("valid-"),
        documents=shard.records,
        tokens=shard.tokens or 0,
        text_bytes=shard.text_bytes,
    )


def _of_sidecar(prefix: Path) -> Dataset | None:
    try:
        sidecar = read_sidecar(prefix)
    except (UserError, OSError):
        return None
    return Dataset(
        prefix=prefix,
        group=sidecar.group,
        is_held_out=False,
        documents=sidecar.documents,
        tokens=sidecar.tokens,
        text_bytes=None,
    )


def _key(prefix: Path) -> Path:
    return prefix.resolve()


def group_order(group: str) -> tuple[int, str]:
    """Return the place of a group: agent, code, text, then the others by name."""
    known = list(GROUPS)
    return (known.index(group) if group in known else len(known), group)


def tokens_of(blend: Blend, part: Part, datasets: list[Dataset]) -> int | None:
    """Return the tokens in a blend's part, or None if one of its datasets is not there."""
    known = {_key(dataset.prefix): dataset.tokens for dataset in datasets}
    paths = [_key(blend.path.parent / prefix) for prefix in part.prefixes]
    if not all(path in known for path in paths):
        return None
    return sum(known[path] for path in paths)
