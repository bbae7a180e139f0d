"""What of masked documents a sequence can hold: whole ones, and long ones cut behind turns.

Of n tokens n - 1 are inputs: token i predicts token i + 1, and counts if the mask of token i + 1
is 1.
"""

from dataclasses import dataclass

import numpy

from megatron_recipes.tuning.masked_documents import Integers, Mask, MaskedDocuments


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """What of a dataset is trained on, as runs of tokens inside its documents, in their order."""

    documents: Integers
    """`[number of pieces]`: the document of each."""

    starts: Integers
    """`[number of pieces]`: its first token there."""

    lengths: Integers
    """`[number of pieces]`: its tokens, one more than it has inputs."""

    num_split: int
    """Documents that gave several pieces, or lost one."""

    num_dropped: int
    """Documents of which nothing is left: too short, too long, or nothing to learn."""

    dropped_tokens: int
    """Tokens outside all pieces whose loss would have counted."""

    trained_tokens: int
    """Tokens whose loss counts."""


def find_pieces(documents: MaskedDocuments, sequence_length: int, *, splits_long: bool) -> Pieces:
    """Return the pieces of the documents that a sequence can hold.

    A document with more than `sequence_length` inputs is cut behind trained turns, as late as
    fits; a turn too long together with what it answers is left out, and counted. Takes a second
    for a million documents: only long ones are looked at one by one.
    """
    counts = documents.trained_tokens
    learnable = counts - documents.counting_starts()  # the first token is predicted by nothing
    is_long = documents.lengths > sequence_length + 1
    whole = numpy.flatnonzero(~is_long & (learnable > 0))
    cut = numpy.array(
        [
            (document, start, end - start, trained)
            for document in (numpy.flatnonzero(is_long) if splits_long else ())
            for start, end, trained in _cut(documents.mask(int(document)), sequence_length + 1)
        ],
        numpy.int64,
    ).reshape(-1, 4)
    uncut = (whole, numpy.zeros_like(whole), documents.lengths[whole], learnable[whole])
    found = numpy.concatenate([numpy.stack(uncut, axis=1), cut])
    found = found[numpy.argsort(found[:, 0], kind="stable")]
    trained_tokens = int(found[:, 3].sum())
    num_split = len(numpy.unique(cut[:, 0]))
    return Pieces(
        documents=found[:, 0].copy(),
        starts=found[:, 1].copy(),
        lengths=found[:, 2].copy(),
        num_split=num_split,
        num_dropped=len(documents) - len(whole) - num_split,
        dropped_tokens=int(counts.sum()) - trained_tokens,
        trained_tokens=trained_tokens,
    )


def turn_ends(mask: Mask) -> Integers:
    """Return where trained turns end: the position behind the last token of each, ascending."""
    return numpy.flatnonzero(numpy.diff(mask.astype(numpy.int8), append=0) == -1) + 1


def _cut(mask: Mask, room: int) -> list[tuple[int, int, int]]:
    """Return runs of at most `room` tokens that end where a trained turn does, and what counts."""
    ends = turn_ends(mask)
    runs: list[tuple[int, int, int]] = []
    start = number = 0
    while number < len(ends):
        last = int(numpy.searchsorted(ends, start + room, side="right")) - 1
        if last >= number:
            end = int(ends[last])
            # The first token of a piece is predicted by nothing.
            if trained := int(mask[start + 1 : end].sum()):
                runs.append((start, end, trained))
            number = last
        # Else this turn and what it answers are too long together.
        start = int(ends[number])
        number += 1
    return runs
