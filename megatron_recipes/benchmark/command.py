"""What `megatron-recipes benchmark` does: a config, or a sweep of them, measured one by one."""

import json
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from megatron_recipes.benchmark.about import about
from megatron_recipes.benchmark.report import each, layout_text, write_report
from megatron_recipes.benchmark.results import Result
from megatron_recipes.benchmark.sweep import sweep_configs
from megatron_recipes.blend import Blend
from megatron_recipes.claim import claimed
from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.gpus import GPUS
from megatron_recipes.job import machine
from megatron_recipes.launch import run_processes
from megatron_recipes.rank import prepare_megatron, take_place
from megatron_recipes.run_directory import RunDirectory
from megatron_recipes.settings import with_fields
from megatron_recipes.stop import STOP_SIGNALS

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


def at_any_epoch(settings: list[str]) -> list[str]:
    """Return settings under which a few steps are measured on however little data there is.

    How often the whole training would read it does not matter here, unless `max_epochs` is set.
    """
    names = {setting.partition("=")[0].strip() for setting in settings}
    return settings if "max_epochs" in names else [*settings, "max_epochs=1e9"]


def benchmark_configs(
    config: TrainingConfig, options: BenchmarkOptions
) -> tuple[list[TrainingConfig], str]:
    """Return what is measured, checked, and of a sweep a line on what is not.

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
        return [config], ""
    found, too_large, left_out = sweep_configs(config, options.sweep)
    by = "by the estimate" if config.needs_gpu else "in the order of the list"
    rest = f"; {left_out} more, behind these {by}, are not measured" if left_out else ""
    return found, f"sweep: {len(found)} settings are run, {too_large} do not fit the memory{rest}"


def check_gpus(config: TrainingConfig, *, starts_processes: bool) -> None:
    """Refuse what is made for GPUs where there are none, or too few.

    Args:
        config: What is measured.
        starts_processes: Whether all its processes are to run on this machine.

    Raises:
        ValueError: The message says how many of which GPU it takes.
    """
    if not config.needs_gpu:
        return
    import torch  # slow: only when it matters

    there, needed = torch.cuda.device_count(), config.layout.world_size
    if not there or (starts_processes and there < needed):
        kind = GPUS[config.execution.gpu].name
        raise ValueError(
            f"{config.recipe} needs {needed} GPU{'s' * (needed > 1)} ({kind}), here "
            f"{'are' if there != 1 else 'is'} {there or 'none'}; run it there (on several machines "
            "under srun), change the layout by --set, or measure `tiny` with --set vocab_size=512"
        )
    config.check_machine(**machine())


def run_benchmark(
    configs: Sequence[TrainingConfig],
    options: BenchmarkOptions,
    arguments: list[str],
    tell: Callable[[str], None],
    *,
    note: str = "",
) -> str:
    """Measure each config in processes of its own; return the report, with the note.

    Of an interrupted sweep there is a report on what was measured until then.

    Raises:
        ChildProcessError: The only config failed, or all of a sweep; or a process was asked to
            end. What fails inside a sweep is told and left out.
        KeyboardInterrupt: The user asked to end; no process is left.
        OSError: The directory cannot be written.
    """
    if note:
        tell(note)
    options.output.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    failures: dict[str, str] = {}
    try:
        with claimed(options.output, tell) as claim:
            for number, config in enumerate(configs):
                try:
                    results.append(_measured(config, options, number, arguments, claim))
                except ChildProcessError as error:
                    if len(configs) == 1 or _was_asked_to_end(error):
                        raise
                    failures[layout_text(config)] = str(error)
                    tell(f"sweep: {layout_text(config)} failed and is left out: {error}")
                    continue
                tell(f"measured {number + 1} of {len(configs)}: {_result_line(results[-1])}")
    except (KeyboardInterrupt, ChildProcessError):
        if results:
            _write(options, results, failures, note)
            report = options.output / "result.md"
            tell(f"{len(results)} of {len(configs)} settings are measured: {report}")
        raise
    if not results:
        reason = next(iter(failures.values()))
        raise ChildProcessError(f"none of the {len(configs)} settings ran; the first: {reason}")
    return f"{_write(options, results, failures, note)}\n{options.output / 'result.json'}"


def _measured(
    config: TrainingConfig,
    options: BenchmarkOptions,
    number: int,
    arguments: list[str],
    claim: int,
) -> Result:
    directory = _directory(options, number)
    directory.mkdir(parents=True, exist_ok=True)
    os.environ[CHOSEN] = str(number)
    try:
        run = RunDirectory(path=directory)
        run_processes(run, config.layout.world_size, arguments, claim)
    finally:
        del os.environ[CHOSEN]
    measured = json.loads((directory / "measured.json").read_bytes())
    return Result(config=config, measured=measured)


def _was_asked_to_end(error: ChildProcessError) -> bool:
    """Whether a process ended by a signal that this one was sent and has passed on."""
    return any(f" was ended by {number.name};" in str(error) for number in STOP_SIGNALS)


def _result_line(result: Result) -> str:
    speed = f"{result.tokens_per_second_per_gpu:,.0f} tokens/s/{each(result)}"
    return f"{speed} ({layout_text(result.config)})"


def _write(
    options: BenchmarkOptions, results: list[Result], failures: dict[str, str], note: str
) -> str:
    results.sort(key=lambda result: -result.tokens_per_second_per_gpu)
    return write_report(options.output, results, failures, about(), note=note)


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
    # Started with these blocked; nothing of a measurement is worth saving.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
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
        tell(_write(options, [Result(config=config, measured=measured)], {}, ""))


def _directory(options: BenchmarkOptions, number: int) -> Path:
    return options.output.resolve() / f"setting-{number:02d}"
