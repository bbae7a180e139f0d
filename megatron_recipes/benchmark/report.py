"""A benchmark as it is kept: JSON, Markdown, and a picture beside published runs."""

import dataclasses
import io
from pathlib import Path
from typing import Any

from megatron_recipes.benchmark.anchors import Anchor, anchors
from megatron_recipes.benchmark.results import FORMULAS, Result
from megatron_recipes.config import TrainingConfig
from megatron_recipes.whole_files import write_json, write_whole

NUM_BEST = 3
"""Settings of a sweep that are shown; the JSON file has all."""
MEASURED, COMPARABLE, DIFFERENT = "#0072b2", "#777777", "#d5d5d5"
NAME_LENGTH = 70
LABELS = {
    "tokens_per_second_per_gpu_with_padding": "tokens/s/GPU with padding",
    "tokens_per_second_per_gpu": "tokens/s/GPU",
    "padding_share": "padding",
    "attended_tokens": "tokens that attention is bounded to",
    "model_tflops_per_gpu_causal": "model TFLOP/s/GPU, causal attention",
    "model_tflops_per_gpu_full": "model TFLOP/s/GPU, full attention",
    "recomputed_tflops_per_gpu": "recomputed TFLOP/s/GPU",
    "median_step_seconds": "median step, s",
    "fastest_step_seconds": "fastest step, s",
    "slowest_step_seconds": "slowest step, s",
    "peak_memory_gb": "peak memory of a GPU, GB",
    "joules_per_token": "energy of a token, J",
    "first_loss": "first loss",
    "last_loss": "last loss",
    "gpus": "GPUs",
}
CPU_LABELS = {name: label.replace("GPU", "process") for name, label in LABELS.items()} | {
    "gpus": "processes"
}


def write_report(
    directory: Path,
    results: list[Result],
    failures: dict[str, str],
    about: dict[str, Any],
    *,
    note: str = "",
) -> str:
    """Write `result.json`, `result.md` and `result.png`; return the Markdown.

    Args:
        directory: Where.
        results: Fastest first.
        failures: Settings that could not be measured, and why.
        about: Machine, versions, date, commit.
        note: Of a sweep, what it left out.
    """
    best = results[0]
    content = {
        **about,
        "formulas": FORMULAS,
        "results": [
            {
                "recipe": result.config.recipe,
                "settings": layout_text(result.config),
                "config": dataclasses.asdict(result.config),
                "figures": result.figures(),
                "measured": result.measured,
            }
            for result in results
        ],
        "sweep": note,
        "failed": failures,
        "published": [anchor.described() for anchor in _anchors(best)],
    }
    write_json(directory / "result.json", content)
    text = markdown(results, failures, about, note=note)
    write_whole(directory / "result.md", text)
    (directory / "result.png").write_bytes(picture(results))
    return text


def markdown(
    results: list[Result], failures: dict[str, str], about: dict[str, Any], *, note: str = ""
) -> str:
    """Return the results as a page: the fastest whole, the others as a table."""
    best = results[0]
    about_text = ", ".join(f"{name} {value}" for name, value in about.items())
    rows = [
        f"| {_label(name, best)} | {_value(name, value)} |"
        for name, value in best.figures().items()
    ]
    formulas = [f"- `{name}`: {text}." for name, text in FORMULAS.items()]
    lines = [
        f"# {best.config.recipe}: {best.tokens_per_second_per_gpu:,.0f} tokens/s/{each(best)}",
        "",
        f"{layout_text(best.config)}; {best.measured['device']}; {about_text}",
        "",
        "| figure | value |",
        "|---|---|",
        *rows,
        *(["", f"{note[0].upper()}{note[1:]}."] if note else []),
        *_sweep_lines(results, failures),
        *_anchor_lines(best),
        *_kernel_lines(best),
        "",
        "Active: " + "; ".join(best.measured["active"]),
        "",
        *formulas,
    ]
    return "\n".join(lines) + "\n"


def _sweep_lines(results: list[Result], failures: dict[str, str]) -> list[str]:
    lines = []
    if len(results) > 1:
        shown = results[:NUM_BEST]
        lines += ["", f"The best {len(shown)} of {len(results)} settings that were measured:", ""]
        lines += [f"| settings | tokens/s/{each(shown[0])} | peak GB |", "|---|---|---|"]
        lines += [
            f"| {layout_text(result.config)} | {result.tokens_per_second_per_gpu:,.0f} "
            f"| {result.measured['peak_memory_bytes'] / 1e9:.1f} |"
            for result in shown
        ]
    if failures:
        lines += ["", "| could not be measured | because |", "|---|---|"]
        lines += [f"| {name} | {reason.replace('|', ' ')} |" for name, reason in failures.items()]
    return lines


def _anchor_lines(best: Result) -> list[str]:
    known = _anchors(best)
    if not known:
        return []
    lines = [
        "",
        "| published | source | GPU | sequence | precision | tokens/s/GPU | compares |",
        "|---|---|---|---|---|---|---|",
    ]
    for anchor in known:
        differs = f"**no**: other {', '.join(anchor.differs_in)}" if anchor.differs_in else "yes"
        lines.append(
            f"| {anchor.name} | {anchor.source} | {anchor.gpus} {anchor.gpu} "
            f"| {anchor.sequence_length:,} | {anchor.precision} "
            f"| {anchor.tokens_per_second_per_gpu:,.0f} | {differs} |"
        )
    return lines


def _kernel_lines(best: Result) -> list[str]:
    kernels = best.measured.get("kernels")
    if not kernels:
        return []
    of = "operator of the CPU" if best.measured["device"] == "cpu" else "kernel"
    lines = ["", f"| {of} | calls a step | ms a step | share |", "|---|---|---|---|"]
    lines += [
        f"| `{kernel['name'][:NAME_LENGTH].replace('|', ' ')}` | {kernel['calls']:.0f} "
        f"| {kernel['milliseconds']:.2f} | {kernel['share']:.1%} |"
        for kernel in kernels
    ]
    shares = sum(kernel["share"] for kernel in kernels)
    return [*lines, f"| all others | | | {max(0.0, 1 - shares):.1%} |"]


def picture(results: list[Result]) -> bytes:
    """Return a PNG: tokens/s/GPU of the best results, and of published runs of the model."""
    from matplotlib.figure import Figure

    best, known = results[0], _anchors(results[0])
    bars = [
        (layout_text(result.config), result.tokens_per_second_per_gpu, MEASURED)
        for result in results[:NUM_BEST]
    ]
    for anchor in known:
        differs = f"\nother {', '.join(anchor.differs_in)}" if anchor.differs_in else ""
        color = DIFFERENT if anchor.differs_in else COMPARABLE
        bars.append(
            (
                f"{anchor.name}, {anchor.sequence_length:,} tokens ({anchor.source}){differs}",
                anchor.tokens_per_second_per_gpu,
                color,
            )
        )
    num_lines = sum(1 + name.count("\n") for name, _, _ in bars)
    figure = Figure(figsize=(9.5, 1.2 + 0.24 * num_lines + 0.08 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    names, values, colors = zip(*reversed(bars), strict=True)
    drawn = axes.barh(range(len(bars)), values, color=colors, height=0.7)
    axes.set_yticks(range(len(bars)), names, fontsize=8)
    axes.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=3, fontsize=9)
    axes.margins(x=0.16)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    grey = " (grey: published; light grey: of another kind)" if known else ""
    axes.set_xlabel(f"tokens per second and {each(best)}{grey}")
    axes.set_title(f"{best.config.recipe} on {best.measured['device']}", loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def layout_text(config: TrainingConfig) -> str:
    """Return what a sweep varies: the layout's sizes above 1, micro batch, recomputation."""
    layout, execution = config.layout, config.execution
    sizes = (
        ("TP", layout.tensor_model_parallel_size),
        ("PP", layout.pipeline_model_parallel_size),
        ("VP", layout.virtual_pipeline_model_parallel_size),
        ("CP", layout.context_parallel_size),
        ("DP", layout.data_parallel_size),
    )
    words = [" ".join(f"{short}{size}" for short, size in sizes if size > 1) or "1 process"]
    words.append(f"micro batch {config.batch.micro_batch_size}")
    if execution.recompute_granularity == "full":
        method, count = execution.recompute_method, execution.recompute_num_layers
        whole = "every layer" if method == "uniform" else f"{count} layers a stage or chunk"
        words.append(f"recomputes {whole}")
    elif execution.recompute_granularity == "selective":
        words.append(f"recomputes {execution.recompute_modules}")
    return ", ".join(words)


def each(result: Result) -> str:
    """Return what a figure is given for: a GPU, or a process of a CPU."""
    return "GPU" if result.config.needs_gpu else "process"


def _anchors(best: Result) -> list[Anchor]:
    return anchors(best.config, best.measured["device"])


def _label(name: str, result: Result) -> str:
    if name in LABELS:
        label = LABELS[name]
        return label if result.config.needs_gpu else CPU_LABELS.get(name, label)
    _, formula, _, peak, precision = name.split("_")  # mfu_causal_of_989_bf16
    return f"MFU, {formula} attention, of {int(peak):,} TFLOP/s ({precision.upper()})"


def _value(name: str, value: float) -> str:
    if name.startswith("mfu") or name.endswith("share"):
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
