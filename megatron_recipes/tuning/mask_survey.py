"""What the masks of a dataset let count, by some of its documents: where turns end, what is masked.

A template treats all records alike, so that some documents, spread over all, speak for the rest of
their part. Each part is looked at by itself: what is wrong with one is no share of another.
"""

from collections import Counter
from dataclasses import dataclass

import numpy

from megatron_recipes.tuning import pieces
from megatron_recipes.tuning.masked_documents import Integers, Mask, MaskedDocuments

LOOKED_AT = 2_000
"""Documents of a part, at most."""
LOOKED_AT_TOGETHER = 10_000
"""Documents of all parts of a group: 45 microseconds each, half a second together."""
LOOKED_AT_LEAST = 50
"""Documents of a part, if it has them, in a group of however many parts."""

LONGEST_SEPARATOR = 1
"""Masked tokens that stand for nothing: the first of a document, a line end between two turns."""
LONGEST_HEADER = 16
"""Tokens of what a template writes in front of a turn: 4 or 5 by a published tokenizer, 12 where a
small one spells `assistant` letter by letter."""
COMMON_SHARE = 0.05
"""Of documents: what a template writes stands in more, what somebody said hardly ever does."""

NOTHING, END_OF_DOCUMENT = -1, -2
"""What stands behind a turn instead of a token of the conversation."""

Ends = Counter[tuple[int, int]]
"""How often trained turns end with two tokens: the last whose loss counts, and the one behind it,
whose loss does not, or `NOTHING` or `END_OF_DOCUMENT`."""
Run = tuple[int, ...]
"""Tokens that stand masked between two that are trained, or an end of the document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What was found in the documents of one part that were looked at."""

    prefix: str
    """The part."""

    num_documents: int
    """Those looked at."""

    num_tokens: int
    """Of them."""

    num_trained: int
    """Tokens of them whose loss counts."""

    ends: Ends
    """Where their trained turns end."""

    num_without_header: int
    """Documents that mask separators alone: even what the template writes in front of a turn is
    trained."""

    num_without_words: int
    """Documents that mask separators and headers alone: nothing that anybody said. Those are of
    at least two turns."""

    headers: tuple[Run, ...]
    """What is taken for headers, the commonest first."""

    @property
    def num_turns(self) -> int:
        """Trained turns."""
        return self.ends.total()

    def lasts(self) -> Counter[int]:
        """Return how often trained turns end in each token."""
        return _lasts(self.ends)


def survey_parts(documents: MaskedDocuments, *, eod_id: int | None) -> list[Survey]:
    """Return what the masks of each part look like: half a second, two of a thousand parts.

    Args:
        documents: Of a group; parts without documents are left out.
        eod_id: The token that `tokenize` appends to a document.
    """
    parts = [(prefix, numbers) for prefix, numbers in documents.parts() if numbers]
    share = LOOKED_AT_TOGETHER // max(1, len(parts))
    most = max(LOOKED_AT_LEAST, min(LOOKED_AT, share))
    return [_survey(documents, prefix, numbers, most, eod_id) for prefix, numbers in parts]


def _survey(
    documents: MaskedDocuments, prefix: str, numbers: range, most: int, eod_id: int | None
) -> Survey:
    count = min(len(numbers), most)
    looked_at = numpy.linspace(numbers[0], numbers[-1], count, dtype=numpy.int64).tolist()
    ends: Ends = Counter()
    candidates: list[set[Run]] = []
    num_tokens = num_trained = 0
    for document in looked_at:
        tokens, mask = documents.tokens(document), documents.mask(document)
        num_tokens += len(mask)
        num_trained += int(numpy.count_nonzero(mask))
        found = _ends(tokens, mask, eod_id)
        ends.update(found)
        runs = _short_runs(tokens, mask, eod_id)
        # Who speaks alone between headers may have answered what everybody asks.
        if runs is not None and (len(found) > 1 or not runs):
            candidates.append(runs)
    headers = _headers(candidates, ends, count)
    return Survey(
        prefix=prefix,
        num_documents=count,
        num_tokens=num_tokens,
        num_trained=num_trained,
        ends=ends,
        num_without_header=sum(not runs for runs in candidates),
        num_without_words=sum(runs <= headers.keys() for runs in candidates),
        headers=tuple(run for run, _ in headers.most_common()),
    )


def _short_runs(tokens: Integers, mask: Mask, eod_id: int | None) -> set[Run] | None:
    """Return what is masked and may be a header; None if something longer is, or all."""
    length = len(mask)
    if length and tokens[-1] == eod_id and not mask[-1]:
        length -= 1
    borders = numpy.flatnonzero(numpy.diff(mask[:length] == 0, prepend=False, append=False))
    begins, lengths = borders[::2], borders[1::2] - borders[::2]
    if lengths.max(initial=0) > LONGEST_HEADER or lengths.sum() == length:
        return None
    is_run = lengths > LONGEST_SEPARATOR
    pairs = zip(begins[is_run].tolist(), lengths[is_run].tolist(), strict=True)
    return {tuple(tokens[begin : begin + count].tolist()) for begin, count in pairs}


def _headers(candidates: list[set[Run]], ends: Ends, num_documents: int) -> Counter[Run]:
    """Return the runs that the template wrote, each with the number of documents that mask it.

    They stand in many documents, and no turn ends in them: where trained turns share an end, it
    ends what is said by others, too.
    """
    least = max(2, COMMON_SHARE * num_documents)
    [(end, count)] = _lasts(ends).most_common(1) or [(NOTHING, 0)]
    common = end if 2 * count > ends.total() else NOTHING
    found = Counter(run for runs in candidates for run in runs)
    return Counter(
        {run: number for run, number in found.items() if number >= least and common not in run}
    )


def _lasts(ends: Ends) -> Counter[int]:
    found: Counter[int] = Counter()
    for (last, _), count in ends.items():
        found[last] += count
    return found


def _ends(tokens: Integers, mask: Mask, eod_id: int | None) -> list[tuple[int, int]]:
    ends = pieces.turn_ends(mask)
    found = list(
        zip(
            tokens[ends - 1].tolist(),
            numpy.append(tokens.astype(numpy.int64), NOTHING)[ends].tolist(),
            strict=True,
        )
    )
    # Ends the document, not the turn: inside a document that token never stands for it.
    if found and ends[-1] == len(mask) - 1 and found[-1][1] == eod_id:
        found[-1] = (found[-1][0], END_OF_DOCUMENT)
    return found
