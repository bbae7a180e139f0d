"""What `megatron-recipes benchmark` does: a config, or a sweep of them, measured one by one."""

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from megatron_recipes.benchmark.report import write_report
from megatron_recipes.benchmark.results import Result
from megatron_recipes.benchmark.sweep import sweep_configs
from megatron_recipes.blend import Blend
from megatron_recipes.claim import claimed
from megatron_recipes.config import TrainingConfig
from megatron_recipes.launch import run_processes
from megatron_recipes.rank import prepare_megatron, take_place
from megatron_recipes.run_directory import RunDirectory
from megatron_recipes.settings import with_fields

NUM_BEST = 3
VERSIONS = ("torch", "megatron-core", "transformer-engine")
CHOSEN = "MEGATRON_RECIPES_BENCHMARK"
"""The number of the config of a sweep that a started process measures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkOptions:
    """What is asked of a benchmark."""

    output: Path
    """A directory; it is made."""

    num_steps: int
    """Measured steps."""

    warm_up_steps: int
    """Steps before them."""

    profile: bool
    """Whether the ten most expensive kernels are wanted."""

    sweep: tuple[str, ...]
    """Kinds of settings to try; empty: the config alone."""


def benchmark_configs(
    config: TrainingConfig, options: BenchmarkOptions, tell: Callable[[str], None]
) -> list[TrainingConfig]:
    """Return what is measured, checked.

    Raises:
        ValueError: The vocabulary is open, a number is not positive, or nothing fits.
    """
    if not config.model.vocab_size:
        raise ValueError("benchmark needs the vocabulary: give --blend, or --set vocab_size=N")
    if options.num_steps < 1 or options.warm_up_steps < 1:
        raise ValueError(
            f"--steps ({options.num_steps}) and --warm-up ({options.warm_up_steps}) must be "
            "at least 1"
        )
    steps = options.num_steps + options.warm_up_steps + 2
    # Long enough for the steps, and nothing else happens: no warm-up of the rate, no evaluation.
    config = with_fields(
        config,
        num_steps=max(config.schedule.num_steps, steps),
        stop_at_step=-1,
    )
    if not options.sweep:
        return [config]
    found, too_large, left_out = sweep_configs(config, options.sweep)
    rest = f", the {left_out} after them are left out" if left_out else ""
    tell(f"sweep: {len(found)} settings are run, {too_large} do not fit the memory{rest}")
    return found


def run_benchmark(
    configs: Sequence[TrainingConfig],
    options: BenchmarkOptions,
    arguments: list[str],
    tell: Callable[[str], None],
) -> str:
    """Measure each config in processes of its own; return the report.

    Raises:
        ChildProcessError: The only config failed; a failure inside a sweep is told and left out.
        OSError: The directory cannot be written.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    results = []
    with claimed(options.output, tell) as claim:
        for number, config in enumerate(configs):
            directory = _directory(options, number)
            directory.mkdir(parents=True, exist_ok=True)
            os.environ[CHOSEN] = str(number)
            run = RunDirectory(path=directory)
            try:
                run_processes(run, config.layout.world_size, arguments, claim)
            except ChildProcessError as error:
                if len(configs) == 1:
                    raise
                tell(f"sweep: setting {number} failed and is left out: {error}")
                continue
            measured = json.loads((directory / "measured.json").read_bytes())
            results.append(Result(config=config, measured=measured))
            tell(
                f"measured {number + 1} of {len(configs)}: "
                f"{results[-1].tokens_per_second_per_gpu:,.0f} tokens/s/GPU"
            )
    if not results:
        raise ChildProcessError(f"none of the {len(configs)} settings ran; logs: {options.output}")
    results.sort(key=lambda result: -result.tokens_per_second_per_gpu)
    text = write_report(options.output, results[: NUM_BEST if options.sweep else 1], about())
    return f"{text}\n{options.output / 'result.json'}"


def measure_as_rank(
    configs: Sequence[TrainingConfig],
    options: BenchmarkOptions,
    blend: Blend | None,
    rank: int,
    world_size: int,
) -> None:
    """Measure as one of the processes that `run_benchmark`, `srun` or `torchrun` started.

    Under the latter two nobody else can write the report: rank 0 does.

    Raises:
        ValueError: There are as many processes as another layout needs; or a sweep is asked of
            processes that are started already.
    """
    is_ours = CHOSEN in os.environ
    if options.sweep and not is_ours:
        raise ValueError(
            "--sweep starts processes of its own for each setting and cannot run under srun or "
            "torchrun; sweep on one machine, or submit a job for each setting"
        )
    number = int(os.environ.get(CHOSEN, "0"))
    config = configs[number]
    config.layout.check_world_size(world_size)
    directory = _directory(options, number)
    directory.mkdir(parents=True, exist_ok=True)
    tell = take_place(RunDirectory(path=directory), config, rank)
    prepare_megatron()
    from megatron_recipes.benchmark.measure import Measurement, measure

    measure(
        Measurement(
            config=config,
            blend=blend,
            warm_up_steps=options.warm_up_steps,
            num_steps=options.num_steps,
            profile=options.profile,
            directory=directory,
        ),
        tell,
    )
    if rank == 0 and not is_ours:
        measured = json.loads((directory / "measured.json").read_bytes())
        tell(write_report(options.output, [Result(config=config, measured=measured)], about()))


def _directory(options: BenchmarkOptions, number: int) -> Path:
    return options.output.resolve() / f"setting-{number:02d}"


def about() -> dict[str, Any]:
    """Return date, machine, versions and commit."""
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    for package in VERSIONS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found | {"commit": _commit()}


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # a machine without git
        return "unknown"
    return git.stdout.strip() or "unknown"
