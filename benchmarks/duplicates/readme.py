"""The block of README.md about `dedup`, written by a run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from benchmarks.duplicates.tables import number
from benchmarks.readme import WIDTH, replace

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = "<!-- dedup: written by benchmarks/dedup.py -->"
END = "<!-- dedup: end -->"

COLUMNS = (
    "near-duplicates",
    "MB per CPU-second",
    "memory, MB",
    "removed",
    "no kept J >= 0.8",
    "no kept J >= 0.7",
    "recall at 0.8",
    "ours / theirs",
)


def rewrite(readme: Path, content: dict[str, Any]) -> None:
    """Put the figures of a run between the two marks.

    Raises:
        ValueError: The marks are not there, each once and in order.
    """
    replace(readme, BEGIN, END, lambda: block(content))


def block(content: dict[str, Any]) -> str:
    """Return the figures of a run as Markdown."""
    return f"{_table(content)}\n{_sentence(content)}"


def _table(content: dict[str, Any]) -> str:
    ours = {row["corpus"]: row for row in sorted(content["end_to_end"], key=_is_fastest)}
    shown = [row for row in content["end_to_end"] if _is_shown(row)]
    rows = [COLUMNS, ["---"] * len(COLUMNS)]
    rows += [_cells(row, ours[row["corpus"]]["rate"] / row["rate"]) for row in shown]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _is_fastest(row: dict[str, Any]) -> tuple[bool, float]:
    """Order rows so that ours come last, what all of the machine does fastest at the end."""
    return row["who"] == "ours" and not row["simd"], row["rate"]


def _is_shown(row: dict[str, Any]) -> bool:
    return bool(row["rate"]) and (row["who"] != "ours" or row["corpus"] == "web")


def _cells(row: dict[str, Any], ratio: float) -> list[str]:
    is_ours = row["who"] == "ours"
    parts = (row["who"], row["format"] if is_ours else "", row["simd"].upper())
    return [
        ", ".join(filter(None, parts)) + ("" if row["corpus"] == "web" else " (first part)"),
        number(row["rate"]),
        f"{row['peak_bytes'] / 1e6:.0f}",
        f"{row['removed']:,}",
        *(f"{row['alone'][level]:,}" for level in ("0.8", "0.7")),
        f"{row['recall']:.3f}",
        "" if is_ours else f"**{number(ratio)}**",
    ]


def _sentence(content: dict[str, Any]) -> str:
    machine, web, part = content["machine"], *(content["corpora"][n] for n in ("web", "web slice"))
    grown, clusters, recall = content["grown"], content["clusters"], content["recall"]
    first, last = grown[0], grown[-1]
    growth = last["wall_seconds"] / last["factor"] / first["wall_seconds"]
    scripts = {each["name"]: each["rate"] for each in content["scripts"]}
    others = ", ".join(f"{name} {number(rate)}" for name, rate in scripts.items())
    versions = ", ".join(f"{name} {each}" for name, each in content["versions"].items() if each)
    text = (
        f"`.jsonl.zst` to survivors, starting left out, one worker, 14 x 8 and word 5-grams, on "
        f"{web['text_bytes'] / 1e6:.0f} MB ({web['records']:,} records) of {content['source']}; "
        f"{machine['processor']}, {machine['date']}, commit {machine['commit']}. Ours with "
        f"`clusters.parquet` and manifest; its {clusters['dropped']:,} removals were confirmed by "
        f"brute force, {clusters['below']} below 0.8; of the {recall['pairs']:,} pairs from 0.8 to "
        f"below 1 {recall['over_seeds']:.4f} share a band ({recall['expected']:.4f} in theory). "
        f"Recall: pairs of which not both stayed. First part: {part['text_bytes'] / 1e6:.0f} MB, "
        "for peers that need minutes, and for ours to compare. With `--memory 256MiB`, "
        f"{last['factor']} times the corpus took {growth:.2f} of {last['factor']} times its "
        f"time and {last['peak_bytes'] / (1 << 20):.0f} MiB. MB per CPU-second by script: {others} "
        f"(made of web text). Peers: {versions}."
    )
    missing = [row["who"] for row in content["end_to_end"] if row["failed"]]
    if missing:
        text += f" Not installed or failed: {', '.join(missing)}."
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"
