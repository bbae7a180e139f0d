"""A benchmark as it is kept: JSON, Markdown, and a picture beside published runs."""

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

from megatron_recipes.benchmark.results import Result, anchors
from megatron_recipes.whole_files import write_json, write_whole

FORMULAS = (
    "tokens/s/GPU: tokens of a step / median step time / GPUs. Model TFLOP/s: tokens/s/GPU x FLOP "
    "per token, where linear = 6 (L (2 h nh d + 2 h ng d + 3 h f) + V h), causal adds 6 L nh d s, "
    "full adds 12 L nh d s; recomputation is in none of them. MFU: model TFLOP/s / dense peak."
)
COLORS = ("#0072b2", "#999999")
NAME_LENGTH = 70


def write_report(directory: Path, results: list[Result], about: dict[str, Any]) -> str:
    """Write `result.json`, `result.md` and `result.png`; return the Markdown.

    Args:
        directory: Where.
        results: Fastest first.
        about: Machine, versions, date, commit.
    """
    content = {
        **about,
        "formulas": FORMULAS,
        "results": [
            {
                "recipe": result.config.recipe,
                "settings": _layout_text(result),
                "config": dataclasses.asdict(result.config),
                "figures": result.figures(),
                "measured": result.measured,
            }
            for result in results
        ],
        "published": dict(anchors(results[0].config)),
    }
    write_json(directory / "result.json", content)
    text = markdown(results, about)
    write_whole(directory / "result.md", text)
    (directory / "result.png").write_bytes(picture(results))
    return text


def markdown(results: list[Result], about: dict[str, Any]) -> str:
    """Return the results as a page: the fastest whole, the others as a table."""
    best = results[0]
    lines = [
        f"# {best.config.recipe}: {best.tokens_per_second_per_gpu:,.0f} tokens/s/GPU",
        "",
        f"{_layout_text(best)}; {best.measured['device']}, {json.dumps(about)[1:-1]}",
        "",
        "| figure | value |",
        "|---|---|",
        *(
            f"| {name.replace('_', ' ')} | {_number(value)} |"
            for name, value in best.figures().items()
        ),
        "",
        FORMULAS,
        "",
        "Active: " + "; ".join(best.measured["active"]),
    ]
    if len(results) > 1:
        lines += ["", "| settings | tokens/s/GPU | GB |", "|---|---|---|"]
        lines += [
            f"| {_layout_text(result)} | {result.tokens_per_second_per_gpu:,.0f} "
            f"| {result.measured['peak_memory_bytes'] / 1e9:.1f} |"
            for result in results
        ]
    kernels = best.measured.get("kernels")
    if kernels:
        lines += ["", "| kernel | calls a step | ms a step | share |", "|---|---|---|---|"]
        lines += [
            f"| `{kernel['name'][:NAME_LENGTH].replace('|', ' ')}` | {kernel['calls']:.0f} "
            f"| {kernel['milliseconds']:.2f} | {kernel['share']:.1%} |"
            for kernel in kernels
        ]
    known = anchors(best.config)
    if known:
        lines += ["", "| published | tokens/s/GPU |", "|---|---|"]
        lines += [f"| {name} | {tokens:,.0f} |" for name, tokens in known]
    return "\n".join(lines) + "\n"


def picture(results: list[Result]) -> bytes:
    """Return a PNG: tokens/s/GPU of the results, and of published runs of the model."""
    from matplotlib.figure import Figure

    bars = [(_layout_text(each), each.tokens_per_second_per_gpu, COLORS[0]) for each in results]
    bars += [(name, tokens, COLORS[1]) for name, tokens in anchors(results[0].config)]
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    names, values, colors = zip(*reversed(bars), strict=True)
    drawn = axes.barh(range(len(bars)), values, color=colors, height=0.7)
    axes.set_yticks(range(len(bars)), names)
    axes.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=3, fontsize=9)
    axes.margins(x=0.16)
    axes.set_xlabel("tokens per second and GPU (grey: published)")
    axes.set_title(results[0].config.recipe, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _layout_text(result: Result) -> str:
    layout, batch = result.config.layout, result.config.batch
    execution = result.config.execution
    sizes = (
        ("TP", layout.tensor_model_parallel_size),
        ("PP", layout.pipeline_model_parallel_size),
        ("VP", layout.virtual_pipeline_model_parallel_size),
        ("CP", layout.context_parallel_size),
        ("DP", layout.data_parallel_size),
    )
    words = [f"{short}{size}" for short, size in sizes if size > 1] or ["1 process"]
    words += [f"micro batch {batch.micro_batch_size}"]
    if execution.recompute_granularity != "none":
        words.append(
            f"recompute {execution.recompute_modules or execution.recompute_num_layers}"
            f" ({execution.recompute_granularity})"
        )
    return " ".join(words)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
