"""Accepted layouts take a step on a CPU, and it is the step that one process takes.

    python -m benchmarks.layouts [--count 100] [--seed 7] [--output benchmarks/results/layouts.json]

The configs are drawn by seed from those `show` accepts, taking turns over which kinds of
parallelism they use; each is run through its CPU twin, which changes a printed list of fields only
a GPU fulfils. Fresh weights do not depend on the layout, so the loss and the gradient norm of the
first step must be those of the same config on one process. Ends with 1 if any is not.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # whose worlds and draws these are

from forked_world import WorldError, run_world  # noqa: E402
from random_configs import accepted_layouts  # noqa: E402
from training_world import train_steps  # noqa: E402

from megatron_recipes.config import LayoutConfig, TrainingConfig  # noqa: E402
from megatron_recipes.config.cpu_twin import cpu_twin  # noqa: E402

TOLERANCES = {"float32": (5e-6, 1e-4), "bfloat16": (2e-2, 1e-1)}
"""Of the loss; of the gradient norm, relative."""

NAMES = {
    "tensor_model_parallel_size": "TP",
    "pipeline_model_parallel_size": "PP",
    "virtual_pipeline_model_parallel_size": "VPP",
    "context_parallel_size": "CP",
    "data_parallel_size": "DP",
}


def layout_name(config: TrainingConfig) -> str:
    """Return a layout as it is said: `TP2 SP PP2`."""
    layout = config.layout
    sizes = [(short, getattr(layout, name)) for name, short in NAMES.items()]
    words = [f"{short}{size}" for short, size in sizes if size > 1]
    if layout.sequence_parallel:
        words.append("SP")
    first, last = (
        layout.num_layers_in_first_pipeline_stage,
        layout.num_layers_in_last_pipeline_stage,
    )
    if first or last:
        words.append(f"uneven {first or '-'}/{last or '-'}")
    return " ".join(words) or "1 process"


def one_step(config: TrainingConfig) -> dict[str, Any]:
    """Return what became of a config's first step: `reason` is "" if it is as it must be."""
    twin, replaced = cpu_twin(config)
    started = time.monotonic()
    entry: dict[str, Any] = {
        "layout": layout_name(twin),
        "processes": twin.layout.world_size,
        "params_dtype": twin.precision.params_dtype,
        "recompute": twin.execution.recompute_granularity,
        "document_bounded": twin.batch.document_bounded_attention,
        "replaced": list(replaced),
        "config": dataclasses.asdict(twin),
    }
    try:
        alone = run_world(train_steps, 1, on_one_process(twin), 1)[0]
        found = run_world(train_steps, twin.layout.world_size, twin, 1)[0]
        entry |= {"loss": found["losses"][0], "loss_alone": alone["losses"][0]}
        entry["reason"] = difference(twin, alone, found)
    except (WorldError, ValueError) as error:
        entry["reason"] = str(error)
    return entry | {"seconds": round(time.monotonic() - started, 1)}


def on_one_process(config: TrainingConfig) -> TrainingConfig:
    """Return the same training without any parallelism."""
    return dataclasses.replace(config, layout=LayoutConfig())


def difference(config: TrainingConfig, alone: dict[str, Any], found: dict[str, Any]) -> str:
    """Return in what a step differs from that of one process, or ""."""
    of_loss, of_norm = TOLERANCES[config.precision.params_dtype]
    (loss, expected), (norm, expected_norm) = (
        (found[name][0], alone[name][0]) for name in ("losses", "grad_norms")
    )
    if not abs(loss - expected) <= of_loss:
        return f"the loss is {loss}, on one process {expected}"
    if not abs(norm - expected_norm) <= of_norm * expected_norm:
        return f"the gradient norm is {norm}, on one process {expected_norm}"
    return ""


def row(number: int, entry: dict[str, Any]) -> str:
    """Return a line of the table."""
    kind = f"{entry['params_dtype']}{', documents' if entry['document_bounded'] else ''}"
    apart = abs(entry.get("loss", 0.0) - entry.get("loss_alone", 0.0))
    result = "as on one" if not entry["reason"] else entry["reason"].splitlines()[0]
    return (
        f"{number:3}  {entry['layout']:32} {entry['processes']}  {kind:21} "
        f"{entry['recompute']:9} {apart:.1e}  {entry['seconds']:5.1f} s  {result}"
    )


def main() -> int:
    """Run the layouts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/layouts.json")
    options = parser.parse_args()
    entries = []
    for number, config in enumerate(accepted_layouts(options.seed, options.count), start=1):
        entries.append(one_step(config))
        print(row(number, entries[-1]), flush=True)
    failed = [entry for entry in entries if entry["reason"]]
    replaced = sorted({line for entry in entries for line in entry["replaced"]})
    print("replaced for a CPU:", *replaced, sep="\n  ")
    print(f"{len(entries) - len(failed)} of {len(entries)} layouts took the step of one process")
    result = {
        "seed": options.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "replaced": replaced,
        "layouts": entries,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
