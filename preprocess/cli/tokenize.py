"""Making tokens: a tokenizer, and shards encoded with it."""

import os
from pathlib import Path
from typing import Annotated

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
    parse_size,
    run_options,
)
from preprocess.cli.output import finish, say
from preprocess.errors import Misuse


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
