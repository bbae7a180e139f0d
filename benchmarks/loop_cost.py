"""What our training loop costs beside the bare Megatron-Core step: pairs of steps in one process.

    python -m benchmarks.loop_cost

Both train one model with one optimizer on the CPU, in turn, on the same batches: ours as `train`
does (data from the index, learning rate, sums over processes, guards, watchdog, metrics on disk,
garbage collection), the bare one with batches made beforehand and nothing but Megatron-Core's own
calls. Which of the two begins a pair changes from pair to pair. First it is checked that both give
the same loss and gradient norm.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from benchmarks import machine
from megatron_recipes import cpu

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results" / "loop_cost.json"
SETTINGS = ("hidden_size=256", "ffn_hidden_size=704", "num_steps=1000000", "log_interval=10")
DOCUMENTS, DOCUMENT_LENGTH, VOCABULARY = 400, 500, 512
BAR = 0.02


def main(
    pairs: Annotated[int, typer.Option(help="Pairs of steps to measure.")] = 100,
    warm_up: Annotated[int, typer.Option(help="Pairs before them.")] = 5,
) -> None:
    """Measure, print, and write benchmarks/results/loop_cost.json."""
    os.environ |= {"OMP_NUM_THREADS": "1", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    cpu.install()
    with tempfile.TemporaryDirectory(prefix="loop-cost-") as directory:
        found = measure(Path(directory), pairs, warm_up)
    content = machine.describe() | found
    RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    typer.echo(json.dumps(content, indent=2))


def measure(directory: Path, pairs: int, warm_up: int) -> dict[str, Any]:
    """Return the medians over paired steps."""
    import torch

    torch.set_num_threads(1)
    training, watchdog = _training(directory)
    loss, norm = _check_equal(training)
    ours, bare = [], []
    # Collecting garbage, every 100 steps, falls into ours; the bare loop never has to.
    with training.garbage:
        for number in range(-warm_up, pairs):
            batches = _batches(training, training.step + 1)
            steps: list[tuple[list[float], Callable[[], Any]]] = [
                (ours, training.advance),
                (bare, functools.partial(_bare_step, training, batches)),
            ]
            for times, step in steps if number % 2 else reversed(steps):
                seconds = _timed(step)
                if number >= 0:
                    times.append(seconds)
    watchdog.close()
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    return {
        "what": "one step of our loop beside the bare Megatron-Core step, CPU, one process",
        "settings": list(SETTINGS),
        "pairs": pairs,
        "bare_cpu_seconds": statistics.median(bare),
        "our_cpu_seconds": statistics.median(ours),
        "median_of_paired_ratios": statistics.median(ratios),
        "ratio_of_sums": sum(ours) / sum(bare),
        "quartiles_of_paired_ratios": statistics.quantiles(ratios, n=4)[::2],
        "equal_loss": loss,
        "equal_grad_norm": norm,
        "bar": 1 + BAR,
    }


def _timed(step: Callable[[], Any]) -> float:
    # CPU time: others on this machine do not count, and nothing here waits for anything but it.
    started = time.process_time()
    step()
    return time.process_time() - started


def _training(directory: Path) -> tuple[Any, Any]:
    from megatron_recipes.guards.hang import Watchdog
    from megatron_recipes.guards.stragglers import Stragglers
    from megatron_recipes.job import make_job
    from megatron_recipes.stop import StopRequest
    from megatron_recipes.train import Training
    from megatron_recipes.world import join_world

    job = make_job(
        "tiny",
        blend=_write_blend(directory),
        checkpoint_dir=directory / "run",
        start_from=None,
        settings=[*SETTINGS, "checkpoint_interval=1000000", "max_epochs=1e9"],
    )
    job.run.prepare(job.identity())
    world = join_world(job.config.layout, job.config.schedule.seed)
    watchdog = Watchdog(directory, 0, ["here"], 600.0, lambda line, _: typer.echo(line))
    tell = (directory / "lines").open("a")
    training = Training(
        job,
        world,
        StopRequest(),
        1,
        lambda line: print(line, file=tell, flush=True),
        watchdog,
        Stragglers(["here"]),
    )
    return training, watchdog


def _batches(training: Any, step: int) -> list[Any]:
    from megatron_recipes.data import training_batches

    consumed = (step - 1) * training.config.batch.global_batch_size
    return list(
        training_batches(training.datasets.train, training.config, training.world, consumed)
    )


def _bare_step(training: Any, batches: list[Any]) -> tuple[float, float]:
    from megatron.core.pipeline_parallel import get_forward_backward_func

    config = training.config
    for chunk in training.chunks:
        chunk.zero_grad_buffer()
    training.optimizer.zero_grad()
    reports = get_forward_backward_func()(
        forward_step_func=_bare_forward,
        data_iterator=iter(batches),
        model=training.chunks,
        num_microbatches=len(batches),
        seq_length=config.batch.sequence_length,
        micro_batch_size=config.batch.micro_batch_size,
        forward_only=False,
    )
    _, grad_norm, _ = training.optimizer.step()
    return reports, grad_norm


def _bare_forward(batches: Any, model: Any) -> tuple[Any, Callable[..., Any]]:
    batch = next(batches)
    losses = model(batch["tokens"], batch["position_ids"], None, labels=batch["labels"])

    def summed(output: Any) -> tuple[Any, Any, dict[str, Any]]:
        mask = batch["loss_mask"].float()
        total = (output * mask).sum()
        return total, mask.sum().int(), {"loss": total.detach()}

    return losses, summed


def _check_equal(training: Any) -> tuple[float, float]:
    """Refuse to time two steps that do not compute the same: at rate 0 both leave the weights."""
    for group in training.optimizer.param_groups:
        group["lr"] = group["weight_decay"] = 0.0
    batches = _batches(training, 1)
    reports, bare_norm = _bare_step(training, batches)
    tokens = training.config.batch.tokens_per_step
    bare_loss = sum(float(report["loss"]) for report in reports) / tokens
    training.advance()
    line = training.job.run.metrics.read_text().splitlines()[-1]
    entry = json.loads(line)
    if not np.allclose([bare_loss, bare_norm], [entry["loss"], entry["grad_norm"]], rtol=1e-6):
        raise ValueError(f"the bare step gives {bare_loss} and {bare_norm}, ours {line}")
    return entry["loss"], entry["grad_norm"]


def _write_blend(directory: Path) -> Path:
    """Write a dataset of counting documents and the blend file of it."""
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    generator = np.random.default_rng(0)
    builder = IndexedDatasetBuilder(str(directory / "part.bin"), dtype=np.uint16)
    for _ in range(DOCUMENTS):
        first, stride = generator.integers(1, VOCABULARY), generator.integers(1, 4)
        document = 1 + (first + stride * np.arange(DOCUMENT_LENGTH)) % (VOCABULARY - 1)
        builder.add_document(document, [DOCUMENT_LENGTH])
    builder.finalize(str(directory / "part.idx"))
    sidecar = {
        "tokenizer": {"sha256": "0" * 64},
        "vocab_size": VOCABULARY,
        "eod_id": 0,
        "dtype": "uint16",
        "tokens": DOCUMENTS * DOCUMENT_LENGTH,
        "bin_xxh3": "0",
        "idx_xxh3": "0",
    }
    (directory / "part.json").write_text(json.dumps(sidecar))
    blend = directory / "blend.json"
    train = [{"group": "counting", "weight": 1.0, "prefixes": ["part"]}]
    blend.write_text(json.dumps({"train": train, "valid": [], "test": []}))
    return blend


if __name__ == "__main__":
    typer.run(main)
