"""Stage `blend`: which datasets are trained on, and in which shares."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from preprocess.errors import Misuse, UserError
from preprocess.manifest import to_json, write_whole
from preprocess.sidecar import Sidecar, datasets_in, read_sidecar

WEIGHT_TOLERANCE = 1e-6


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of datasets."""

    group: str
    prefixes: list[str]
    """Relative to the blend file."""
    weight: float | None = None


class Blend(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of a blend file."""

    train: list[Part]
    valid: list[Part]
    test: list[Part]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartArgument:
    """`GROUP=TOKENS:WEIGHT` of the command line."""

    group: str
    tokens: Path
    weight: float

    @staticmethod
    def parse(argument: str) -> PartArgument:
        """Return what an argument says.

        Raises:
            Misuse: It is not of that form.
        """
        group, equals, rest = argument.partition("=")
        tokens, colon, weight = rest.rpartition(":")
        try:
            share = float(weight)
        except ValueError:
            share = -1.0
        if not (group and equals and tokens and colon and share > 0):
            raise Misuse(f"expected GROUP=TOKENS:WEIGHT with a weight above 0, got {argument!r}")
        return PartArgument(group=group, tokens=Path(tokens), weight=share)


def blend(parts: list[PartArgument], output: Path) -> Blend:
    """Write a blend file of directories of shards, or prefixes; held-out shards go to `valid`.

    Raises:
        Misuse: The weights do not sum to 1, or a group is named twice.
        UserError: A part has no shards, or the parts were made with different tokenizers.
    """
    total = sum(part.weight for part in parts)
    if abs(total - 1) > WEIGHT_TOLERANCE:
        shown = " + ".join(f"{part.weight:g}" for part in parts)
        raise Misuse(f"expected weights that sum to 1, got {shown} = {total:g}")
    names = [part.group for part in parts]
    if len(set(names)) != len(names):
        raise Misuse(f"expected each group once, got {', '.join(names)}")
    base = output.parent
    train: list[Part] = []
    valid: list[Part] = []
    prefixes: list[Path] = []
    for part in parts:
        trained = datasets_in(part.tokens)
        if not trained:
            raise UserError(f"{part.tokens}: expected part shards, found none; check the path")
        held_out = datasets_in(part.tokens, "valid")
        train.append(Part(group=part.group, weight=part.weight, prefixes=_relative(trained, base)))
        if held_out:
            valid.append(Part(group=part.group, prefixes=_relative(held_out, base)))
        prefixes += [*trained, *held_out]
    _refuse_mixture(prefixes)
    result = Blend(train=train, valid=valid, test=[])
    base.mkdir(parents=True, exist_ok=True)
    write_whole(output, to_json(result))
    return result


def _relative(prefixes: list[Path], base: Path) -> list[str]:
    return [os.path.relpath(str(prefix), str(base)) for prefix in prefixes]


def _refuse_mixture(prefixes: list[Path]) -> None:
    first = read_sidecar(prefixes[0])
    for prefix in prefixes[1:]:
        _compare(prefixes[0], first, prefix, read_sidecar(prefix))


def _compare(one: Path, first: Sidecar, other: Path, second: Sidecar) -> None:
    if first.has_mask != second.has_mask:
        with_mask, without = (one, other) if first.has_mask else (other, one)
        raise UserError(
            f"expected a mask beside all parts or none, but {with_mask} has one and {without} has "
            "none, so that its prompts or the other's texts would count wrongly; tokenize them "
            "alike: a record of one trained span is a text"
        )
    for name in ("tokenizer", "vocab_size", "eod_id", "dtype"):
        before, now = getattr(first, name), getattr(second, name)
        if before != now:
            raise UserError(
                f"expected one tokenizer for all parts, but {name} is {_show(before)} in {one} "
                f"and {_show(now)} in {other}; tokenize them alike"
            )


def _show(value: object) -> str:
    sha256 = getattr(value, "sha256", None)
    return f"{sha256[:12]}..." if sha256 else str(value)
