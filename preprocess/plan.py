"""`preprocess run PLAN.toml`: a plan's stages, in order, resuming.

A plan is TOML (`[run] directory`, `[[stage]]`, `[[training]]`, `[slurm]`; the trainings belong to
`megatron-recipes plan`, `[slurm]` to `preprocess run --slurm`). Each stage is a subcommand of this
program with the same options, run in a process of its own and written to `<directory>/<name>`. An
input, or a path among the options (`tokenizer`, `benchmark`, `model`, `seed`), is the name of an
earlier stage, or a path; `{stdlib}` and `{site_packages}` stand for those folders of the running
Python, `${NAME}` for an environment variable.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess.errors import UserError
from preprocess.manifest import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

PLAN = "plan.toml"
"""The name of the plan's copy in the run directory."""

PATH_OPTIONS = frozenset(("tokenizer", "benchmark", "model", "seed"))
"""Options that may name an earlier stage; a dataset or source of a stage's name is not one."""

STAGE_KEYS = {"name", "command", "input", "options"}
VARIABLE = re.compile(r"\$\{(\w+)\}|\{(stdlib|site_packages)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One `[[stage]]`, resolved."""

    name: str
    command: str
    inputs: tuple[str, ...]
    """What it reads: paths, those of earlier stages among them."""
    arguments: tuple[str, ...]
    """The command line behind `preprocess`."""
    needs: tuple[str, ...] = ()
    """The earlier stages that it reads."""
    output: Path = field(default_factory=Path)
    """What it makes: a directory, a file, or a prefix."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The stages of a plan."""

    path: Path
    directory: Path
    stages: tuple[Stage, ...]
    has_trainings: bool = False
    """Whether there is a `[[training]]`; what it says is for `megatron-recipes`."""
    slurm: dict[str, Any] = field(default_factory=dict)
    """What `[slurm]` asks of a cluster, as it stands there: see `preprocess.slurm.resources`."""


def read_plan(path: Path, commands: frozenset[str]) -> Plan:
    """Return a plan's stages with their command lines.

    Raises:
        UserError: No TOML, a table or key that is not known, a stage named twice or not yet made.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: expected a plan, found nothing there; check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a plan in TOML, but {error}") from error
    _refuse_unknown(path, "the plan", content, {"run", "slurm", "stage", "training"})
    run = content.get("run", {})
    _expect_table(path, "[run]", run)
    slurm = content.get("slurm", {})
    _expect_table(path, "[slurm]", slurm)
    _refuse_unknown(path, "[run]", run, {"directory"})
    if not isinstance(run.get("directory"), str):
        raise UserError(f'{path}: expected [run] with directory = "...", found none')
    directory = Path(_expand(path, run["directory"]))
    stages: list[Stage] = []
    tables = content.get("stage", [])
    if not isinstance(tables, list):
        raise UserError(f"{path}: expected stages as [[stage]], found {_shown(tables)}")
    for table in tables:
        _expect_table(path, "[[stage]]", table)
        made = {stage.name for stage in stages}
        stages.append(_stage(path, directory, table, made, commands))
    return Plan(
        path=path,
        directory=directory,
        stages=tuple(stages),
        has_trainings=bool(content.get("training")),
        slurm=slurm,
    )


def run_plan(plan: Plan, say: Callable[[str], None]) -> None:
    """Run the stages in order; what is complete is passed over by the stages themselves.

    Raises:
        UserError: A stage failed; its own line stands above.
    """
    keep_copy(plan)
    for number, stage in enumerate(plan.stages, 1):
        say(f"[{number}/{len(plan.stages)}] preprocess {' '.join(stage.arguments)}")
        command = [sys.executable, "-m", "preprocess", *stage.arguments]
        status = subprocess.run(command, check=False).returncode
        if status in (130, -2):
            raise KeyboardInterrupt
        if status:
            raise UserError(
                f"{plan.path}: stage {stage.name} ended with status {status}, its reason stands "
                f"above; mend it and run `preprocess run {plan.path}` again: what is done stays "
                "done"
            )


def keep_copy(plan: Plan) -> None:
    """Write the plan's copy into its run directory."""
    plan.directory.mkdir(parents=True, exist_ok=True)
    write_whole(plan.directory / PLAN, plan.path.read_bytes())


def _stage(
    path: Path, directory: Path, table: dict[str, Any], made: set[str], commands: frozenset[str]
) -> Stage:
    name, command = table.get("name"), table.get("command")
    if not isinstance(name, str) or not re.fullmatch(r"[\w][\w.-]*", name):
        raise UserError(f"{path}: expected a name of letters for each [[stage]], found {name!r}")
    where = f"[[stage]] {name}"
    _refuse_unknown(path, where, table, STAGE_KEYS)
    if name in made:
        raise UserError(f"{path}: expected each name once, {name} is there twice")
    if not isinstance(command, str) or command not in commands:
        raise UserError(
            f"{path}: {where}: expected a command of {', '.join(sorted(commands))}, got {command!r}"
        )
    inputs = table.get("input", [])
    inputs = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(inputs, list) or not all(isinstance(value, str) for value in inputs):
        raise UserError(
            f"{path}: {where}: expected a name, a path or a list of them as input, "
            f"found {_shown(inputs)}"
        )

    needs: set[str] = set()

    def resolve(value: str) -> str:
        resolved, needed = _resolve(path, directory, value, made)
        needs.update(needed)
        return resolved

    def expand(value: str) -> str:
        return _expand(path, value)

    arguments = [command]
    if command == "report":
        needs |= made
        inputs = inputs or [str(directory)]
    resolved = [_input(value, resolve) for value in inputs]
    arguments += resolved
    arguments.append(str(directory / name))
    options = table.get("options", {})
    _expect_table(path, f"{where}: options", options)
    for option, value in options.items():
        is_path = option.replace("-", "_") in PATH_OPTIONS
        arguments += _option(path, where, option, value, resolve if is_path else expand)
    return Stage(
        name=name,
        command=command,
        inputs=tuple(resolved),
        arguments=tuple(arguments),
        needs=tuple(sorted(needs)),
        output=directory / name,
    )


def _input(value: str, resolve: Callable[[str], str]) -> str:
    """Resolve an input; a part of a blend is `GROUP=INPUT:WEIGHT`."""
    match = re.fullmatch(r"([\w-]+)=(.+):([\d.eE-]+)", value)
    if match:
        return f"{match[1]}={resolve(match[2])}:{match[3]}"
    return resolve(value)


def _option(
    path: Path, where: str, option: str, value: object, resolve: Callable[[str], str]
) -> list[str]:
    flag = f"--{option.replace('_', '-')}"
    match value:
        case True:
            return [flag]
        case False:
            return [f"--no-{option.replace('_', '-')}"]
        case int() | float():
            return [flag, str(value)]
        case str():
            return [flag, resolve(value)]
        case list():
            return [word for each in value for word in (flag, resolve(str(each)))]
        case _:
            raise UserError(f"{path}: {where}: expected a plain value for {option}, got {value!r}")


def _resolve(
    path: Path, directory: Path, value: str, made: set[str]
) -> tuple[str, tuple[str, ...]]:
    """Return what a value stands for, and the earlier stage that it names."""
    expanded = _expand(path, value)
    first, *rest = expanded.split("/", 1)
    if first in made:
        return str(directory.joinpath(first, *rest)), (first,)
    return expanded, ()


def _expand(path: Path, value: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match[2]:
            return sysconfig.get_paths()["stdlib" if match[2] == "stdlib" else "purelib"]
        if match[1] not in os.environ:
            raise UserError(
                f"{path}: expected the environment variable {match[1]} of {value!r}, it is not "
                f"set; export {match[1]}=..."
            )
        return os.environ[match[1]]

    return VARIABLE.sub(replacement, value)


def _expect_table(path: Path, where: str, value: object) -> None:
    if not isinstance(value, dict):
        raise UserError(f"{path}: {where}: expected a table, found {_shown(value)}")


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}..."


def _refuse_unknown(path: Path, where: str, table: dict[str, Any], known: set[str]) -> None:
    for key in sorted(table.keys() - known):
        raise UserError(
            f"{path}: {where}: expected {', '.join(sorted(known))}, found {key!r}; remove it"
        )
