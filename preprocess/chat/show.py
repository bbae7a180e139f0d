"""A record as a chat template renders it, shown: control tokens, and what is trained."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from preprocess import _rust_ext
from preprocess.chat.refused import RefusedError
from preprocess.chat.template import ChatTemplate
from preprocess.errors import UserError
from preprocess.mask import TRAINED, UNTRAINED, harmless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

type Piece = tuple[str, tuple[bool, bool]]
"""Text of tokens; whether they are control tokens, whether they are trained."""

CONTROL_STYLE, TRAINED_STYLE, BOTH_STYLE = "dim cyan", "bold green", "bold magenta"


def show_rendered(
    line: bytes, given: str, tokenizer: Path, train_roles: tuple[str, ...], console: Console
) -> None:
    """Show a record's tokens as `tokenize --chat-template` makes them.

    On a terminal by colours, else by the marks of `preprocess.mask`.

    Raises:
        UserError: The record has no rendering.
    """
    loaded = _rust_ext.Tokenizer.load(tokenizer)
    template = ChatTemplate(given, loaded, train_roles)
    try:
        spans, literal = template.render(line)
    except RefusedError as refused:
        raise UserError(
            f"{given}: expected a record that the template can express, but {refused}; `tokenize` "
            "drops it under that word"
        ) from refused
    ids, mask = loaded.encode_spans(spans)
    count, trained = len(ids), int(mask.sum())
    console.print(f"tokens: {count:,}, trained: {trained:,}", highlight=False)
    if literal:
        console.print(f"tokens spelled in its data, which are text: {literal:,}", highlight=False)
    tokens = {text for text, is_special, _ in spans if is_special and text}
    pieces = list(_pieces(loaded, ids.tolist(), mask.tolist(), tokens))
    if not console.is_terminal:
        console.print(f"what is trained stands in {TRAINED}{UNTRAINED}:", highlight=False)
        console.print("".join(_marked(pieces)), highlight=False, markup=False, soft_wrap=True)
        return
    legend = Text.assemble(
        ("control token", CONTROL_STYLE), " ", ("trained", TRAINED_STYLE), " ",
        ("trained control token", BOTH_STYLE),
    )  # fmt: skip
    console.print(legend)
    console.print(
        Text.assemble(*((harmless(text), _style(*kind)) for text, kind in pieces)), soft_wrap=True
    )


def _pieces(
    tokenizer: _rust_ext.Tokenizer, ids: list[int], mask: list[int], tokens: set[str]
) -> Iterator[Piece]:
    """Yield the tokens' text: each control token, and what lies between as far as it is alike."""
    controls = {tokenizer.token_to_id(token): token for token in tokens}
    at = 0
    for is_control, run in groupby(ids, controls.__contains__):
        block = list(run)
        if is_control:
            for identifier in block:
                yield controls[identifier], (True, bool(mask[at]))
                at += 1
            continue
        end = shown = 0
        for trained, alike in groupby(mask[at : at + len(block)]):
            # A token's text can depend on those before it.
            end += sum(1 for _ in alike)
            text = tokenizer.decode(block[:end])
            yield text[shown:], (False, bool(trained))
            shown = len(text)
        at += len(block)


def _marked(pieces: list[Piece]) -> Iterator[str]:
    for is_trained, run in groupby(pieces, lambda piece: piece[1][1]):
        text = "".join(text for text, _ in run)
        yield f"{TRAINED}{text}{UNTRAINED}" if is_trained else text


def _style(is_control: bool, is_trained: bool) -> str:
    if is_control:
        return BOTH_STYLE if is_trained else CONTROL_STYLE
    return TRAINED_STYLE if is_trained else ""
