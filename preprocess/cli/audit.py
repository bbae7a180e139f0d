"""Proving that what is there is sound: files, and a machine before anything runs."""

from pathlib import Path
from typing import Annotated

import typer

from preprocess import progress
from preprocess.cli.options import (
    STAGES,
    MaxRejected,
    Memory,
    State,
    Verbose,
    Workers,
    parse_size,
    run_options,
)
from preprocess.cli.output import terminal
from preprocess.errors import Misuse, UserError


def verify(
    path: Annotated[Path, typer.Argument(help="A directory with a manifest, or a prefix.")],
    complete: Annotated[
        bool, typer.Option("--complete", help="First make a directory of tasks whole.")
    ] = False,
    checksums: Annotated[
        bool,
        typer.Option(help="Read every file again; --no-checksums only with --complete."),
    ] = True,
    max_rejected: MaxRejected = 0.05,
    verbose: Verbose = False,
) -> None:
    """Check every checksum and every count."""
    from preprocess.judge import judge
    from preprocess.run_directory import complete_directory
    from preprocess.verify import verify as check

    State.verbose |= verbose
    if not checksums and not complete:
        raise Misuse("expected --complete with --no-checksums: without both there is nothing to do")
    if complete:
        # A task sees its own part only: the whole is judged here.
        manifest = complete_directory(path)
        judge(manifest, path, run_options(None, None, max_rejected=max_rejected))
        if not checksums:
            print(f"{path}: whole, {len(manifest.shards)} shards, {manifest.counts.out:,} records")
            return
    with progress.report("verify", None) as update:
        checked, faults = check(path, update)
    for fault in faults:
        print(fault)
    if faults:
        raise UserError(f"{path}: expected sound files, found {len(faults)} faults, listed above")
    print(f"{path}: {checked} files are sound")


def doctor(
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer file, or a directory of one.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="The model's directory, or its config.json.")
    ] = None,
    eod: Annotated[str | None, typer.Option(help="The token that ends a document.")] = None,
    plan: Annotated[Path | None, typer.Option(help="A plan in TOML.")] = None,
    directory: Annotated[Path | None, typer.Option(help="Where the run will write.")] = None,
    workers: Workers = None,
    memory: Memory = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    verbose: Verbose = False,
) -> None:
    """Audit tokenizer, model, file system, machine and plan before anything runs."""
    from preprocess import doctor as audit
    from preprocess.plan import read_plan

    State.verbose |= verbose
    if model is not None and tokenizer is None:
        raise Misuse("expected --tokenizer with --model: they are held against one another")
    if eod is not None and tokenizer is None:
        raise Misuse("expected --tokenizer with --eod: the token is looked for in it")
    patient = audit.Patient(
        tokenizer=tokenizer,
        model=model,
        eod=eod,
        plan=read_plan(plan, STAGES) if plan else None,
        directory=directory,
        workers=workers,
        memory_bytes=parse_size(memory) if memory else None,
    )
    findings = audit.doctor(patient, parse_size)
    if as_json:
        print(audit.as_json(findings))
    else:
        terminal().print(audit.as_table(findings))
    failed = [finding for finding in findings if finding.level == "fail"]
    if failed:
        raise UserError(
            f"expected nothing that would fail, found {len(failed)} of {len(findings)} checks, "
            f"the first is {failed[0].subject}: {failed[0].advice}"
        )
