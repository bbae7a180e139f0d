"""Running a plan."""

from pathlib import Path
from typing import Annotated

import typer

from preprocess.cli.options import STAGES, State, Verbose
from preprocess.cli.output import say, terminal
from preprocess.errors import Misuse


def run(
    plan: Annotated[Path, typer.Argument(help="A plan in TOML.")],
    status: Annotated[
        bool, typer.Option("--status", help="Only show how far each stage is.")
    ] = False,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Submit the plan, trainings too, as jobs of Slurm.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --slurm: only print what would be submitted.")
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="With --slurm: failed tasks again, while others still run."
        ),
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Run a plan's stages in order, here or on a cluster; what is done stays done."""
    from preprocess.plan import read_plan, run_plan
    from preprocess.plan_view import plan_table

    State.verbose |= verbose
    stages = read_plan(plan, STAGES)
    if (dry_run or retry_failed) and (not slurm or status):
        raise Misuse("expected --dry-run and --retry-failed with --slurm, and without --status")
    if slurm:
        from preprocess.slurm import show_status, submit_plan

        if status:
            show_status(stages, print)
        else:
            submit_plan(stages, print, say, dry_run=dry_run, retry_failed=retry_failed)
        return
    if not status:
        run_plan(stages, say)
    notes: list[str] = []
    terminal().print(plan_table(stages, notes))
    for note in notes:
        say(f"preprocess run: {note}")
