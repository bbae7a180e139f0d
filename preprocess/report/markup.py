"""HTML from text: everything is escaped unless it is already markup."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from preprocess.report.figures import Picture

VOID = frozenset({"br", "img", "link", "meta"})


class Markup(str):
    """Text that is HTML; only the functions here make it."""

    __slots__ = ()


class Quantity(str):
    """A number in words, put at the right of its cell."""

    __slots__ = ()


type Cell = str | int | None
"""What stands in a cell; None where nothing is known."""


def tag(name: str, *children: str, **attributes: str) -> Markup:
    """Return an element; `class_` and `data_label` stand for `class` and `data-label`.

    >>> tag("b", "1 < 2", class_="x")
    '<b class="x">1 &lt; 2</b>'
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Return parts one after another, those that are text escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def section(identifier: str, title: str, *children: str) -> Markup:
    """Return a section with its heading."""
    return Markup(f"\n{tag('section', tag('h2', title), *children, id=identifier)}\n")


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], caption: str = "") -> Markup:
    """Return a table; on a phone each row becomes a block whose cells name their heading."""
    body = list(rows)
    kinds = [_kind([row[column] for row in body]) for column in range(len(headings))]
    head = [
        tag("th", heading, scope="col", **kind)
        for heading, kind in zip(headings, kinds, strict=True)
    ]
    lines = [
        tag("tr", *(_cell(*each) for each in zip(headings, row, kinds, strict=True)))
        for row in body
    ]
    children = [tag("caption", caption)] if caption else []
    return tag("table", *children, tag("thead", tag("tr", *head)), tag("tbody", *lines))


def _kind(column: Sequence[Cell]) -> dict[str, str]:
    """Return the class of a column: numbers, and their heading, stand at the right."""
    known = [cell for cell in column if cell is not None and cell != ""]
    is_number = known and all(isinstance(cell, (int, Quantity)) for cell in known)
    return {"class_": "number"} if is_number else {}


def _cell(heading: str, cell: Cell, kind: dict[str, str]) -> Markup:
    if cell is None or cell == "":
        return tag("td", "-", data_label=heading, class_=" ".join(["none", *kind.values()]))
    shown = f"{cell:,}" if isinstance(cell, int) else cell
    # One element in the cell: on a phone the cell is a row of two, the heading and this.
    return tag("td", tag("span", shown), data_label=heading, **kind)


def figure(picture: Picture, caption: str) -> Markup:
    """Return a figure with its image inside the page."""
    data = base64.b64encode(picture.png).decode("ascii")
    image = tag("img", src=f"data:image/png;base64,{data}", alt=picture.description)
    return tag("figure", image, tag("figcaption", caption))


def figures(*elements: Markup) -> Markup:
    """Return figures side by side where there is room."""
    return tag("div", *elements, class_="figures")


def megabytes(count: int | None) -> Cell:
    """Return bytes in MB (10^6)."""
    return None if count is None else Quantity(f"{count / 1e6:,.1f}")


def decimal(value: float | None, digits: int = 2) -> Cell:
    """Return a number with so many digits behind the point."""
    return None if value is None else Quantity(f"{value:,.{digits}f}")


def percent(part: float, whole: float) -> Cell:
    """Return a share in percent; None of nothing."""
    return Quantity(f"{part / whole:.1%}") if whole else None


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "record"), plural(2_000, "record")
    ('1 record', '2,000 records')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
