"""`preprocess report`: what became of a run, as one page and its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.errors import UserError
from preprocess.manifest import write_whole
from preprocess.report.collect import collect

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "report.html"


def report(run: Path, output: Path) -> Path:
    """Write the page of a run; beside it its figures as PNG files, and its card as Markdown.

    The page holds its figures itself; it can be sent on alone. Equal runs give equal bytes.

    Args:
        run: The directory of a plan's run, finished or not.
        output: A directory for `report.html`, or a path that ends in `.html`.

    Returns:
        The page.

    Raises:
        UserError: `run` is no run, or `output` is a file of another name.
        OSError: The page cannot be written.
    """
    from preprocess.report.card import CARD, build_card
    from preprocess.report.page import build  # matplotlib takes a second to load

    page = output if output.suffix.lower() == ".html" else output / PAGE
    if output is not page and output.exists() and not output.is_dir():
        raise UserError(
            f"{output}: expected a directory or a name that ends in .html, found a file; "
            "choose another"
        )
    found = collect(run)
    text, pictures = build(found)
    page.parent.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        write_whole(page.parent / picture.name, picture.png)
    write_whole(page.parent / CARD, build_card(found).encode("utf-8", "replace"))
    write_whole(page, text.encode("utf-8", "replace"))
    return page
