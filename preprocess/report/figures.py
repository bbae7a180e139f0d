"""The figures, as PNG bytes that depend on the data alone.

They are drawn 5.2 inches wide: with letters of 10 points they can be read on a phone, where the
page is about as wide. No pyplot, so that nothing is shared with whoever else draws.
"""

from __future__ import annotations

import io
import itertools
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from preprocess.report.lengths import Lengths
    from preprocess.report.recall import Recall
    from preprocess.report.trainings import Training

WIDTH_INCHES = 5.2
STYLE = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same letters everywhere
    "font.size": 10,
    "text.parse_math": False,  # a name with two dollar signs is a name
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "savefig.dpi": 220,
}
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#999999")
"""Told apart by the colour-blind; source: Okabe and Ito, "Color Universal Design" (2008)."""
GROUP_COLORS = {"agent": COLORS[0], "code": COLORS[1], "text": COLORS[2]}
KIND_COLORS = {
    "code": COLORS[1],
    "text": COLORS[2],
    "tool_documentation": COLORS[0],
    "trajectory": COLORS[4],
    "function_call": COLORS[6],
    "web": COLORS[3],
}
"""Those of the groups, and others for the further kinds of agent data."""
LARGEST_SLICES = 7
MOST_POINTS = 4_000
LABEL_LENGTH = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure as it is saved and shown."""

    name: str
    """File name."""
    png: bytes
    description: str
    """For whoever cannot see it."""


def color_of(group: str, place: int) -> str:
    """Return the colour of a group, the same in every figure; `place` decides for unknown ones."""
    return GROUP_COLORS.get(group, COLORS[(3 + place) % len(COLORS)])


def compact(value: float, _position: object = None) -> str:
    """Return a number in few characters.

    >>> [compact(number) for number in (0, 7, 1500, 999_999)]
    ['0', '7', '1.5k', '1M']
    """
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:  # what three digits would round up to it
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def _label(name: str) -> str:
    # Names that are too long often differ at their end.
    is_short = len(name) <= LABEL_LENGTH
    short = name if is_short else f"{name[: LABEL_LENGTH - 10]}…{name[-9:]}"
    return f" {short}" if short.startswith("_") else short  # legends hide names that begin with _


def _columns(names: Sequence[str]) -> int:
    """Return how many columns of a legend fit above a figure."""
    widest = max(len(_label(name)) for name in names)
    return max(1, min(len(names), 4, 60 // (widest + 8)))


def _picture(name: str, figure: Figure, description: str) -> Picture:
    stored = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script the font lacks gets boxes here; the table beside spells it.
        warnings.filterwarnings("ignore", message=".*Glyph .* missing from font")
        figure.savefig(stored, format="png", metadata={"Software": None})
    return Picture(name=name, png=stored.getvalue(), description=description)


def _axes(height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    return figure, list(figure.subplots(rows, 1, sharex=rows > 1, squeeze=False)[:, 0])


def draw_shares(name: str, title: str, shares: Mapping[str, int]) -> Picture:
    """Draw a ring of shares, the largest first; the small ones become "others"."""
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    shown = ordered[:LARGEST_SLICES]
    if rest := sum(value for _, value in ordered[LARGEST_SLICES:]):
        shown.append((f"{len(ordered) - LARGEST_SLICES} others", rest))
    taken = {KIND_COLORS.get(key) for key, _ in shown}
    free = [color for color in COLORS if color not in taken]
    total = sum(shares.values())
    # The legend stands below: labels at the ring collide where the slices are thin.
    with matplotlib.style.context(("default", STYLE)):
        figure = Figure(figsize=(WIDTH_INCHES, 3.2 + 0.24 * len(shown)), layout="constrained")
        axes = figure.subplots()
        wedges = axes.pie(
            [value for _, value in shown],
            colors=[KIND_COLORS.get(key) or free.pop(0) for key, _ in shown],
            startangle=90,
            counterclock=False,
            wedgeprops={"width": 0.38, "edgecolor": "white"},
        )[0]
        axes.text(0, 0, title, ha="center", va="center", fontweight="bold")
        labels = [f"{_label(key)}  {value / total:.1%}" for key, value in shown]
        figure.legend(wedges, labels, loc="outside lower center", fontsize=10.5)
        return _picture(
            name, figure, f"{title}: {', '.join(f'{key} {v / total:.1%}' for key, v in shown)}"
        )


def draw_flow(name: str, rows: Sequence[tuple[str, int, int, int]]) -> Picture:
    """Draw (stage, out, dropped, rejected) as one bar a stage, from the first one down."""
    with matplotlib.style.context(("default", STYLE)):
        figure, (axes,) = _axes(1.3 + 0.42 * len(rows))
        left = np.zeros(len(rows))
        series = (("out", COLORS[2]), ("dropped", COLORS[1]), ("rejected", COLORS[5]))
        for column, (label, color) in enumerate(series, 1):
            values = np.array([row[column] for row in rows], float)
            if values.any() or label == "out":
                axes.barh(range(len(rows)), values, left=left, color=color, label=label)
            left += values
        axes.set_yticks(range(len(rows)), [_label(row[0]) for row in rows])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(FuncFormatter(compact))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("records")
        figure.legend(loc="outside upper center", ncols=3)
        return _picture(name, figure, "Records out, dropped and rejected by stage")


def draw_lengths(name: str, lengths: Sequence[Lengths]) -> Picture:
    """Draw how many documents have how many tokens, a line for every group."""
    longest = max(1, *(int(each.tokens[-1]) for each in lengths))
    # Four bins for every doubling; below eight tokens there are not so many whole numbers.
    edges = np.unique(np.round(2.0 ** np.arange(0, math.log2(longest + 1) + 0.25, 0.25)))
    edges = np.append(edges, edges[-1] * 2**0.25) if edges[-1] <= longest else edges
    with matplotlib.style.context(("default", STYLE)):
        figure, (axes,) = _axes(3.4)
        for place, each in enumerate(lengths):
            counts = np.histogram(each.tokens, edges)[0] * each.stride
            color = color_of(each.group, place)
            axes.stairs(counts, edges, color=color, lw=1.8, label=_label(each.group))
            axes.stairs(counts, edges, color=color, fill=True, alpha=0.12)
        axes.set_xscale("log")
        axes.set_xlim(float(edges[0]), float(edges[-1]))
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(FuncFormatter(compact))
        axes.yaxis.set_major_formatter(FuncFormatter(compact))
        axes.set_xlabel("tokens in a document (logarithmic)")
        axes.set_ylabel("documents")
        figure.legend(loc="outside upper center", ncols=_columns([each.group for each in lengths]))
        return _picture(name, figure, "Number of documents by their length in tokens, by group")


def draw_cluster_sizes(name: str, sizes: NDArray[np.int64]) -> Picture:
    """Draw how many clusters have how many records."""
    bins = list(_size_bins(int(sizes.max())))
    counts = [int(((sizes >= low) & (sizes <= high)).sum()) for low, high in bins]
    labels = [str(low) if low == high else f"{compact(low)}-{compact(high)}" for low, high in bins]
    with matplotlib.style.context(("default", STYLE)):
        figure, (axes,) = _axes(3.1)
        is_crowded = len(labels) > 7
        bars = axes.bar(range(len(bins)), counts, color=COLORS[0])
        axes.bar_label(
            bars,
            [compact(count) if count else "" for count in counts],
            padding=2,
            fontsize=8.5 if is_crowded else 10,
        )
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, max(counts) * 3)
        axes.yaxis.set_major_formatter(FuncFormatter(compact))
        axes.set_xticks(
            range(len(bins)), labels, rotation=35 if is_crowded else 0,
            ha="right" if is_crowded else "center",
        )  # fmt: skip
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("records in a cluster")
        axes.set_ylabel("clusters (logarithmic)")
        return _picture(name, figure, "Number of clusters of duplicates by their size")


def draw_recall(name: str, recall: Recall) -> Picture:
    """Draw which share of the pairs of a similarity shares a band: theory and measurement."""
    with matplotlib.style.context(("default", STYLE)):
        figure, (axes,) = _axes(3.6)
        jaccard = np.linspace(0, 1, 401)
        axes.plot(jaccard, recall.theory(jaccard), color="#444444", lw=1.3, label="theory")
        series = (
            ("pairs of records", recall.records, COLORS[0], COLORS[0]),
            ("texts and their beginnings", recall.beginnings, COLORS[5], "white"),
        )
        for label, points, color, inside in series:
            if points.num_pairs:
                axes.errorbar(
                    points.jaccard, points.share, 2 * points.error,
                    color=color, mfc=inside, marker="o", ms=5, ls="", lw=1, capsize=2,
                    label=label, zorder=3, clip_on=False,
                )  # fmt: skip
        if recall.threshold is not None:
            axes.axvline(recall.threshold, color=COLORS[1], lw=1.2, ls="--", label="threshold")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("true Jaccard similarity of a pair")
        axes.set_ylabel("share that has a band in common")
        figure.legend(loc="outside upper center", ncols=2)
        return _picture(name, figure, "Share of pairs that share a band, by their similarity")


def _size_bins(largest: int) -> Iterator[tuple[int, int]]:
    firsts = [2, 3, 4, 5, 10, 20, 50, *(10**power for power in range(2, 20))]
    for first, after in itertools.pairwise(firsts):
        if first <= max(largest, 2):
            yield first, after - 1


def draw_loss(name: str, training: Training) -> Picture:
    """Draw the training loss, held-out losses as points, and where the run was resumed."""
    with matplotlib.style.context(("default", STYLE)):
        figure, (axes,) = _axes(3.6)
        steps = training.steps[:: max(1, len(training.steps) // MOST_POINTS)]
        if steps:
            axes.plot(
                [step.step for step in steps],
                [step.loss for step in steps],
                color="#444444", lw=1.3, label="training",
            )  # fmt: skip
        groups = list(training.before_and_after())
        for place, group in enumerate(groups):
            found = [each for each in training.evaluations if each.group == group]
            axes.plot(
                [each.step for each in found],
                [each.loss for each in found],
                color=color_of(group, place), lw=0.8, marker="o", ms=6, mec="white",
                ls=":" if len(found) > 2 else "",  # a line between two says nothing of the way
                label=_label(f"{group}, held out"), zorder=3, clip_on=False,
            )  # fmt: skip
        _mark_resumptions([axes], training)
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(compact))
        axes.set_xlabel("step")
        axes.set_ylabel("loss (nats per token)")
        figure.legend(loc="outside upper center", ncols=2)
        return _picture(name, figure, f"Loss of the training {training.name} by step")


def draw_speed(name: str, training: Training) -> Picture:
    """Draw learning rate and tokens a second, one above the other."""
    steps = training.steps[:: max(1, len(training.steps) // MOST_POINTS)]
    numbers = [step.step for step in steps]
    with matplotlib.style.context(("default", STYLE)):
        figure, (above, below) = _axes(3.9, rows=2)
        above.plot(numbers, [step.learning_rate for step in steps], color=COLORS[0], lw=1.5)
        above.set_ylabel("learning rate")
        above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
        below.plot(numbers, [step.tokens_per_second for step in steps], color=COLORS[2], lw=1.2)
        below.set_ylabel("tokens/s")
        below.set_xlabel("step")
        below.yaxis.set_major_formatter(FuncFormatter(compact))
        below.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        below.xaxis.set_major_formatter(FuncFormatter(compact))
        for axes in (above, below):
            axes.set_ylim(bottom=0)
        _mark_resumptions([above, below], training)
        return _picture(
            name, figure, f"Learning rate and tokens a second of {training.name} by step"
        )


def _mark_resumptions(all_axes: list[Axes], training: Training) -> None:
    for place, step in enumerate(training.resumptions):
        for axes in all_axes:
            axes.axvline(
                step, color=COLORS[5], lw=1.2, ls="--",
                label=None if place or len(all_axes) > 1 else "resumed",
            )  # fmt: skip
