"""Part 4: FP8 against BF16 over 200 steps on real text, from the same weights and batches."""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.cases import FP8, TINY, arguments_of, one_gpu
from benchmarks.gpu.text import text_of
from benchmarks.gpu.training import train

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options
    from benchmarks.gpu.report import Report

STEPS, TINY_STEPS = 200, 4
AVERAGED = 20
"""Last steps whose losses are averaged: one step's loss is as noisy as its batch."""

LIMIT = 0.005
"""The greatest relative difference of the averages."""

EIGHT_LAYERS: dict[str, Any] = {
    "num_layers": 8,
    "hidden_size": 1024,
    "ffn_hidden_size": 3584,
    "num_attention_heads": 16,
    "num_query_groups": 4,
    "kv_channels": 64,
    "vocab_size": 0,  # the text's
    "sequence_length": 1024,
    "micro_batch_size": 8,
    "global_batch_size": 16,
    "learning_rate": 3e-4,
    "min_learning_rate": 3e-5,
    "lr_warmup_steps": 20,
    "max_epochs": 8.0,
    "evaluation_sequences": 16,
    "keep_every": 0,
    "loss_spike_factor": 0.0,
}


def curves(report: Report, options: Options) -> None:
    """Train both, then compare."""
    steps = TINY_STEPS if options.tiny else STEPS
    fields = EIGHT_LAYERS | {"num_steps": steps, "checkpoint_interval": steps}
    if options.tiny:
        # So few steps have to show that the loss falls, whatever the text.
        fields |= {**TINY, "vocab_size": 0, "lr_warmup_steps": 1, "learning_rate": 5e-3}
    text = report.run("text", lambda: text_of(options).figures(), again=True)
    # Without text both trainings say why they have none.
    inputs = text.get("digest", "")
    found = {}
    for number, (name, changes) in enumerate((("BF16", {}), ("FP8", FP8))):
        found[name] = report.run(
            name, partial(_train, name, fields | changes, options, 2 - number), inputs=inputs
        )
    both = json.dumps([found["BF16"].get("losses"), found["FP8"].get("losses")])
    # Another pair of curves is another comparison.
    pair = hashlib.sha256(both.encode()).hexdigest()[:16]
    report.run("comparison", lambda: compared(found["BF16"], found["FP8"], options), inputs=pair)


def _train(name: str, fields: dict[str, Any], options: Options, count: int) -> dict[str, Any]:
    options = options.first_of(count)
    directory = options.work / "curves" / name
    shutil.rmtree(directory, ignore_errors=True)
    config = one_gpu(options, **fields)
    entries = train(config, directory, options)
    shutil.rmtree(directory, ignore_errors=True)  # its checkpoint is not asked for
    losses = [entry["loss"] for entry in entries]
    return {
        "fp8": config.precision.fp8,
        "settings": arguments_of(config),
        "losses": losses,
        "grad_norms": [entry["grad_norm"] for entry in entries],
        "ok": len(losses) == config.schedule.num_steps and losses[-1] < losses[0],
    }


def compared(bf16: dict[str, Any], fp8: dict[str, Any], options: Options) -> dict[str, Any]:
    """Return by how much the averages of the last losses differ, and whether that is allowed.

    Raises:
        LookupError: One of the trainings has no losses, or fewer.
    """
    lengths = [len(each.get("losses", [])) for each in (bf16, fp8)]
    if not all(lengths) or len(set(lengths)) > 1:
        raise LookupError(f"expected two whole trainings, found {lengths} steps of BF16 and FP8")
    last = [statistics.fmean(each["losses"][-AVERAGED:]) for each in (bf16, fp8)]
    difference = last[1] / last[0] - 1
    gaps = [abs(a - b) for a, b in zip(bf16["losses"], fp8["losses"], strict=True)]
    # Without a GPU both are the BF16 twin: it shows that nothing but the precision differs.
    limit = LIMIT if options.on_gpu else 0.0
    holds = bf16["ok"] and fp8["ok"] and abs(difference) <= limit
    what = "FP8 against BF16" if options.on_gpu else "BF16 against itself, no FP8 on a CPU"
    return {
        "verdict": f"{'pass' if holds else 'fail'}: {what}, mean loss of the last "
        f"{min(AVERAGED, lengths[0])} of {lengths[0]} steps {difference:+.3%}, "
        f"allowed {limit:.1%}",
        "bf16_loss": last[0],
        "fp8_loss": last[1],
        "relative_difference": difference,
        "limit": limit,
        "largest_gap_of_a_step": max(gaps),
        "ok": holds,
    }
