"""What a check says: how bad it is, what it looked at, what it found, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one check."""

    level: Literal["ok", "warn", "fail"]
    """`fail`: the run would end, or its result would be wrong; `warn`: read it before you run."""
    subject: str
    found: str
    advice: str = ""
    """What to do; empty where there is nothing to do."""


def ok(subject: str, found: str, advice: str = "") -> Finding:
    """Return that something is as it should be."""
    return Finding("ok", subject, found, advice)


def warn(subject: str, found: str, advice: str) -> Finding:
    """Return that something may surprise."""
    return Finding("warn", subject, found, advice)


def fail(subject: str, found: str, advice: str) -> Finding:
    """Return that something would go wrong."""
    return Finding("fail", subject, found, advice)


def as_table(findings: Sequence[Finding]) -> Table:
    """Return the findings as a terminal shows them."""
    table = Table()
    table.add_column("")
    table.add_column("check", overflow="fold")
    table.add_column("found", overflow="fold")
    table.add_column("what to do", overflow="fold")
    for each in findings:
        level = f"[{STYLES[each.level]}]{each.level}[/]"
        table.add_row(level, *map(_plain, (each.subject, each.found, each.advice)))
    return table


def _plain(text: str) -> str:
    """Return text that rich prints as it is: tokens hold brackets."""
    return text.replace("[", r"\[")


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings for a program, with how many there are of each level."""
    counts = {level: sum(each.level == level for each in findings) for level in STYLES}
    content = {"counts": counts, "findings": findings}
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
