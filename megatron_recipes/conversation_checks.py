"""What is refused of conversations before the first step, and the sample a person may look at.

A stop token that no loss ever reaches trains a model that looks fine in every curve and never ends
its turn. (A mask that counts everything or nothing is refused by its sidecar, in `blend`.)
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from megatron_recipes import pieces
from megatron_recipes.conversations import MixedConversations
from megatron_recipes.documents import BOUNDS
from megatron_recipes.masked_documents import MaskedDocuments

LOOKED_AT = 2_000
"""Documents whose turns are looked at, spread evenly over all: a template treats all alike."""
SHOWN_TOKENS = 1_024
"""Of the sample that is printed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stops:
    """The tokens with which a model may end its turn."""

    ids: frozenset[int]
    """Token ids; empty: not known."""

    pad_id: int | None
    """The token that pads; None: none is named."""

    path: Path | None
    """The file that names them."""


NOTHING_KNOWN = Stops(ids=frozenset(), pad_id=None, path=None)


TurnEnds = Counter[tuple[int, int]]
"""How often trained turns end with two tokens: the last whose loss counts, and the one behind it,
whose loss does not; -1 where there is none."""


def read_stops(directory: Path) -> Stops:
    """Return what `generation_config.json`, else `config.json`, says of the end of a turn.

    Args:
        directory: Of a Hugging Face model.

    Raises:
        ValueError: A file is not JSON.
    """
    for name in ("generation_config.json", "config.json"):
        path = directory / name
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_bytes())
            named, pad = content.get("eos_token_id"), content.get("pad_token_id")
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{path}: expected a JSON object: {error}") from None
        if named is not None:
            ids = named if isinstance(named, list) else [named]
            return Stops(ids=frozenset(int(token) for token in ids), pad_id=pad, path=path)
    return NOTHING_KNOWN


def turn_ends(documents: MaskedDocuments) -> TurnEnds:
    """Return where trained turns end, over the documents looked at."""
    found: TurnEnds = Counter()
    count = min(len(documents), LOOKED_AT)
    for document in numpy.linspace(0, len(documents) - 1, count, dtype=numpy.int64).tolist():
        tokens, mask = documents.tokens(document), documents.mask(document)
        ends = pieces.turn_ends(mask)
        following = numpy.append(tokens, -1)[ends]
        found.update(zip(tokens[ends - 1].tolist(), following.tolist(), strict=True))
    return found


def check_masks(documents: MaskedDocuments, stops: Stops, *, eod_id: int | None) -> list[str]:
    """Refuse masks that would teach a model never to stop; return warnings.

    Raises:
        ValueError: Most trained turns end in front of a stop token of the model, or none in one.
    """
    warnings = []
    if stops.pad_id is not None and stops.pad_id in stops.ids | {eod_id}:
        warnings.append(
            f"the padding token {stops.pad_id} is also one that ends a turn or a document; losses "
            "are masked by position here, so it is trained where the mask says"
        )
    if stops.ids:
        _check_stops(f"{documents.prefixes[0]}_mask", turn_ends(documents), stops)
    else:
        warnings.append(
            "the model's stop tokens are not known, so that turns end in them was not checked: "
            "start from a checkpoint that was imported with its generation_config.json"
        )
    return warnings


def _check_stops(name: str, ends: TurnEnds, stops: Stops) -> None:
    counted = sum(count for (last, _), count in ends.items() if last in stops.ids)
    masked = sum(
        count
        for (last, following), count in ends.items()
        if following in stops.ids and last not in stops.ids
    )
    if counted > masked:
        return
    named = f"{sorted(stops.ids)} ({stops.path})"
    if masked:
        raise ValueError(
            f"{name}: expected the loss of the stop token to count, found that {masked:,} of "
            f"{masked + counted:,} at the end of trained turns are masked; the model stops at "
            f"{named}, so tokenize with a template that marks the end of the assistant's turn as "
            "its own"
        )
    lasts: Counter[int] = Counter()
    for (last, _), count in ends.items():
        lasts[last] += count
    common = lasts.most_common(1)
    raise ValueError(
        f"{name}: expected trained turns to end in a stop token of the model, {named}, found none "
        f"that does (most end in {common[0][0] if common else 'nothing'}); use the model's own "
        "chat template, or a model whose generation_config.json names that token"
    )


def conversation_lines(
    dataset: MixedConversations, model_files: Sequence[Path], *, eod_id: int | None, shows: bool
) -> list[str]:
    """Return what a person should know before the first step: warnings, and a decoded sample.

    Args:
        dataset: What is trained on.
        model_files: Directories where the Hugging Face files of the model may be, likeliest first.
        eod_id: The token that ends a document.
        shows: Whether a sample is wanted.

    Raises:
        ValueError: The turns of a group do not teach the model to stop: see `check_masks`.
    """
    found = next((path for path in model_files if path.is_dir()), None)
    stops = read_stops(found) if found else NOTHING_KNOWN
    lines: dict[str, None] = {}
    for group in dataset.groups:
        lines |= dict.fromkeys(check_masks(group.documents, stops, eod_id=eod_id))
    if not shows:
        return list(lines)
    tokenizer = found / "tokenizer.json" if found else None
    is_there = tokenizer is not None and tokenizer.is_file()
    return [*lines, *describe_sample(dataset[0], tokenizer if is_there else None)]


def describe_sample(sample: dict[str, Any], tokenizer: Path | None) -> list[str]:
    """Return lines that show a packed sample: what is trained behind `>`, all else behind `|`.

    Args:
        sample: Of `PackedConversations`.
        tokenizer: A `tokenizer.json`; None: ids are shown.
    """
    decode = _decoder(tokenizer)
    labels, counts = sample["labels"].numpy(), sample["loss_mask"].numpy() > 0
    bounds = sample[BOUNDS].numpy()
    tokens, shown = sample["tokens"].numpy(), min(len(labels), SHOWN_TOKENS)
    starts = bounds[numpy.searchsorted(bounds, numpy.arange(shown), side="right") - 1]
    borders = numpy.flatnonzero((numpy.diff(counts[:shown]) != 0) | (numpy.diff(starts) != 0))
    lines = []
    for begin, end in zip([0, *(borders + 1)], [*(borders + 1), shown], strict=True):
        if begin == starts[begin] and not counts[begin]:
            lines.append(f"document at {begin}:")
            # Its first token is predicted by nothing.
            text = decode([int(tokens[begin]), *labels[begin:end].tolist()])
        else:
            text = decode(labels[begin:end].tolist())
        mark = ">" if counts[begin] else "|"
        lines += [f"  {mark} {line}" for line in text.split("\n")]
    trained, total = int(counts.sum()), len(labels)
    rest = f"; the first {shown:,} are shown" if shown < total else ""
    return [f"a sample: {trained:,} of {total:,} tokens are trained (>){rest}", *lines]


def _decoder(tokenizer: Path | None) -> Any:
    if tokenizer is None:
        return lambda ids: " ".join(map(str, ids))
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(tokenizer))
    return lambda ids: loaded.decode(ids, skip_special_tokens=False)
