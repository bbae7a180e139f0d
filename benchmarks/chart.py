"""A run as one picture: bars by tokenizer, in memory and to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers import LOADERS, OURS
from benchmarks.to_disk import MEGATRON

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.in_memory import Row
    from benchmarks.to_disk import DiskRow

type Bars = dict[str, dict[str, tuple[float, bool]]]
"""By encoder and tokenizer: the rate, and whether the ids were right."""

COLORS = {
    OURS: "#c2410c",
    "gigatoken": "#1d4ed8",
    "fastokens": "#60a5fa",
    "tiktoken": "#6b7280",
    "kitoken": "#9ca3af",
    "sentencepiece": "#a3a38f",
    "tokenizers": "#4b5563",
    MEGATRON: "#111827",
}


def draw(rows: list[Row], disk: list[DiskRow], path: Path, caption: str) -> None:
    """Write the chart as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(11, 8.5), layout="constrained")
    _panel(axes[0], _memory_bars(rows), "In memory, warm: MB of web text per CPU-second")
    _panel(axes[1], _disk_bars(disk), "Records to disk, cold: MB of web text per CPU-second")
    figure.supxlabel(caption, fontsize=8)
    figure.savefig(path, dpi=140)
    plt.close(figure)


def _memory_bars(rows: list[Row]) -> Bars:
    bars: Bars = {}
    for row in rows:
        if row.corpus in ("web slice", "web") and row.warm:
            if row.who == OURS and row.corpus == "web slice":
                continue
            bars.setdefault(row.who, {})[row.model] = (row.rate(row.warm) or 0.0, row.is_exact)
    for row in rows:  # what the slice does not show, another corpus may
        if row.different and row.model in bars.get(row.who, {}):
            bars[row.who][row.model] = (bars[row.who][row.model][0], False)
    return bars


def _disk_bars(disk: list[DiskRow]) -> Bars:
    bars: Bars = {}
    for row in disk:
        if row.who != OURS or row.corpus == "web":
            bars.setdefault(row.who, {})[row.model] = (row.rate, "WRONG" not in row.agreement)
    return bars


def _panel(axes: Axes, bars: Bars, title: str) -> None:
    models = list(dict.fromkeys(model for rates in bars.values() for model in rates))
    shown = [who for who in (OURS, *reversed(LOADERS), MEGATRON) if who in bars]
    shown = list(dict.fromkeys(shown))
    width = 0.84 / max(len(shown), 1)
    for place, who in enumerate(shown):
        at = [number - 0.42 + width * (place + 0.5) for number in range(len(models))]
        rates = [bars[who].get(model, (0.0, True)) for model in models]
        drawn = axes.bar(at, [rate for rate, _ in rates], width, label=who, color=COLORS[who])
        labels = [_label(rate, exact) for rate, exact in rates]
        axes.bar_label(drawn, labels, fontsize=6.5, padding=1, rotation=90)
        for bar, (_, exact) in zip(drawn, rates, strict=True):
            if not exact:
                bar.set(hatch="////", alpha=0.45)
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xticks(range(len(models)), models)
    axes.margins(y=0.18)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, ncols=4, frameon=False)


def _label(rate: float, exact: bool) -> str:
    if not rate:
        return ""
    number = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
    return number if exact else f"{number} wrong"
