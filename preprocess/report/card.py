"""The corpus card: what is in a corpus, whence, under which terms, and what was left out and why.

Markdown, made from the manifests of a run alone: equal runs give equal bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from preprocess.licences import is_non_commercial
from preprocess.readers.registry import BENCHMARKS, READERS
from preprocess.report.collect import composition
from preprocess.run_directory import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import msgspec

    from preprocess.manifest import Counts, Share
    from preprocess.report.collect import Run
    from preprocess.report.stages import Stage

CARD = "card.md"


def build_card(run: Run) -> str:
    """Return the card of a run, finished or not."""
    parts = [
        f"# Corpus card: {_cell(run.directory.resolve().name)}",
        f"Made by `preprocess report` {VERSION} from the manifests of the run.",
        _contents(run),
        _sources(run),
        _licences(run),
        _left_out(run),
        _repairs(run),
        _stages(run),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _contents(run: Run) -> str:
    left = composition(run.last_stages, lambda share: f"{share.source}\n{share.kind}")
    if not left:
        return "## What is in it\n\nNo stage has written records yet."
    first = composition(run.first_stages, lambda share: f"{share.source}\n{share.kind}")
    total = sum(share.text_bytes for share in left.values())
    rows = [
        [
            share.source,
            share.kind,
            _count(first[key].records if key in first else None),
            _count(share.records),
            f"{share.text_bytes / 1e6:,.1f}",
            f"{share.text_bytes / total:.1%}" if total else "-",
        ]
        for key, share in left.items()
    ]
    where = ", ".join(_cell(stage.name) for stage in run.last_stages)
    headings = ["source", "kind", "records at first", "records", "MB of text", "share of text"]
    return f"## What is in it\n\nWhat is left, in {where}.\n\n{_table(headings, rows)}"


def _sources(run: Run) -> str:
    names = {share.source for stage in run.first_stages for share in _shares(stage)}
    rows = []
    for name in [name for name in READERS if name in names]:
        reader = READERS[name]
        remarks = [reader.terms]
        if name in BENCHMARKS:
            remarks.append("a benchmark: never trained on")
        if is_non_commercial(reader.license):
            remarks.append("commercial use is forbidden")
        rows.append(
            [
                name,
                reader.license,
                reader.released or "-",
                reader.published,
                reader.url or "-",
                "; ".join(filter(None, remarks)) or "-",
            ]
        )
    for name in sorted(names - set(READERS)):
        is_benchmark = name in BENCHMARKS
        remark = "a benchmark: never trained on" if is_benchmark else "no dataset of `ingest`"
        rows.append([name, "-", "-", "-", "-", remark])
    if not rows:
        return ""
    headings = ["source", "licence", "released", "published size", "where", "terms"]
    return f"## Where it comes from\n\n{_table(headings, rows)}"


def _licences(run: Run) -> str:
    rows = _counted(run, lambda counts: counts.licenses)
    if not rows:
        return ""
    table = _table(["stage", "licence", "records"], rows)
    return f"## Licences\n\nOf the records that were read, before later stages.\n\n{table}"


def _left_out(run: Run) -> str:
    rows: list[list[str]] = []
    for stage in run.stages:
        if stage.manifest is None:
            continue
        counts = stage.manifest.counts
        for fate, reasons in (("dropped", counts.dropped), ("unreadable", counts.rejected)):
            rows += [
                [stage.name, fate, reason, _count(count), f"{count / max(counts.native, 1):.2%}"]
                for reason, count in reasons.items()
            ]
    if not rows:
        return "## What was left out\n\nNothing."
    headings = ["stage", "fate", "reason", "records", "of what the stage read"]
    return f"## What was left out\n\n{_table(headings, rows)}"


def _repairs(run: Run) -> str:
    rows = _counted(run, lambda counts: counts.repaired)
    if not rows:
        return ""
    lead = "Read otherwise than it is spelled, where the meaning is certain."
    return f"## What was repaired\n\n{lead}\n\n{_table(['stage', 'repair', 'times'], rows)}"


def _counted(
    run: Run, counts_of: Callable[[Counts], dict[str, int] | msgspec.UnsetType]
) -> list[list[str]]:
    """Return a row for each name that a stage's manifest counts."""
    return [
        [stage.name, name, _count(count)]
        for stage in run.stages
        if stage.manifest
        for name, count in (counts_of(stage.manifest.counts) or {}).items()
    ]


def _stages(run: Run) -> str:
    rows = []
    for stage in run.stages:
        counts = stage.manifest.counts if stage.manifest else None
        rows.append(
            [
                stage.name,
                stage.command or "-",
                stage.state,
                _count(counts.native if counts else None),
                _count(counts.in_ if counts else None),
                _count(counts.out if counts else None),
            ]
        )
    if not rows:
        return ""
    headings = ["stage", "command", "state", "native records", "records in", "records out"]
    table = _table(headings, rows)
    if any(stage.command == "decontaminate" for stage in run.stages):
        return f"## How it was made\n\n{table}"
    return f"## How it was made\n\n{table}\n\nIt was not decontaminated against any benchmark."


def _shares(stage: Stage) -> Iterable[Share]:
    return stage.manifest.composition() if stage.manifest else ()


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


_MARKUP = re.compile(r"[\\|`*\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What means something in Markdown; an underscore does not inside of a word."""


def _cell(text: str) -> str:
    """Return text that stays in its cell and is nothing but text, whatever a source is called."""
    escaped = _MARKUP.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;"))
    return " ".join(escaped.split())
