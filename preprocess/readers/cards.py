"""API cards: what is said about one API, as a page of Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_FENCE = re.compile(r"`{3,}")


def page(title: str, lead: str, sections: Iterable[tuple[str, str]]) -> str:
    """Return a page: the title, a first paragraph, then named sections; empty ones are left out."""
    head = [f"# {title}"] if title.strip() else []
    parts = [*head, lead.strip()]
    parts += [f"## {name}\n\n{text}" for name, text in sections if text.strip()]
    return "\n\n".join(part for part in parts if part)


def section(heading: str, text: str) -> str:
    """Return a text under its heading, nothing where there is no text."""
    return f"{heading}\n{text}" if text.strip() else ""


def code(source: Any, language: str = "") -> str:
    """Return source in a fence that it does not close; lines of a list one below the other."""
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "\n".join(source)
    elif isinstance(source, dict | list):
        return prose(source)
    if not isinstance(source, str) or not source.strip():
        return ""
    longest = (
        max((len(fence) for fence in _FENCE.findall(source)), default=2) if ("```" in source) else 2
    )
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{source}\n{fence}"


def prose(value: Any) -> str:
    """Return a value of JSON as lines that people read; what has no simple form stays JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(map(_is_scalar, value)):
        return "\n".join(f"- {_word(each)}" for each in value)
    if isinstance(value, dict) and value and all(map(_is_scalar, value.values())):
        return "\n".join(f"- {key}: {_word(each)}" for key, each in value.items())
    if isinstance(value, dict | list) and not value:
        return ""
    return to_json_text(value)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else to_json_text(value)
