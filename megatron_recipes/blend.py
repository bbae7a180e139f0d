"""Blend files and the sidecars of the datasets they name.

A blend file is JSON: `{"train": [{"group", "weight", "prefixes"}, ...], "valid": [{"group",
"prefixes"}, ...], "test": []}`, prefixes relative to the file. Beside `<prefix>.bin` and
`<prefix>.idx` stands `<prefix>.json` with the tokenizer's sha256, the vocabulary size, the
end-of-document id, the dtype and the number of tokens.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BYTES_PER_TOKEN = {"uint16": 2, "int32": 4}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One indexed dataset, by its sidecar."""

    prefix: Path
    """What `.bin`, `.idx` and `.json` are appended to; absolute."""

    tokens: int
    """Tokens in `.bin`."""

    vocab_size: int
    """Token ids of the tokenizer, added tokens included."""

    eod_id: int | None
    """The token that ends each document, or None."""

    dtype: str
    """`uint16` or `int32`."""

    tokenizer: str
    """sha256 of the tokenizer's file."""

    trained_tokens: int | None
    """Tokens whose loss counts by the mask beside it; None: it has no mask."""

    checksum: str
    """xxh3 of `.bin` and `.idx`, and of the mask's if it has one, hex, joined by colons."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The parts that stand for one kind of data."""

    name: str
    """The group, as the blend file calls it."""

    weight: float
    """Its share of the training tokens; 0 for held-out data."""

    parts: tuple[Part, ...]
    """At least one."""

    @property
    def tokens(self) -> int:
        """Tokens of all parts."""
        return sum(part.tokens for part in self.parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Blend:
    """A blend file with its sidecars, every part made by one tokenizer."""

    path: Path
    """The file."""

    train: tuple[Group, ...]
    """What is trained on; weights sum to 1."""

    valid: tuple[Group, ...]
    """What is held out, per group."""

    vocab_size: int
    """Of the tokenizer."""

    eod_id: int | None
    """Of the tokenizer."""

    tokenizer: str
    """sha256 of its file."""

    def weighted_prefixes(self) -> tuple[list[str], list[float]]:
        """Return the training prefixes and their weights: a group's is spread by tokens.

        Parts without tokens are left out.
        """
        prefixes, weights = [], []
        for group in self.train:
            for part in group.parts:
                if part.tokens:
                    prefixes.append(str(part.prefix))
                    weights.append(group.weight * part.tokens / group.tokens)
        return prefixes, weights

    def prefixes(self) -> list[Path]:
        """Return the prefixes of all parts."""
        return [part.prefix for group in self.train + self.valid for part in group.parts]

    def identity(self) -> dict[str, Any]:
        """Return what makes two blends the same data, wherever the files lie.

        The order of groups and parts belongs to it: the order of the sequences follows from it.
        """
        return {
            kind: [
                {
                    "group": group.name,
                    "weight": group.weight,
                    "parts": [part.checksum for part in group.parts],
                }
                for group in groups
            ]
            for kind, groups in (("train", self.train), ("valid", self.valid))
        }


def read_blend(path: Path) -> Blend:
    """Return the blend file and its sidecars, checked against each other.

    Raises:
        OSError: The file, a sidecar, a `.bin` or an `.idx` is missing.
        ValueError: The file is no blend, weights do not sum to 1, a `.bin` is not as long as its
            sidecar says, a part is listed twice, or parts were made by different tokenizers.
    """
    content = _read_json(path, "a blend file")
    train = tuple(_read_group(path, "train", entry) for entry in _entries(path, content, "train"))
    if not train:
        raise ValueError(f"{path}: expected at least one group under train, found none")
    valid = tuple(_read_group(path, "valid", entry) for entry in _entries(path, content, "valid"))
    _check_weights(path, train)
    _check_once(path, train, valid)
    first = _check_one_tokenizer(train + valid)
    return Blend(
        path=path,
        train=train,
        valid=valid,
        vocab_size=first.vocab_size,
        eod_id=first.eod_id,
        tokenizer=first.tokenizer,
    )


def check_masks(blend: Blend, *, packs_conversations: bool) -> None:
    """Refuse parts whose masks a training would not read, or that it needs and are not there.

    Raises:
        ValueError: It names the part and what to change.
    """
    for part in (part for group in blend.train + blend.valid for part in group.parts):
        sidecar, trained = _beside(part.prefix, ".json"), part.trained_tokens
        if packs_conversations and trained is None:
            raise ValueError(
                f"{sidecar}: expected conversations with a mask, which `preprocess tokenize "
                "--chat-template` writes, found a dataset without; pack_conversations (true) "
                "trains on nothing else"
            )
        if packs_conversations and part.tokens and trained in (0, part.tokens):
            raise ValueError(
                f"{sidecar}: expected a mask that trains the assistant's turns, found one that "
                f"trains {'all' if trained else 'none'} of {part.tokens:,} tokens; tokenize with a "
                "chat template that marks turns"
            )
        if not packs_conversations and trained not in (None, part.tokens):
            raise ValueError(
                f"{sidecar}: expected a dataset whose tokens all count, found a mask that trains "
                f"{trained:,} of {part.tokens:,}; train it with pack_conversations=true, as "
                "recipes of stage 3 do, or leave it out of the blend"
            )


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: expected {what}, found no such file") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path}: expected {what}, found a directory") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: expected {what} in JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected {what}, a JSON object, found {content!r:.40}")
    return content


def _entries(path: Path, content: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    entries = content.get(kind, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: expected a list of objects under {kind}")
    names = [entry.get("group") for entry in entries]
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1:
            raise ValueError(f"{path}: each entry under {kind} needs its own group, found {name!r}")
    return entries


def _read_group(path: Path, kind: str, entry: dict[str, Any]) -> Group:
    name, prefixes = entry["group"], entry.get("prefixes")
    if not isinstance(prefixes, list) or not prefixes:
        raise ValueError(f"{path}: group {name} under {kind} lists no prefixes")
    weight = entry.get("weight", 0.0)
    if kind == "train" and not (isinstance(weight, int | float) and weight > 0):
        raise ValueError(f"{path}: group {name} needs a weight above 0, found {weight!r}")
    parts = tuple(_read_part((path.parent / str(prefix)).resolve()) for prefix in prefixes)
    group = Group(name=name, weight=float(weight), parts=parts)
    if kind == "train" and not group.tokens:
        raise ValueError(f"{path}: group {name} has a weight of {weight}, but its parts are empty")
    return group


def _read_part(prefix: Path) -> Part:
    sidecar = _beside(prefix, ".json")
    content = _read_json(sidecar, "the sidecar of an indexed dataset")
    try:
        trained = content.get("trained_tokens")
        checksums = ["bin_xxh3", "idx_xxh3", *(["mask_bin_xxh3"] if trained is not None else [])]
        part = Part(
            prefix=prefix,
            tokens=int(content["tokens"]),
            vocab_size=int(content["vocab_size"]),
            eod_id=None if content["eod_id"] is None else int(content["eod_id"]),
            dtype=str(content["dtype"]),
            tokenizer=str(content["tokenizer"]["sha256"]),
            trained_tokens=None if trained is None else int(trained),
            checksum=":".join(str(content[name]) for name in checksums),
        )
        expected = part.tokens * BYTES_PER_TOKEN[part.dtype]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{sidecar}: not the sidecar of an indexed dataset: {error!r}") from None
    masks = ("_mask.idx", "_mask.bin") if part.trained_tokens is not None else ()
    for suffix in (".idx", ".bin", *masks):
        if not _beside(prefix, suffix).is_file():
            raise FileNotFoundError(f"{_beside(prefix, suffix)}: missing, though {sidecar} exists")
    size = _beside(prefix, ".bin").stat().st_size
    if size != expected:
        raise ValueError(
            f"{_beside(prefix, '.bin')}: expected {expected} bytes ({part.tokens} tokens of "
            f"{part.dtype}, says {sidecar.name}), found {size}; tokenize it again"
        )
    return part


def _beside(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)


def _check_weights(path: Path, train: tuple[Group, ...]) -> None:
    total = math.fsum(group.weight for group in train)
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise ValueError(f"{path}: the weights under train must sum to 1, they sum to {total:g}")


def _check_once(path: Path, train: tuple[Group, ...], valid: tuple[Group, ...]) -> None:
    """Refuse a part that would be read more often than its epochs say, or held out and trained."""
    seen: dict[Path, str] = {}
    for kind, groups in (("train", train), ("valid", valid)):
        for group in groups:
            for part in group.parts:
                place = f"group {group.name} under {kind}"
                if part.prefix in seen:
                    raise ValueError(
                        f"{path}: expected each part once, found {part.prefix} in "
                        f"{seen[part.prefix]} and in {place}; leave one out"
                    )
                seen[part.prefix] = place


def _check_one_tokenizer(groups: tuple[Group, ...]) -> Part:
    parts = [part for group in groups for part in group.parts]
    first = parts[0]
    for part in parts:
        if part.tokenizer != first.tokenizer:
            raise ValueError(
                f"{part.prefix} was made with another tokenizer (sha256 {part.tokenizer:.12}) "
                f"than {first.prefix} (sha256 {first.tokenizer:.12}); tokenize both with one"
            )
        for name in ("vocab_size", "eod_id", "dtype"):
            if getattr(part, name) != getattr(first, name):
                raise ValueError(
                    f"{name} of {part.prefix} is {getattr(part, name)}, of {first.prefix} "
                    f"{getattr(first, name)}; tokenize both alike"
                )
    return first
