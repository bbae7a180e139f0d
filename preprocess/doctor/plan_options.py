"""The options of a plan's stages against what the commands take, before any of them runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from preprocess import _rust_ext
from preprocess.doctor.findings import Finding, fail, ok

if TYPE_CHECKING:
    from preprocess.plan import Plan, Stage


def check_options(plan: Plan) -> list[Finding]:
    """Return what the command lines of the stages say, and the tokenizers that they name."""
    # The command line imports this package, so that it is there only once this is called.
    from preprocess.cli import app

    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    findings = [finding for stage in plan.stages for finding in _stage(plan, stage, commands)]
    return findings or [ok("plan: options", "each command takes those of its stages")]


def _stage(plan: Plan, stage: Stage, commands: dict[str, Any]) -> list[Finding]:
    subject = f"plan: options of {stage.name}"
    name, *arguments = stage.arguments
    try:
        # It only parses: nothing is run.
        context = commands[name].make_context(name, list(arguments))
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return [
            fail(
                subject,
                f"{name}: {error.format_message()}",
                f"mend the options; `preprocess {name} --help` lists them",
            )
        ]
    tokenizer = context.params.get("tokenizer")
    return [] if tokenizer is None else _tokenizer(plan, stage, Path(tokenizer))


def _tokenizer(plan: Plan, stage: Stage, path: Path) -> list[Finding]:
    subject = f"plan: tokenizer of {stage.name}"
    made = {plan.directory / each.name for each in plan.stages}
    if not path.exists() and any(path.is_relative_to(each) for each in made):
        return []  # an earlier stage makes it
    try:
        _rust_ext.Tokenizer.load(path)
    except (_rust_ext.TokenizerError, OSError) as error:
        return [fail(subject, str(error), "name another tokenizer")]
    return [ok(subject, f"{path} can be loaded")]
