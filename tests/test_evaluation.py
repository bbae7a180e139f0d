"""The held-out loss: a mean over the same sequences at any layout, whatever their number."""

import json
from pathlib import Path
from typing import Any

import pytest
from blend_files import write_blend
from checkpoint_runs import small_job
from forked_world import run_world
from training_runs import attempt, nothing

from megatron_recipes.job import Job

PP2 = ("pipeline_model_parallel_size=2", "virtual_pipeline_model_parallel_size=2")


def write_held_out(directory: Path) -> Path:
    """Write a blend with one held-out group, of two parts."""
    blend = write_blend(directory)
    content = json.loads(blend.read_bytes())
    prefixes = [prefix for group in content["valid"] for prefix in group["prefixes"]]
    content["valid"] = [{"group": "both", "prefixes": prefixes}]
    blend.write_text(json.dumps(content))
    return blend


def held_out_loss(job: Job) -> tuple[float, int]:
    """Return the loss of the blend's only group on freshly drawn weights, and its tokens."""
    from megatron_recipes.data import build_datasets
    from megatron_recipes.forward import connect_schedule, evaluate
    from megatron_recipes.model import build_model
    from megatron_recipes.optimizer import build_optimizer
    from megatron_recipes.world import join_world

    world = join_world(job.config.layout, job.config.schedule.seed)
    datasets = build_datasets(job.config, job.blend, job.cache)
    chunks = build_model(job.config, world)
    connect_schedule(chunks, build_optimizer(job.config, chunks))
    [dataset] = datasets.valid.values()
    return evaluate(dataset, job.config, chunks, world)


@pytest.mark.parametrize(
    "settings",
    [("micro_batch_size=2",), ("data_parallel_size=2",), PP2],
    ids=["micro batches of 2", "DP2", "PP2 interleaved"],
)
def test_an_odd_number_of_sequences_has_its_loss_at_any_layout(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    blend = write_held_out(tmp_path / "data")
    results = {}
    for name, of_layout in (("base", ()), ("other", settings)):
        odd = ("evaluation_sequences=3", "global_batch_size=4", *of_layout)
        job = small_job(blend, tmp_path / name, *odd)
        results[name] = run_world(held_out_loss, job.config.layout.world_size, job)
    [(loss, tokens)] = results["base"]
    assert tokens == 3 * 64
    for found_loss, found_tokens in results["other"]:
        assert found_tokens == tokens
        assert found_loss == pytest.approx(loss, abs=5e-6)


def ask_to_stop(training: Any) -> None:
    training.stop.signal_name = "SIGTERM"


def entries(directory: Path) -> list[tuple[str, int]]:
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [(entry["kind"], entry["step"]) for entry in map(json.loads, lines)]


def test_a_requested_stop_saves_at_once_and_the_next_start_evaluates(tmp_path: Path) -> None:
    blend, directory = write_held_out(tmp_path / "data"), tmp_path / "run"
    job = small_job(blend, directory, "evaluation_interval=1", "stop_at_step=2")
    [(lines, error, _)] = attempt(1, job, ask_to_stop)
    assert error == ""
    assert lines[-1] == "stopped at step 1 of 100, asked to by SIGTERM; the same command resumes"
    assert entries(directory) == [("evaluation", 0), ("step", 1)]
    attempt(2, job, nothing)
    attempt(3, job, nothing)  # which finds nothing left to do
    assert entries(directory) == [
        ("evaluation", 0),
        ("step", 1),
        ("evaluation", 1),
        ("step", 2),
        ("evaluation", 2),
    ]
