"""The way of a record on a terminal, or as plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from preprocess.differences import excerpts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from preprocess.differences import Piece
    from preprocess.explain.events import Event, Pair

TEXT_SHOWN = 1_200
"""Characters of each text of a pair."""
GONE = "its text is no longer where the stage read it"
DIFFERENT, END = "⟦", "⟧"
"""What stands around words that differ where there are no colours."""
COLORS = {"kept": "green", "tokenized": "green", "trained on": "green", "merged": "green"}
VISIBLE = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"}
VISIBLE |= {code: 0x2421 if code == 0x7F else 0xFFFD for code in range(0x7F, 0xA0)}
"""What records bring must not steer the terminal: control characters, as signs for them."""
OTHER_COLORS = {"dropped": "red", "rejected": "red", "left out": "red"}


def show(identifier: str, events: list[Event], console: Console) -> None:
    """Show what became of a record: a line a stage, and below it what there is to say of it."""
    if not console.is_terminal:
        for line in plain_lines(identifier, events):
            print(line.translate(VISIBLE), file=console.file)  # rich would spread the tabs
        return
    console.print(Text(identifier, style="bold"))
    for event in events:
        color = COLORS.get(event.verdict) or OTHER_COLORS.get(event.verdict, "yellow")
        head = Text.assemble(
            (event.stage, "bold"),
            (f" ({event.command}) ", "dim"),
            (event.verdict, f"bold {color}"),
            f": {event.reason.translate(VISIBLE)}",
        )
        console.print(head)
        for note in event.notes:
            console.print(Text(f"  {note.translate(VISIBLE)}", style="dim"))
        if event.pair is not None:
            console.print(_side_by_side(identifier, event.pair))


def _side_by_side(identifier: str, pair: Pair) -> Table:
    table = Table(expand=True, caption=_caption(pair) or None, caption_justify="left")
    for heading, name in (("stays", pair.kept), ("dropped", identifier)):
        table.add_column(Text(f"{heading}: {name}"), overflow="fold", ratio=1)
    table.add_row(*(_colored(pieces) for pieces in _shown(pair)))
    return table


def _colored(pieces: Iterable[Piece]) -> Text:
    return Text.assemble(
        *(
            (text.translate(VISIBLE), "bold black on yellow" if is_different else "")
            for text, is_different in pieces
        )
    )


def plain_lines(identifier: str, events: list[Event]) -> list[str]:
    """Return the same without colours: stage, command, verdict and reason, tabs between them."""
    lines = [identifier]
    for event in events:
        lines.append(f"{event.stage}\t{event.command}\t{event.verdict}\t{event.reason}")
        lines += [f"\t{note}" for note in event.notes]
        if event.pair is not None:
            sides = zip(("stays", "dropped"), _shown(event.pair), strict=True)
            lines += [f"\t{name}: {_marked(pieces)}" for name, pieces in sides]
            lines += [f"\t{caption}" for caption in (_caption(event.pair),) if caption]
    return lines


def _marked(pieces: Iterable[Piece]) -> str:
    parts = []
    for text, is_different in pieces:
        words = " ".join(text.split())
        parts.append(f"{DIFFERENT}{words}{END}" if is_different else words)
    return " ".join(part for part in parts if part)


def _shown(pair: Pair) -> tuple[list[Piece], list[Piece]]:
    """Return of both texts what is shown, the one that stays first."""
    if pair.kept_text is None or pair.dropped_text is None:
        kept, dropped = (
            [(GONE if text is None else text[:TEXT_SHOWN], False)]
            for text in (pair.kept_text, pair.dropped_text)
        )
        return kept, dropped
    return excerpts(pair.kept_text, pair.dropped_text, TEXT_SHOWN)


def _caption(pair: Pair) -> str:
    said = []
    if pair.is_own_content:
        said.append("compared by what was said in the conversation, not by its text")
    if pair.kept_text is not None and pair.kept_text == pair.dropped_text:
        said.append("both are equal")
    return "; ".join(said)
