"""The page: one file of HTML that loads nothing and runs nothing."""

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megatron_recipes.plot.figures import Picture
from megatron_recipes.plot.runs import Run

LAST_STEPS = 10
"""The last loss is a mean over these."""

STYLE = Path(__file__).with_name("page.css")


def page(runs: Sequence[Run], pictures: Sequence[Picture]) -> str:
    """Return the page of some runs and their pictures."""
    title = f"{len(runs)} training{'s' if len(runs) > 1 else ''} compared"
    style = STYLE.read_text(encoding="utf-8")
    notes = [note for run in runs for note in run.notes]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{style}</style></head><body>",
            f"<h1>{title}</h1>",
            _table(runs),
            *(f'<p class="note">{escape(note)}</p>' for note in notes),
            '<div class="figures">',
            *map(_figure, pictures),
            "</div></body></html>\n",
        ]
    )


def _figure(picture: Picture) -> str:
    data, caption = base64.b64encode(picture.png).decode("ascii"), escape(picture.caption)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(runs: Sequence[Run]) -> str:
    groups = list(dict.fromkeys(group for run in runs for group in run.groups))
    headings = [
        "run", "steps", "tokens", f"loss, last {LAST_STEPS} steps",
        *(f"held out: {group}" for group in groups),
        "tokens/s/GPU", "TFLOP/s/GPU", "MFU", "peak memory, GB", "resumed",
    ]  # fmt: skip
    lines = [_row([escape(text) for text in headings], "th")]
    lines += [_row(_cells(run, groups), "td") for run in runs]
    note = (
        "Speeds are medians of steps. TFLOP/s count the model's own operations, attention causal; "
        f"MFU of {', '.join(dict.fromkeys(_denominator(run) for run in runs))}."
    )
    table = f'<div class="table"><table>{"".join(lines)}</table></div>'
    return f'{table}<p class="note">{escape(note)}</p>'


def _row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"


def _cells(run: Run, groups: Sequence[str]) -> list[str]:
    last = run.steps[-1]
    tokens = last.get("consumed_tokens")
    held_out = [run.held_out(group, "step")[1] for group in groups]
    return [
        f'<span title="{escape(str(run.path))}">{escape(run.label)}</span>',
        f"{last['step']:,}",
        f"{tokens:,}" if isinstance(tokens, int) else "-",
        _shown(_over(np.mean, run.column("loss")[-LAST_STEPS:]), ".4f"),
        *(_shown(losses[-1] if len(losses) else math.nan, ".4f") for losses in held_out),
        _shown(_over(np.median, run.column("tokens_per_second_per_gpu")), ",.0f"),
        _shown(_over(np.median, run.column("model_tflops_per_gpu")), ".4g"),
        _shown(_over(np.median, run.column("mfu")), ".1%"),
        _shown(_over(np.max, run.column("memory_bytes")) / 1e9, ".3g"),
        str(len(run.resumptions("step"))),
    ]


def _over(function: Callable[..., np.floating[Any]], values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(function(known)) if len(known) else math.nan


def _shown(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _denominator(run: Run) -> str:
    return str(run.steps[-1].get("mfu_denominator", "none"))
