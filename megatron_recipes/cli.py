"""The command line: `megatron-recipes list | show | train | plan | plot | benchmark | convert`.

Results go to standard output, all else to standard error. Exit status 0: done; 1: failed; 2:
misused. A user's error is one line; `--verbose` adds the traceback.
"""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from megatron_recipes import plan as planning
from megatron_recipes.benchmark.command import (
    BenchmarkOptions,
    at_any_epoch,
    benchmark_configs,
    check_gpus,
    measure_as_rank,
    run_benchmark,
)
from megatron_recipes.convert.commands import convert_app
from megatron_recipes.job import MisuseError, make_job, resolve_with_data
from megatron_recipes.launch import launch
from megatron_recipes.open_files import allow_open_files
from megatron_recipes.own_process import die_with_parent
from megatron_recipes.rank import (
    has_launcher,
    one_line,
    place_in_world,
    report_failure,
    run_as_rank,
)
from megatron_recipes.recipes import recipe_list
from megatron_recipes.show import describe
from megatron_recipes.sinks import SinkOptions
from megatron_recipes.source import check_source

PROGRAM = "megatron-recipes"

app = typer.Typer(
    help="Train on Megatron indexed datasets with Megatron-Core.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Recipe = Annotated[str, typer.Argument(help="A recipe that `list` names.", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe; repeatable."),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Add the traceback to an error.")]


def main() -> None:
    """Run the command line and end the process with its status."""
    die_with_parent()
    allow_open_files()
    status = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    try:
        return int(app(arguments or ["--help"], standalone_mode=False, prog_name=PROGRAM) or 0)
    except typer.Exit as end:
        return end.exit_code
    except Exception as error:
        # A usage error: of click's class, or of typer's own copy of it.
        if not hasattr(error, "format_message"):
            raise
        context = getattr(error, "ctx", None)
        name = context.command_path if context else PROGRAM
        _say(f"{name}: {error.format_message().rstrip('.')}; see {name} --help")
        return 2


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a closed terminal, or a log on a full disk
        print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _reporting(command: str, *, verbose: bool) -> Iterator[None]:
    """Turn an error into one line and an exit status."""
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        resumes = "" if command == "benchmark" else "; the same command resumes"
        _say(f"{PROGRAM} {command}: interrupted{resumes}")
        raise typer.Exit(1) from None
    except BaseException as error:  # torch's CheckpointException is no Exception
        is_foreseen = isinstance(error, ValueError | OSError | FloatingPointError)
        if verbose or has_launcher() or not is_foreseen:
            with contextlib.suppress(OSError):  # a log on a full disk
                traceback.print_exc()
        report_failure(error)
        _say(f"{PROGRAM} {command}: {one_line(error)}")
        raise typer.Exit(2 if isinstance(error, MisuseError) else 1) from None


@app.command("list")
def list_recipes() -> None:
    """List the recipes."""
    typer.echo(recipe_list())


@app.command()
def show(
    recipe: Recipe,
    blend: Annotated[Path | None, typer.Option(help="A blend file to train on.")] = None,
    start_from: Annotated[
        Path | None,
        typer.Option("--from", metavar="CKPT|HF_DIR", help="What its weights would start from."),
    ] = None,
    settings: Settings = None,
    mfu: Annotated[
        float | None, typer.Option(help="Utilization that its time is computed from, 0 to 1.")
    ] = None,
    fields: Annotated[bool, typer.Option("--fields", help="Show fields at their default.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Estimate its throughput, and that of other layouts.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Print a recipe with every number that follows from it; runs anywhere."""
    with _reporting("show", verbose=verbose):
        config, data = resolve_with_data(recipe, settings or [], blend)
        try:
            text = describe(config, data, mfu=mfu, all_fields=fields, estimates=estimate)
        except ValueError as error:  # of --mfu or --estimate
            raise MisuseError(str(error)) from error
        if start_from:
            text += f"\n\n{'from':16}{check_source(start_from, config, data)}"
        typer.echo(text)


@app.command()
def train(
    recipe: Recipe,
    blend: Annotated[Path, typer.Option(help="The blend file to train on.")],
    checkpoint_dir: Annotated[Path, typer.Option(help="Where checkpoints and metrics go.")],
    start_from: Annotated[
        Path | None,
        typer.Option("--from", metavar="CKPT|HF_DIR", help="Whose weights to start with."),
    ] = None,
    settings: Settings = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="Where dataset indices are kept; default: the checkpoint directory."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Metrics for TensorBoard as well.")
    ] = False,
    wandb: Annotated[
        str, typer.Option(metavar="PROJECT", help="Metrics for Weights & Biases as well.")
    ] = "",
    verbose: Verbose = False,
) -> None:
    """Train a recipe, or resume it from its newest whole checkpoint."""
    with _reporting("train", verbose=verbose):
        job = make_job(
            recipe,
            blend=blend,
            checkpoint_dir=checkpoint_dir,
            start_from=start_from,
            settings=settings or [],
            cache=cache_dir,
            sinks=SinkOptions(tensorboard=tensorboard, wandb_project=wandb),
        )
        place = place_in_world()
        if job.run.done.exists():
            job.run.prepare(job.identity(), writes=False)
            if not (place and place[0]):
                _say(f"already done: {job.run.done}")
        elif place:
            run_as_rank(job, *place)
        else:
            launch(job, sys.argv[1:])
        if not (place and place[0]):
            newest, _ = job.run.newest_checkpoint()
            typer.echo(str(newest.path) if newest else str(job.run.path))


@app.command()
def plan(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN.toml", show_default=False)],
    as_json: Annotated[
        bool, typer.Option("--json", help="Only list them, for a program that starts them.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Run the trainings of a plan, what is missing of them, in order."""
    with _reporting("plan", verbose=verbose):
        trainings = planning.read_plan(plan_file, dict(os.environ))
        if as_json:
            typer.echo(json.dumps(planning.listing(trainings)))
            return
        raise typer.Exit(planning.run_plan(trainings, tell=_say, verbose=verbose))


@app.command()
def plot(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Checkpoint directories to compare.")
    ],
    output: Annotated[Path, typer.Option(help="Where the figures and the page go.")],
    x: Annotated[str, typer.Option(help="The horizontal axis: step or tokens.")] = "step",
    verbose: Verbose = False,
) -> None:
    """Compare runs: PNG figures and one HTML page that needs nothing else."""
    with _reporting("plot", verbose=verbose):
        from megatron_recipes.plot.command import plot_runs  # matplotlib is slow to import

        typer.echo(str(plot_runs(runs, output, x, _say)))


@app.command()
def benchmark(
    recipe: Recipe,
    output: Annotated[Path, typer.Option(help="Where results, logs and traces go.")],
    blend: Annotated[
        Path | None, typer.Option(help="A blend file to read; default: random tokens.")
    ] = None,
    settings: Settings = None,
    steps: Annotated[int, typer.Option(help="Measured steps.")] = 10,
    warm_up: Annotated[int, typer.Option(help="Steps before them.")] = 5,
    profile: Annotated[
        bool, typer.Option("--profile", help="Trace two more steps; name the dearest kernels.")
    ] = False,
    sweep: Annotated[
        str,
        typer.Option(
            metavar="KINDS",
            help="Measure several settings, the best three shown: layout, micro_batch, recompute, "
            "or some of them joined by commas.",
        ),
    ] = "",
    verbose: Verbose = False,
) -> None:
    """Measure a recipe: tokens/s/GPU, model TFLOP/s, MFU, with formula and denominator.

    Nothing is saved of the model. It runs on the GPUs that the recipe names; on a CPU measure
    `tiny --set vocab_size=512`.
    """
    with _reporting("benchmark", verbose=verbose):
        options = BenchmarkOptions(
            output=output,
            num_steps=steps,
            warm_up_steps=warm_up,
            profile=profile,
            sweep=tuple(filter(None, sweep.split(","))),
        )
        config, data = resolve_with_data(recipe, at_any_epoch(settings or []), blend)
        place = place_in_world()
        check_gpus(config, starts_processes=not place)
        configs, note = benchmark_configs(config, options)
        if place:
            measure_as_rank(configs, options, data, *place)
        else:
            typer.echo(run_benchmark(configs, options, sys.argv[1:], _say, note=note))


app.add_typer(convert_app(_reporting), name="convert")
