"""The program with its commands, in the order in which the help lists them."""

from collections.abc import Callable

import typer

from preprocess.cli.audit import doctor, verify
from preprocess.cli.dedup import dedup
from preprocess.cli.ingest import datasets, ingest
from preprocess.cli.look import explain, inspect_path, report
from preprocess.cli.merge import blend, merge
from preprocess.cli.options import State, Verbose
from preprocess.cli.run import run
from preprocess.cli.tokenize import tokenize, train_tokenizer

app = typer.Typer(
    name="preprocess",
    help="Turn raw data into Megatron's indexed dataset, a stage at a time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help"]},
)


@app.callback()
def _options(verbose: Verbose = False) -> None:
    """Options of every stage."""
    State.verbose |= verbose


COMMANDS: dict[str, Callable[..., None]] = {
    "datasets": datasets,
    "ingest": ingest,
    "dedup": dedup,
    "train-tokenizer": train_tokenizer,
    "tokenize": tokenize,
    "merge": merge,
    "blend": blend,
    "report": report,
    "explain": explain,
    "inspect": inspect_path,
    "verify": verify,
    "doctor": doctor,
    "run": run,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
