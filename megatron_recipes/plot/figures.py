"""The figures, as PNG bytes: a line for every run, a colour for every run in all of them."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from megatron_recipes.plot.runs import Run, smoothed

WIDTH_INCHES = 6.4
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
    "savefig.dpi": 180,
}
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#777777")
"""Told apart by the colour-blind; source: Okabe and Ito, "Color Universal Design" (2008)."""
DASHES = ("-", "--", "-.", ":")
"""Of the runs after the eighth, sixteenth, ...: no two look the same."""
SMOOTHED_SHARE = 50
"""A mean is over this part of the longest run's steps."""
LABEL_LENGTH = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure as it is saved and shown."""

    name: str
    """File name."""
    png: bytes
    caption: str
    """What it shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """A figure of every step that gets a picture of its own."""

    name: str
    """In `metrics.jsonl`."""
    label: str
    """Of the axis, with its unit."""
    scale: float = 1.0
    """What a value is divided by."""
    is_smoothed: bool = False
    """Whether a mean is drawn over the single steps."""
    is_logarithmic: bool = False
    """Whether the axis is."""
    begins_at_zero: bool = True
    """Whether the axis does."""


QUANTITIES = (
    Quantity(name="loss", label="loss (nats per token)", is_smoothed=True, begins_at_zero=False),
    Quantity(
        name="grad_norm",
        label="gradient norm (logarithmic)",
        is_smoothed=True,
        is_logarithmic=True,
        begins_at_zero=False,
    ),
    Quantity(name="learning_rate", label="learning rate"),
    Quantity(name="tokens_per_second_per_gpu", label="tokens/s per GPU", is_smoothed=True),
    Quantity(name="model_tflops_per_gpu", label="model TFLOP/s per GPU", is_smoothed=True),
    Quantity(name="memory_bytes", label="peak memory of rank 0 (GB)", scale=1e9),
)


def draw_all(runs: Sequence[Run], axis: str) -> list[Picture]:
    """Return the pictures of all that the runs have, over `step` or `tokens`."""
    with matplotlib.style.context(("default", STYLE)):
        pictures = [
            _draw_quantity(runs, axis, quantity)
            for quantity in QUANTITIES
            if any(np.isfinite(run.column(quantity.name)).any() for run in runs)
        ]
        groups = list(dict.fromkeys(group for run in runs for group in run.groups))
        if groups:
            pictures.insert(1, _draw_held_out(runs, axis, groups))
    return pictures


def compact(value: float, _position: object = None) -> str:
    """Return a number in few characters.

    >>> [compact(number) for number in (0, 0.0002, 1500, 2_000_000_000)]
    ['0', '0.0002', '1.5k', '2G']
    """
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:  # what three digits would round up to it
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def _draw_quantity(runs: Sequence[Run], axis: str, quantity: Quantity) -> Picture:
    figure, (axes,) = _axes(3.6, 1)
    width = max(len(run.steps) for run in runs) // SMOOTHED_SHARE
    is_smoothed = quantity.is_smoothed and width > 1
    for place, run in enumerate(runs):
        x, y = run.x(axis), run.column(quantity.name) / quantity.scale
        style = _line(place)
        marker = "o" if len(x) == 1 else ""  # a line through one point is not seen
        if is_smoothed:
            axes.plot(x, y, lw=0.6, alpha=0.3, zorder=1, **style)
            y = smoothed(y, width)
        label = _label(run.label)
        axes.plot(x, y, lw=1.5, marker=marker, ms=6, zorder=3, label=label, **style)
        _mark_resumptions(axes, run, axis, place)
    _finish(axes, axis, quantity.label)
    _scale(axes, runs, quantity, width)
    figure.legend(loc="outside upper center", ncols=_columns(runs))
    how = f"; thick: mean of {width} steps" if is_smoothed else ""
    resumed = "; dotted: resumed" if any(run.resumptions(axis) for run in runs) else ""
    name = quantity.label.split(" (")[0]
    caption = f"{name[0].upper()}{name[1:]} by {axis}{how}{resumed}."
    return _picture(f"{quantity.name}.png", figure, caption)


def _scale(axes: Axes, runs: Sequence[Run], quantity: Quantity, width: int) -> None:
    if quantity.is_logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    elif quantity.begins_at_zero:
        axes.set_ylim(bottom=0)
    else:  # the fall of the first steps would leave no room for what tells runs apart
        lows, highs = zip(*(_late_range(run, quantity.name, width) for run in runs), strict=True)
        margin = 0.15 * (max(highs) - min(lows))
        if margin > 0:
            axes.set_ylim(min(lows) - margin, max(highs) + margin)
    axes.yaxis.set_major_formatter(FuncFormatter(compact))


def _late_range(run: Run, name: str, width: int) -> tuple[float, float]:
    """Return the least and the greatest mean after the first twentieth of the steps."""
    means = smoothed(run.column(name), width)[len(run.steps) // 20 :]
    means = means[np.isfinite(means)]
    return (float(means.min()), float(means.max())) if len(means) else (np.inf, -np.inf)


def _draw_held_out(runs: Sequence[Run], axis: str, groups: Sequence[str]) -> Picture:
    figure, rows = _axes(0.8 + 2.1 * len(groups), len(groups))
    for axes, group in zip(rows, groups, strict=True):
        for place, run in enumerate(runs):
            x, y = run.held_out(group, axis)
            label = _label(run.label)
            axes.plot(x, y, lw=1.2, marker="o", ms=5, mec="white", label=label, **_line(place))
            _mark_resumptions(axes, run, axis, place)
        _finish(axes, axis, "loss (nats per token)")
        axes.set_title(_label(group), loc="left", fontsize=10, fontweight="bold")
    for axes in rows[:-1]:
        axes.set_xlabel("")
    handles, labels = rows[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=_columns(runs))
    return _picture("held_out_loss.png", figure, f"Held-out loss of each group by {axis}.")


def _axes(height: float, rows: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    return figure, list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])


def _line(place: int) -> dict[str, Any]:
    dashes = DASHES[place // len(COLORS) % len(DASHES)]
    return {"color": COLORS[place % len(COLORS)], "linestyle": dashes}


def _mark_resumptions(axes: Axes, run: Run, axis: str, place: int) -> None:
    for where in run.resumptions(axis):
        axes.axvline(where, color=_line(place)["color"], lw=1.0, ls=":", alpha=0.8)


def _finish(axes: Axes, axis: str, label: str) -> None:
    axes.set_xlabel("step" if axis == "step" else "tokens trained on")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(compact))


def _label(name: str) -> str:
    # The ends of paths differ more often than their beginnings.
    short = name if len(name) <= LABEL_LENGTH else f"…{name[-LABEL_LENGTH + 1 :]}"
    return f" {short}" if short.startswith("_") else short  # legends hide names that begin with _


def _columns(runs: Sequence[Run]) -> int:
    widest = max(len(_label(run.label)) for run in runs)
    return max(1, min(len(runs), 4, 72 // (widest + 8)))


def _picture(name: str, figure: Figure, caption: str) -> Picture:
    stored = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script the font lacks gets boxes here; the table of the page spells it.
        warnings.filterwarnings("ignore", message=".*Glyph .* missing from font")
        figure.savefig(stored, format="png", metadata={"Software": None})
    return Picture(name=name, png=stored.getvalue(), caption=caption)
