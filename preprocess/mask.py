"""`PREFIX_mask`: which tokens of a dataset are trained, one byte for each, in the same shape."""

from __future__ import annotations

import unicodedata
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from preprocess import _rust_ext
from preprocess.sidecar import mask_of, with_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from preprocess.run_options import ProgressCallback
    from preprocess.sidecar import Sidecar

MASK_VALUES = (0, 1)
"""A mask's whole vocabulary: not trained, trained."""
BLOCK_BYTES = 1 << 20
LENGTHS_AT = 34
"""Where an index holds the lengths of its sequences, 4 bytes each."""
TRAINED, UNTRAINED = "⟦", "⟧"
"""What stands around text that is trained where a document is shown."""


class _Audit(msgspec.Struct, frozen=True):
    documents: int
    tokens: int
    dtype: str


def mask_faults(prefix: Path, sidecar: Sidecar, progress: ProgressCallback) -> Iterator[str]:
    """Yield a line for each way in which the mask of a dataset is not what its sidecar says."""
    mask = mask_of(prefix)
    try:
        raw = _rust_ext.audit_dataset(mask, vocab_size=len(MASK_VALUES), progress=progress)
        is_alike = have_equal_lengths(prefix, mask, sidecar.documents)
        trained = sum(int(np.count_nonzero(block)) for block in _blocks(with_suffix(mask, ".bin")))
    except (_rust_ext.CorruptDataError, OSError) as error:
        yield str(error)
        return
    audit = msgspec.json.decode(raw, type=_Audit)
    expected = (sidecar.documents, sidecar.tokens, "uint8")
    if (audit.documents, audit.tokens, audit.dtype) != expected:
        yield (
            f"{mask}: expected {expected[0]} documents of {expected[1]} tokens as uint8, found "
            f"{audit.documents} of {audit.tokens} as {audit.dtype}"
        )
    elif not is_alike:
        yield f"{mask}: expected documents as long as those of {prefix}, found others"
    if trained != sidecar.trained_tokens:
        yield f"{mask}: expected {sidecar.trained_tokens} trained tokens, found {trained}"


def have_equal_lengths(prefix: Path, mask: Path, documents: int) -> bool:
    """Return whether two datasets of so many documents have documents of the same lengths."""
    left = 4 * documents
    with (
        with_suffix(prefix, ".idx").open("rb") as one,
        with_suffix(mask, ".idx").open("rb") as other,
    ):
        one.seek(LENGTHS_AT)
        other.seek(LENGTHS_AT)
        while left > 0:
            count = min(left, BLOCK_BYTES)
            block = one.read(count)
            if len(block) != count or block != other.read(count):
                return False
            left -= count
    return True


def _blocks(path: Path) -> Iterator[np.ndarray]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield np.frombuffer(block, np.uint8)


def harmless(text: str) -> str:
    r"""Return a text in which no control character moves, colours or hides what a terminal shows.

    >>> harmless("a\n\x1b[8mb")
    'a\n\\x1b[8mb'
    """
    return "".join(
        each if each in "\n\t" or unicodedata.category(each) != "Cc" else f"\\x{ord(each):02x}"
        for each in text
    )


def marked(tokenizer: _rust_ext.Tokenizer, ids: Sequence[int], mask: Sequence[int]) -> str:
    """Return the text of a document with marks around what is trained.

    A token's text can depend on those before it, so each part is what it adds to all before; of a
    character whose bytes stand on both sides of a mark, one of the sides shows U+FFFD.
    """
    parts = []
    end = shown = 0
    for is_trained, run in groupby(bool(each) for each in mask):
        end += sum(1 for _ in run)
        text = tokenizer.decode(ids[:end])
        parts.append(f"{TRAINED}{text[shown:]}{UNTRAINED}" if is_trained else text[shown:])
        shown = len(text)
    return "".join(parts)
