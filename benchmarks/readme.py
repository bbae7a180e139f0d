"""The block of README.md that a run writes, so that its figures cannot drift from those kept."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = "<!-- tokenize: written by benchmarks/tokenize.py -->"
END = "<!-- tokenize: end -->"
WIDTH = 120


def rewrite(readme: Path, content: dict[str, Any]) -> None:
    """Put the figures of a run between the two marks.

    Raises:
        ValueError: The marks are not there, each once and in order.
    """
    text = readme.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"{readme}: expected the lines {BEGIN!r} and {END!r}, each once")
    readme.write_text(f"{before}{BEGIN}\n{block(content)}{END}{after}", "utf-8")


def block(content: dict[str, Any]) -> str:
    """Return the figures of a run as Markdown."""
    return f"{_table(content)}\n{_sentence(content)}"


def _table(content: dict[str, Any]) -> str:
    head = (
        "| tokenizer | in memory, warm (cold) | fastest exact peer | to disk | Megatron's path |\n"
        "|---|---|---|---|---|\n"
    )
    return head + "".join(_line(model, content) for model in content["models"])


def _line(model: str, content: dict[str, Any]) -> str:
    ours = _only(content["in_memory"], model=model, corpus="web", who="ours")
    disk = _only(content["to_disk"], model=model, corpus="web", who="ours")
    peer = next(
        (
            target
            for target in content["targets"]
            if target["model"] == model and target["what"].startswith("in memory, warm")
        ),
        None,
    )
    over = next(
        (
            target["reached"]
            for target in content["targets"]
            if target["model"] == model and "Megatron" in target["what"]
        ),
        None,
    )
    cells = [
        model,
        f"{ours['warm_rate']:.0f} ({ours['cold_rate']:.0f})",
        f"{peer['against']}, **{peer['reached']:.1f}x** slower" if peer else "",
        f"{disk['rate']:.0f}",
        f"**{over:.0f}x** slower" if over else "",
    ]
    return f"| {' | '.join(cells)} |\n"


def _only(rows: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


def _sentence(content: dict[str, Any]) -> str:
    machine, web = content["machine"], content["corpora"]["web"]
    versions = ", ".join(
        f"{name} {version}" for name, version in content["versions"].items() if version
    )
    wrong = sorted({(row["who"], row["model"]) for row in content["in_memory"] if row["different"]})
    text = (
        f"MB of UTF-8 text per CPU-second, one worker, on {web['text_bytes'] / 1e6:.0f} MB "
        f"({web['documents']:,} documents) of {content['source']}, sha256 "
        f"`{web['sha256'][:12]}`; {machine['processor']}, {machine['date']}, "
        f"commit {machine['commit']}. To disk means `.jsonl.zst` to `.bin/.idx`, sidecars and "
        "checksums included, starting and loading left out. Ids were equal to the reference's "
        f"in every document. Peers: {versions}."
    )
    if wrong:
        text += " Wrong ids: " + ", ".join(f"{who} for {model}" for who, model in wrong) + "."
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"
