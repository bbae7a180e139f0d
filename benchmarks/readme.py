"""The block of README.md that a run writes, so that its figures cannot drift from those kept."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from benchmarks.to_disk import MEGATRON

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BEGIN = "<!-- tokenize: written by benchmarks/tokenize.py -->"
END = "<!-- tokenize: end -->"
WIDTH = 120


def replace(readme: Path, begin: str, end: str, make: Callable[[], str]) -> None:
    """Put what is made between two marks.

    Raises:
        ValueError: The marks are not there, each once and in order.
    """
    text = readme.read_text("utf-8")
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last or begin in rest or end in after:
        raise ValueError(f"{readme}: expected the lines {begin!r} and {end!r}, each once")
    readme.write_text(f"{before}{begin}\n{make()}{end}{after}", "utf-8")


def rewrite(readme: Path, content: dict[str, Any]) -> None:
    """Put the figures of a run between the two marks.

    Raises:
        ValueError: The marks are not there, each once and in order.
    """
    replace(readme, BEGIN, END, lambda: block(content))


def block(content: dict[str, Any]) -> str:
    """Return the figures of a run as Markdown."""
    return f"{_table(content)}\n{_sentence(content)}"


COLUMNS = (
    "tokenizer",
    "in memory, warm (cold)",
    "fastest exact peer, warm",
    "ratio",
    "records to disk",
    "fastest exact peer's encoder",
    "ratio",
    "Megatron's path",
    "ratio",
)


def _table(content: dict[str, Any]) -> str:
    rows = [COLUMNS, ["---"] * len(COLUMNS)]
    rows += [_cells(model, content) for model in content["models"]]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _cells(model: str, content: dict[str, Any]) -> list[str]:
    memory = [row for row in content["in_memory"] if row["model"] == model]
    disk = [row for row in content["to_disk"] if row["model"] == model]
    ours = _only(memory, corpus="web", who="ours")
    wrong = {row["who"] for row in memory if row["different"]}
    exact = [
        row
        for row in memory
        if row["corpus"] in ("web", "web slice") and row["who"] not in {"ours", *wrong}
    ]
    around = [row for row in disk if row["who"] not in ("ours", MEGATRON)]
    megatron = [row for row in disk if row["who"] == MEGATRON]
    return [
        model,
        f"{ours['warm_rate']:.0f} ({ours['cold_rate']:.0f})",
        *_against(exact, "warm_rate", lambda corpus: _only(memory, corpus=corpus, who="ours")),
        f"{_only(disk, corpus='web', who='ours')['rate']:.0f}",
        *_against(around, "rate", lambda corpus: _only(disk, corpus=corpus, who="ours")),
        *_against(megatron, "rate", lambda corpus: _only(disk, corpus=corpus, who="ours")),
    ]


def _against(
    rows: list[dict[str, Any]], key: str, ours: Callable[[str], dict[str, Any]]
) -> tuple[str, str]:
    """Return the fastest of some rows and our ratio to it, on the corpus that it was given."""
    timed = [row for row in rows if row[key]]
    if not timed:
        return "", ""
    best = max(timed, key=lambda row: (row[key], row["corpus"] == "web"))
    name = "" if best["who"] == MEGATRON else f"{best['who']} "
    return f"{name}{best[key]:.3g}", f"**{ours(best['corpus'])[key] / best[key]:.3g}**"


def _only(rows: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


def _sentence(content: dict[str, Any]) -> str:
    machine, web = content["machine"], content["corpora"]["web"]
    versions = ", ".join(
        f"{name} {version}" for name, version in content["versions"].items() if version
    )
    wrong = sorted({(row["who"], row["model"]) for row in content["in_memory"] if row["different"]})
    part = content["corpora"]["web slice"]["text_bytes"] / 1e6
    text = (
        f"MB of UTF-8 text per CPU-second, one worker, on {web['text_bytes'] / 1e6:.0f} MB "
        f"({web['documents']:,} documents) of {content['source']}, sha256 "
        f"`{web['sha256'][:12]}`; {machine['processor']}, {machine['date']}, "
        f"commit {machine['commit']}. To disk means `.jsonl.zst` to `.bin/.idx`, sidecars and "
        "checksums included, starting and loading left out on all sides. Ids were equal to the "
        f"reference's in every document. Peers that need minutes were given the first {part:.0f} "
        f"MB, and so were we to compare. Peers: {versions}."
    )
    if wrong:
        text += " Wrong ids: " + ", ".join(f"{who} for {model}" for who, model in wrong) + "."
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"
