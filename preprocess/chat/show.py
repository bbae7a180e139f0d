"""A record as a chat template renders it, shown: control tokens, and what is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from preprocess import _rust_ext
from preprocess.chat.refused import RefusedError
from preprocess.chat.template import ChatTemplate
from preprocess.errors import UserError
from preprocess.mask import TRAINED, UNTRAINED, marked

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

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
    template = ChatTemplate.load(given, loaded, train_roles)
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
        console.print(
            f"its data spells tokens of the tokenizer {literal:,} times: they are text",
            highlight=False,
        )
    if not console.is_terminal:
        console.print(f"what is trained stands in {TRAINED}{UNTRAINED}:", highlight=False)
        text = marked(loaded, ids.tolist(), mask.tolist())
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        return
    legend = Text("control token", style=CONTROL_STYLE)
    legend.append(" ").append("trained", style=TRAINED_STYLE)
    legend.append(" ").append("trained control token", style=BOTH_STYLE)
    console.print(legend)
    console.print(_coloured(loaded, ids.tolist(), mask.tolist(), spans), soft_wrap=True)


def _coloured(
    tokenizer: _rust_ext.Tokenizer,
    ids: list[int],
    mask: list[int],
    spans: list[tuple[str, bool, bool]],
) -> Text:
    """Return the text of tokens, each in the colour of what it is."""
    tokens = {text for text, is_special, _ in spans if is_special and text}
    controls = {identifier for each in tokens if (identifier := tokenizer.token_to_id(each))}
    text, shown = Text(), 0
    start = 0
    while start < len(ids):
        # As far as one style goes: a token's text can depend on those before it.
        style = _style(ids[start] in controls, mask[start])
        end = start + 1
        while end < len(ids) and _style(ids[end] in controls, mask[end]) == style:
            end += 1
        decoded = tokenizer.decode(ids[:end])
        text.append(decoded[shown:], style=style)
        shown, start = len(decoded), end
    return text


def _style(is_control: bool, trained: int) -> str:
    if is_control:
        return BOTH_STYLE if trained else CONTROL_STYLE
    return TRAINED_STYLE if trained else ""
