"""Dropping duplicates."""

from typing import Annotated, Any

import typer

from preprocess.cli.options import (
    Inputs,
    MaxRejected,
    Memory,
    NumTasks,
    Output,
    State,
    Task,
    Verbose,
    Workers,
    as_misuse,
    run_options,
)
from preprocess.cli.output import finish
from preprocess.errors import Misuse


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
