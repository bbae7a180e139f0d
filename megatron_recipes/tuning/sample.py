"""A packed sample as a person reads it, with what of it is trained."""

from typing import Any

import numpy

from megatron_recipes.documents import BOUNDS
from megatron_recipes.tuning.words import Words

SHOWN_TOKENS = 1_024
"""Of the sample that is printed."""


def describe_sample(sample: dict[str, Any], words: Words) -> list[str]:
    """Return lines that show a packed sample: what is trained behind `>`, all else behind `|`.

    Args:
        sample: Of `PackedConversations`.
        words: What reads its tokens; where that cannot, ids are shown and a line says why.
    """
    labels, counts = sample["labels"].numpy(), sample["loss_mask"].numpy() > 0
    bounds = sample[BOUNDS].numpy()
    tokens, shown = sample["tokens"].numpy(), min(len(labels), SHOWN_TOKENS)
    starts = bounds[numpy.searchsorted(bounds, numpy.arange(shown), side="right") - 1]
    borders = numpy.flatnonzero((numpy.diff(counts[:shown]) != 0) | (numpy.diff(starts) != 0))
    lines = []
    for begin, end in zip([0, *(borders + 1)], [*(borders + 1), shown], strict=True):
        is_first = begin == starts[begin]
        if is_first and not (tokens[begin:].any() or labels[begin:].any() or counts[begin:].any()):
            lines.append(f"padding at {begin}")  # nothing but PADDING_TOKEN, to the end
            break
        if is_first:
            lines.append(f"document at {begin}:")
        before = [int(tokens[begin])] if is_first else []  # predicted by nothing
        if before and counts[begin]:
            lines += [f"  | {line}" for line in words.text(before).split("\n")]
            before = []
        text = words.text([*before, *labels[begin:end].tolist()])
        mark = ">" if counts[begin] else "|"
        lines += [f"  {mark} {line}" for line in text.split("\n")]
    trained, total = int(counts.sum()), len(labels)
    rest = f"; the first {shown:,} are shown" if shown < total else ""
    reason = [f"tokens are shown as ids: {words.problem}"] if words.problem else []
    return [f"a sample: {trained:,} of {total:,} tokens are trained (>){rest}", *reason, *lines]
