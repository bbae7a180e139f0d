"""The command line `preprocess`: one subcommand a stage, in the order of the data."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from preprocess import progress
from preprocess.errors import Misuse, UserError, describe_os_error
from preprocess.records import TruncatedInput
from preprocess.run_directory import DEFAULT_MEMORY_BYTES_PER_WORKER, RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

app = typer.Typer(
    name="preprocess",
    help="Turn raw data into Megatron's indexed dataset, a stage at a time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help"]},
)

Inputs = Annotated[list[str], typer.Argument(help="Files, globs or directories.")]
Input = Annotated[str, typer.Argument(help="A file, a glob or a directory.")]
Output = Annotated[Path, typer.Argument(help="The directory to make.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Cores to use; default: all.")]
Memory = Annotated[
    str | None,
    typer.Option(help="What all processes may take, as 4GiB; default: 2GiB times workers."),
]
Task = Annotated[int | None, typer.Option(min=0, help="This task's number, from 0.")]
NumTasks = Annotated[int, typer.Option(min=1, help="How many tasks share the work.")]
MaxRejected = Annotated[
    float, typer.Option(min=0, max=1, help="Largest share of unreadable records.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show tracebacks.")]

STAGES = frozenset({"ingest", "dedup", "train-tokenizer", "tokenize", "merge", "blend", "report"})
"""What a plan may run."""

LOG_COLUMNS = 160
"""Width of tables in a file, where nothing says how wide it may be."""

INTERRUPTED = 128 + signal.SIGINT

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)?", re.IGNORECASE)
UNITS = {
    "": 1, "b": 1,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip


LARGEST_SIZE = 1 << 60


@contextlib.contextmanager
def as_misuse() -> Iterator[None]:
    """Turn the refusal of an option's value into misuse of the command line."""
    try:
        yield
    except ValueError as error:
        raise Misuse(str(error)) from error


@app.callback()
def _options(verbose: Verbose = False) -> None:
    """Options of every stage."""
    State.verbose |= verbose


class State:
    """What the command line said of itself."""

    verbose = False


def run_options(
    workers: int | None,
    memory: str | None,
    task: int | None = None,
    num_tasks: int = 1,
    max_rejected: float = 0.05,
) -> RunOptions:
    """Return the run options of a command line.

    Raises:
        Misuse: They can never work together.
    """
    count = workers or len(os.sched_getaffinity(0))
    if task is not None and task >= num_tasks:
        raise Misuse(f"expected --task below --num-tasks {num_tasks}, got {task}")
    if task is None and num_tasks > 1:
        raise Misuse(f"expected --task with --num-tasks {num_tasks}: which of them is this?")
    return RunOptions(
        workers=count,
        memory_bytes=parse_size(memory) if memory else count * DEFAULT_MEMORY_BYTES_PER_WORKER,
        task=task,
        num_tasks=num_tasks,
        max_rejected=max_rejected,
        report=progress.report,
    )


def parse_size(text: str) -> int:
    """Return the bytes that a size stands for.

    Raises:
        Misuse: It is no size.

    >>> parse_size("256MiB")
    268435456
    """
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise Misuse(f"expected a size as 512MiB or 4GB, got {text!r}")
    size = float(match[1]) * UNITS[(match[2] or "").lower()]
    if not 1 <= size < LARGEST_SIZE:
        raise Misuse(f"expected a size from 1 byte to 1 EiB, got {text[:40]!r}")
    return int(size)


@app.command()
def datasets(
    measure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RECORDS", help="Instead, count what these records can teach; repeatable."
        ),
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Counts tokens for --measure.")] = None,
    verbose: Verbose = False,
) -> None:
    """List the datasets that `ingest` reads, or measure a corpus."""
    from preprocess.dataset_tables import measurement_table, readers_table
    from preprocess.measure import measure as run

    State.verbose |= verbose
    if measure:
        found = run(measure, tokenizer)
        print_figures(measurement_table(found))
        if found.unreadable:
            say(f"preprocess datasets: {found.unreadable:,} lines are no records")
        return
    if tokenizer is not None:
        raise Misuse("--tokenizer: expected --measure RECORDS with it, whose tokens it counts")
    terminal().print(readers_table())


@app.command()
def ingest(
    inputs: Inputs,
    output: Output,
    dataset: Annotated[str, typer.Option(help="A name of `preprocess datasets`.")],
    text_field: Annotated[
        str | None, typer.Option(help="Field with the text, for `--dataset jsonl`.")
    ] = None,
    per: Annotated[
        str | None,
        typer.Option(help="What a document is, for text and api_docs: file (default) or line."),
    ] = None,
    licenses: Annotated[
        str | None,
        typer.Option(
            help="Keep only these licences: SPDX names, commas between, or any; default: all but "
            "those that forbid commercial use."
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Drop records that fail it: valid-calls; repeatable."),
    ] = None,
    max_rejected: MaxRejected = 0.05,
    workers: Workers = None,
    memory: Memory = None,
    task: Task = None,
    num_tasks: NumTasks = 1,
    verbose: Verbose = False,
) -> None:
    """Read a dataset's native files into records."""
    from preprocess.checks import REQUIREMENTS
    from preprocess.ingest import IngestConfig
    from preprocess.ingest import ingest as run
    from preprocess.licences import named as named_licences
    from preprocess.readers import READERS

    State.verbose |= verbose
    if dataset not in READERS:
        raise Misuse(f"--dataset: expected one of {', '.join(READERS)}, got {dataset!r}")
    if per not in (None, "file", "line"):
        raise Misuse(f"--per: expected file or line, got {per!r}")
    named = {"text_field": text_field, "per": per}
    given = {name: value for name, value in named.items() if value is not None}
    for name in given.keys() - READERS[dataset].options.keys():
        raise Misuse(f"--{name.replace('_', '-')}: dataset {dataset} does not take it")
    for name in require or ():
        if name not in REQUIREMENTS:
            raise Misuse(f"--require: expected one of {', '.join(REQUIREMENTS)}, got {name!r}")
    try:
        allowed = () if licenses is None else named_licences(licenses)
    except ValueError as error:
        raise Misuse(f"--licenses: {error}") from error
    config = IngestConfig(
        dataset=dataset,
        require=tuple(sorted(set(require or ()))),
        licenses=allowed,
        options={**READERS[dataset].options, **given},
    )
    options = run_options(workers, memory, task, num_tasks, max_rejected)
    finish("ingest", output, run(inputs, output, config, options))


@app.command()
def dedup(
    inputs: Inputs,
    output: Output,
    scope: Annotated[
        str,
        typer.Option(help="What is compared: near, exact, url, line, paragraph or substring."),
    ] = "near",
    min_piece_chars: Annotated[
        int | None,
        typer.Option(min=1, help="Fewest characters of a line or paragraph; default: 40."),
    ] = None,
    min_substring_bytes: Annotated[
        int | None, typer.Option(min=16, help="Fewest bytes of a repeated run; default: 200.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Jaccard similarity from which a record is dropped; default: 0.8."
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option(help="Confirm each pair by its true Jaccard; else single link.")
    ] = True,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Which of records that are alike stays: first (the default), longest, "
            "highest:FIELD or lowest:FIELD; source:A,B may stand before it.",
        ),
    ] = None,
    max_cluster: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most near-duplicates that fall to one survivor; default: 10,000."
        ),
    ] = None,
    format: Annotated[str, typer.Option(help="jsonl.zst, or jsonl: plain lines.")] = "jsonl.zst",
    compression_level: Annotated[
        int | None, typer.Option(min=1, max=22, help="Of zstd; default: 3.")
    ] = None,
    allow_loss: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Let this source lose more than 30 % of its records, or of its text (see the "
            "README); repeatable.",
        ),
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Only this step: sign, bands, connect or drop.")
    ] = None,
    max_rejected: MaxRejected = 0.05,
    workers: Workers = None,
    memory: Memory = None,
    task: Task = None,
    num_tasks: NumTasks = 1,
    verbose: Verbose = False,
) -> None:
    """Drop exact, then near duplicates; of records that are alike one stays.

    With --scope, drop what is equal otherwise, or cut what several texts have out of all but one.
    """
    from preprocess.dedup import DedupConfig
    from preprocess.dedup import dedup as run

    State.verbose |= verbose
    given = {
        "--threshold": (threshold is not None, ("near",)),
        "--no-verify": (not verify, ("near",)),
        "--max-cluster": (max_cluster is not None, ("near",)),
        "--min-piece-chars": (min_piece_chars is not None, ("line", "paragraph")),
        "--min-substring-bytes": (min_substring_bytes is not None, ("substring",)),
    }
    for option, (is_given, scopes) in given.items():
        if is_given and scope not in scopes:
            raise Misuse(
                f"expected --scope {' or '.join(scopes)} with {option}, got --scope {scope}, "
                f"which has no use for it; leave {option} out"
            )
    if threshold is not None and not verify:
        raise Misuse("expected --threshold or --no-verify, got both: it compares nothing")
    # What is not given is as the config has it.
    chosen: dict[str, Any] = {
        "threshold": threshold,
        "keep": tuple(keep) if keep else None,
        "min_piece_chars": min_piece_chars,
        "min_substring_bytes": min_substring_bytes,
        "max_cluster": max_cluster,
        "compression_level": compression_level,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None}
    with as_misuse():
        config = DedupConfig(verify=verify, scope=scope, format=format, **chosen)
    if compression_level is not None and format == "jsonl":
        raise Misuse("expected --compression-level or --format jsonl, got both: that is not packed")
    options = run_options(workers, memory, task, num_tasks, max_rejected)
    allowed = frozenset(allow_loss or ())
    finish("dedup", output, run(inputs, output, config, options, step=step, allow_loss=allowed))


@app.command(name="train-tokenizer")
def train_tokenizer(
    inputs: Inputs,
    output: Output,
    vocab_size: Annotated[int, typer.Option(help="Entries, bytes and end of document included.")],
    sample_bytes: Annotated[str, typer.Option(help="Text to learn from.")] = "64MiB",
    text_field: Annotated[str, typer.Option(help="Field with the text.")] = "text",
    max_rejected: MaxRejected = 0.05,
    workers: Workers = None,
    verbose: Verbose = False,
) -> None:
    """Train a byte-level BPE tokenizer on records."""
    from preprocess.train_tokenizer import TrainTokenizerConfig
    from preprocess.train_tokenizer import train_tokenizer as run

    State.verbose |= verbose
    with as_misuse():
        config = TrainTokenizerConfig(
            vocab_size=vocab_size, sample_bytes=parse_size(sample_bytes), text_field=text_field
        )
    options = run_options(workers, None, max_rejected=max_rejected)
    # The library reads this once, before its first use.
    os.environ["RAYON_NUM_THREADS"] = str(options.workers)
    finish("train-tokenizer", output, run(inputs, output, config, options))


@app.command()
def tokenize(
    inputs: Inputs,
    output: Output,
    tokenizer: Annotated[Path, typer.Option(help="A tokenizer file, or a directory of one.")],
    eod: Annotated[str | None, typer.Option(help="The token that ends a document.")] = None,
    no_eod: Annotated[bool, typer.Option("--no-eod", help="End documents in no token.")] = False,
    holdout: Annotated[
        float, typer.Option(min=0, max=1, help="Share of documents for valid-NNNNN.")
    ] = 0.005,
    group: Annotated[
        str | None, typer.Option(help="Only records of this group: agent, code or text.")
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field with the text.")] = "text",
    spans_field: Annotated[
        str | None, typer.Option(help="Field with a list of spans, for datasets with a mask.")
    ] = None,
    chat_template: Annotated[
        str | None,
        typer.Option(
            help="Render messages: llama3_1, mistral_v3, qwen2_5, hermes, a tokenizer's directory, "
            "or a .jinja file."
        ),
    ] = None,
    train_roles: Annotated[
        str, typer.Option(help="Whose turns are trained, as assistant,tool.")
    ] = "assistant",
    check: Annotated[
        int, typer.Option(min=0, help="Compare so many sampled records with the reference library.")
    ] = 0,
    max_rejected: MaxRejected = 0.05,
    workers: Workers = None,
    memory: Memory = None,
    task: Task = None,
    num_tasks: NumTasks = 1,
    verbose: Verbose = False,
) -> None:
    """Encode records into Megatron .bin/.idx shards."""
    from preprocess.chat.roles import parse_roles
    from preprocess.tokenize import TokenizeConfig
    from preprocess.tokenize import tokenize as run

    State.verbose |= verbose
    if no_eod and eod is not None:
        raise Misuse("expected --eod or --no-eod, got both")
    if spans_field is not None and text_field != "text":
        raise Misuse("expected --text-field or --spans-field, got both")
    if chat_template is not None and (spans_field is not None or text_field != "text"):
        raise Misuse("expected --chat-template or a field with text or spans, got both")
    by_spans = "--spans-field" if spans_field is not None else "--chat-template"
    if check and (spans_field is not None or chat_template is not None):
        raise Misuse(
            f"expected --check or {by_spans}, got both; no reference library takes records in "
            "spans, so leave --check out"
        )
    with as_misuse():
        config = TokenizeConfig(
            tokenizer=tokenizer,
            eod=eod,
            append_eod=not no_eod,
            holdout=holdout,
            group=group,
            text_field=text_field,
            spans_field=spans_field,
            chat_template=chat_template,
            train_roles=parse_roles(train_roles),
            check=check,
        )
    options = run_options(workers, memory, task, num_tasks, max_rejected)
    manifest = run(inputs, output, config, options)
    finish("tokenize", output, manifest)
    if manifest is not None:
        described = manifest.config
        say(
            f"  encoder: {described['encoder']}; end of document: {described['eod']!r} "
            f"(id {described['eod_id']}, {described['eod_reason']})"
        )
        if literal := manifest.details.get("literal_special_tokens"):
            say(f"  {literal:,} times messages spell a token of the tokenizer: they are text")
        if described["fallback"]:
            say(f"  encoded by the tokenizers library, which is slower: {described['fallback']}")


@app.command()
def merge(
    tokens: Annotated[Path, typer.Argument(help="A directory of shards.")],
    prefix: Annotated[Path, typer.Argument(help="The path of the new dataset without .bin.")],
    series: Annotated[str, typer.Option(help="part or valid.")] = "part",
    verbose: Verbose = False,
) -> None:
    """Join the shards of a directory into one .bin/.idx, and prove it."""
    from preprocess.merge import merge as run

    if series not in ("part", "valid"):
        raise Misuse(f"--series: expected part or valid, got {series!r}")
    State.verbose |= verbose
    with progress.report("merge", None) as update:
        merged = run(tokens, prefix, update, series)
    say(
        f"preprocess merge: {merged.documents:,} documents, {merged.tokens:,} tokens -> "
        f"{prefix}.bin, moved by {merged.moved_by} and read back"
    )


@app.command()
def blend(
    parts: Annotated[list[str], typer.Argument(help="GROUP=TOKENS:WEIGHT ..., then OUTPUT.")],
    verbose: Verbose = False,
) -> None:
    """Write the blend file that training reads: blend agent=TOKENS:0.36 ... OUTPUT."""
    from preprocess.blend import PartArgument
    from preprocess.blend import blend as run

    State.verbose |= verbose
    *given, output = parts
    if not given or "=" in output:
        raise Misuse("expected GROUP=TOKENS:WEIGHT ... OUTPUT, the last one is the file to write")
    run([PartArgument.parse(part) for part in given], Path(output))
    say(f"preprocess blend: {len(given)} group{'s'[: len(given) > 1]} -> {output}")


@app.command()
def report(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="A plan's directory.")],
    output: Annotated[Path, typer.Argument(help="A directory, or an .html file.")],
    verbose: Verbose = False,
) -> None:
    """Draw one page of what a plan's run did."""
    from preprocess.report import report as run

    State.verbose |= verbose
    say(f"preprocess report: {run(run_directory, output)}")


@app.command()
def explain(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The id of a record.")],
    run_directory: Annotated[
        Path, typer.Argument(metavar="RUN", help="A plan's directory, or that of one stage.")
    ],
    verbose: Verbose = False,
) -> None:
    """Say what became of a record at every stage, and why."""
    from preprocess.explain import explain as run

    State.verbose |= verbose
    for note in run(identifier, run_directory, terminal()):
        say(f"preprocess explain: {note}")


@app.command(name="inspect")
def inspect_path(
    path: Annotated[Path, typer.Argument(help="A directory, a record file or a prefix.")],
    record: Annotated[int | None, typer.Option(min=0, help="Show this one, from 0.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Decode documents with it.")] = None,
    clusters: Annotated[
        int | None, typer.Option(min=1, help="Show so many of the largest clusters of a dedup.")
    ] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="Show the record as this template renders it.")
    ] = None,
    train_roles: Annotated[
        str, typer.Option(help="Whose turns are trained, as assistant,tool.")
    ] = "assistant",
    verbose: Verbose = False,
) -> None:
    """Show a manifest, a record, a document decoded, or clusters of duplicates."""
    from preprocess.chat.roles import parse_roles
    from preprocess.inspect import clusters as show_clusters
    from preprocess.inspect import inspect, rendered

    State.verbose |= verbose
    if clusters is not None:
        if record is not None or tokenizer is not None or chat_template is not None:
            raise Misuse(
                "expected --clusters alone, got it with --record, --tokenizer or --chat-template"
            )
        show_clusters(path, clusters, terminal())
        return
    if chat_template is not None:
        if tokenizer is None:
            raise Misuse("expected --tokenizer with --chat-template, which makes tokens, got none")
        with as_misuse():
            roles = parse_roles(train_roles)
        rendered(path, record or 0, chat_template, tokenizer, roles, terminal())
        return
    if train_roles != "assistant":
        raise Misuse("expected --train-roles with --chat-template, got it alone")
    inspect(path, record, tokenizer, terminal())


@app.command()
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
    from preprocess.run_directory import complete_directory, judge
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


@app.command()
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


@app.command()
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


def terminal() -> Console:
    """Return what prints tables on stdout."""
    from rich.console import Console  # only here: most jobs print none, and start sooner without

    is_log = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=LOG_COLUMNS if is_log else None)


def print_figures(table: Table) -> None:
    """Print a table whose figures are whole, if need be in lines that a terminal has to wrap."""
    console = terminal()
    unbounded = console.options.update_width(1 << 16)
    needed = console.measure(table, options=unbounded).minimum
    console.width = max(console.width, needed)
    console.print(table)


def say(line: str) -> None:
    """Print a line on standard error at once."""
    print(line, file=sys.stderr, flush=True)


def finish(stage: str, output: Path, manifest: object) -> None:
    """Say on standard error what a stage did."""
    from preprocess.summary import summarize

    print(summarize(stage, output, manifest), file=sys.stderr)


def main() -> None:
    """Run the command line; the exit status is 0 done, 1 failed, 2 misused."""
    stage = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    name = f"preprocess {stage}".rstrip()
    try:
        status = app(standalone_mode=False)
    except Misuse as error:
        fail(name, str(error), 2)
    except BrokenPipeError:
        # Whoever read our output has enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        fail(name, describe_os_error(error), 1)
    except (UserError, ValueError, TruncatedInput) as error:
        fail(name, str(error), 1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            State.verbose = True
            fail(name, f"failed in a way that is a bug of ours: {error!r}; please report it", 1)
        # Click's usage errors, or those of typer's own copy of click.
        usage(name, error)
    if status == INTERRUPTED:  # what typer makes of a KeyboardInterrupt
        fail(name, "interrupted; run the same command again to go on", INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def usage(name: str, error: Any) -> None:
    """End with status 2: the help where nothing was asked for, else one line."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        sys.exit(2)
    options = getattr(getattr(error, "param", None), "opts", None)
    message = error.format_message().rstrip(".")
    where = f"{options[0]}: " if options and options[0] not in message else ""
    if message.startswith("No such command"):
        name = "preprocess"
    fail(name, f"{where}{message}; see `{name} --help`", 2)


def fail(name: str, message: str, status: int) -> NoReturn:
    """End with one line, and the traceback if it was asked for."""
    if State.verbose:
        traceback.print_exc()
    print(f"{name}: {visible(message)}", file=sys.stderr)
    sys.exit(status)


def visible(message: str) -> str:
    r"""Return a message as one line in which nothing moves, colours or hides what a user reads.

    Messages quote ids, sources and names of files, in which anything may stand.

    >>> visible("id \x1b[8mx\n twice")
    'id \\x1b[8mx twice'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in " ".join(message.split())
    )
