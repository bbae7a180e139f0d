"""Which token ends a document: the tokenizer's own, never guessed.

The `eos_token` of an instruct tokenizer is the end of a turn, so configuration files are not asked.
Families are known by the tokens that their vocabulary holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from preprocess.errors import UserError

if TYPE_CHECKING:
    from preprocess._rust_ext import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class EndOfDocument:
    """The token, its id, and why it is the one."""

    token: str
    id: int
    reason: str


FAMILIES = (
    (
        "Llama 3",
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|eot_id|>"),
        "<|end_of_text|>",
    ),
    ("Qwen", ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), "<|endoftext|>"),
    ("OpenAI", ("<|endoftext|>", "<|endofprompt|>"), "<|endoftext|>"),
)
"""Name, tokens that all occur, and the one that ends a document."""

CANDIDATE = re.compile(r"end|eos|eot|</s>", re.IGNORECASE)
"""Special tokens that may end something."""


def resolve_eod(tokenizer: Tokenizer, given: str | None) -> EndOfDocument:
    """Return the end-of-document token of a tokenizer.

    Raises:
        UserError: The given one is not in the vocabulary, none is known, or several could be it.
    """
    if given is not None:
        return _given(tokenizer, given)
    special = dict(tokenizer.special_tokens)
    for family, members, token in FAMILIES:
        if all(member in special for member in members):
            return EndOfDocument(token=token, id=special[token], reason=f"{family} vocabulary")
    if tokenizer.kind.startswith("SentencePiece"):
        identifier = tokenizer.token_to_id("</s>")
        if identifier is not None:
            return EndOfDocument(token="</s>", id=identifier, reason="SentencePiece model")
    candidates = [token for token in special if CANDIDATE.search(token)]
    if len(candidates) == 1:
        token = candidates[0]
        return EndOfDocument(
            token=token, id=special[token], reason="the only such token of the vocabulary"
        )
    if not candidates:
        raise UserError(
            f"{tokenizer.file}: expected an end-of-document token among the special tokens, "
            f"found none ({_listed(list(special))}); name it with --eod TOKEN, or give --no-eod"
        )
    raise UserError(
        f"{tokenizer.file}: expected one end-of-document token, found {len(candidates)} that may "
        f"be it ({_listed(candidates)}); choose with --eod TOKEN"
    )


def _given(tokenizer: Tokenizer, given: str) -> EndOfDocument:
    identifier = tokenizer.token_to_id(given)
    if identifier is None:
        special = [token for token, _ in tokenizer.special_tokens]
        raise UserError(
            f"{tokenizer.file}: expected the end-of-document token {given!r} in the vocabulary, "
            f"it is not there; its special tokens: {_listed(special)}"
        )
    return EndOfDocument(token=given, id=identifier, reason="--eod")


def _listed(tokens: list[str]) -> str:
    shown = ", ".join(tokens[:8]) or "it has none"
    return f"{shown}, ..." if len(tokens) > 8 else shown
