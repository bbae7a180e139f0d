"""A run as one picture: how fast, how right, how it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.duplicates.end_to_end import OURS
from benchmarks.duplicates.tables import number

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.duplicates.end_to_end import Row
    from benchmarks.duplicates.growth import Grown

OURS_COLOR, PEER_COLOR, WRONG_COLOR, RIGHT_COLOR = "#c2410c", "#9ca3af", "#b91c1c", "#6b7280"
MEMORY_COLOR = "#1d4ed8"
ROOM = 1.7
"""Of the longest bar: what stands behind it needs it."""


def draw(rows: list[Row], grown: list[Grown], path: Path, caption: str) -> None:
    """Write the chart as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    measured = [row for row in rows if row.rate and (row.who != OURS or row.corpus == "web")]
    figure, axes = plt.subplots(1, 3, figsize=(14, 5), width_ratios=(3, 3, 2), layout="constrained")
    _rates(axes[0], measured)
    _removals(axes[1], [row for row in measured if row.corpus == "web" and not row.simd])
    _growth(axes[2], grown)
    figure.supxlabel(caption, fontsize=8)
    figure.savefig(path, dpi=140)
    plt.close(figure)


def _rates(axes: Axes, rows: list[Row]) -> None:
    ordered = sorted(rows, key=lambda row: row.rate)
    colors = [OURS_COLOR if row.who == OURS else PEER_COLOR for row in ordered]
    drawn = axes.barh(range(len(ordered)), [row.rate for row in ordered], color=colors)
    axes.bar_label(drawn, [number(row.rate) for row in ordered], fontsize=8, padding=2)
    axes.set_yticks(range(len(ordered)), [_name(row) for row in ordered], fontsize=8)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    _title(axes, "MB of text per CPU-second, records to survivors")


def _name(row: Row) -> str:
    if row.who != OURS:
        return row.who if row.corpus == "web" else f"{row.who} (first part)"
    return ", ".join(filter(None, (row.who, row.format, row.simd.upper())))


def _removals(axes: Axes, rows: list[Row]) -> None:
    shown = {row.who: row for row in rows}
    names, taken = list(shown), list(shown.values())
    alone = [row.alone["0.8"] for row in taken]
    right = [row.removed - row.alone["0.8"] for row in taken]
    axes.barh(names, right, color=RIGHT_COLOR, label="one that stayed is similar, J >= 0.8")
    drawn = axes.barh(names, alone, left=right, color=WRONG_COLOR, label="none is")
    labels = [
        f"{row.removed:,}, {wrong:,} wrong; recall {row.recall:.3f}"
        for row, wrong in zip(taken, alone, strict=True)
    ]
    axes.bar_label(drawn, labels, fontsize=7.5, padding=2)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlim(0, ROOM * max(row.removed for row in taken))
    axes.invert_yaxis()
    axes.legend(fontsize=8, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.06))
    _title(axes, "Records removed")


def _growth(axes: Axes, grown: list[Grown]) -> None:
    factors = [each.factor for each in grown]
    per_time = [each.wall_seconds / each.factor for each in grown]
    places = range(len(grown))
    axes.plot(places, [each / per_time[0] for each in per_time], "o-", color=OURS_COLOR)
    axes.set_ylabel("time / (times x that at 1x)", color=OURS_COLOR, fontsize=9)
    axes.set_ylim(0, 1.5)
    axes.axhline(1.15, color=OURS_COLOR, linewidth=0.7, linestyle=":")
    memory = axes.twinx()
    memory.plot(places, [each.peak_bytes / (1 << 20) for each in grown], "s-", color=MEMORY_COLOR)
    memory.set_ylabel("most memory of all processes, MiB", color=MEMORY_COLOR, fontsize=9)
    memory.set_ylim(0, 450)
    memory.axhline(356, color=MEMORY_COLOR, linewidth=0.7, linestyle=":")
    memory.spines[["top"]].set_visible(False)
    axes.set_xticks(places, [f"{factor}x" for factor in factors])
    _title(axes, "A longer corpus, --memory 256MiB")


def _title(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
