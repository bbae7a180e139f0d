"""The trainings of a plan, in order, each into `<run directory>/<name>`.

A plan is TOML: `[run] directory`, `[[stage]]` tables (not read here), and `[[training]]` tables
with `name`, `recipe`, `blend`, and optionally `from` and `set`. `${VAR}` in a path is replaced by
the environment variable. Relative paths are relative to the current directory.

`blend` is a path, or the name of a stage: where `<directory>/<blend>` exists it is meant, the file
itself, or `blend.json` in it when it is a directory. `from` is a checkpoint, or the name of an
earlier training of the plan.
"""

import re
import signal
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megatron_recipes.job import MisuseError, make_job, resolve_config
from megatron_recipes.own_process import child_environment, own_command
from megatron_recipes.plan_ahead import check_ahead
from megatron_recipes.rank import one_line
from megatron_recipes.stop import pass_signals_on, signals_restored

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KEYS = {"name", "recipe", "blend", "from", "set"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedTraining:
    """One `[[training]]` table, its paths resolved."""

    name: str
    """Of the training, and of its directory in the run directory."""

    recipe: str
    """The recipe."""

    blend: Path
    """The blend file; it need not exist before the training starts."""

    checkpoint_dir: Path
    """`<run directory>/<name>`."""

    start_from: Path | None
    """A checkpoint, or the directory of an earlier training."""

    settings: tuple[str, ...]
    """`field=value`, as `--set` takes them."""

    @property
    def is_done(self) -> bool:
        """Whether its last step is trained."""
        return (self.checkpoint_dir / "DONE").exists()

    def check_done(self) -> None:
        """Refuse a finished training that was begun with another config or other data."""
        job = make_job(
            self.recipe,
            blend=self.blend,
            checkpoint_dir=self.checkpoint_dir,
            start_from=self.start_from,
            settings=self.settings,
        )
        job.run.prepare(job.identity(), writes=False)

    def arguments(self) -> list[str]:
        """Return the `train` command that does it."""
        arguments = ["train", self.recipe, "--blend", str(self.blend)]
        arguments += ["--checkpoint-dir", str(self.checkpoint_dir)]
        if self.start_from:
            arguments += ["--from", str(self.start_from)]
        for setting in self.settings:
            arguments += ["--set", setting]
        return arguments


def read_plan(path: Path, environment: dict[str, str]) -> list[PlannedTraining]:
    """Return the trainings of a plan.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no plan, or a table misses or repeats something.
    """
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: expected a plan, found no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected a plan in TOML: {error}") from None
    run = content.get("run", {})
    if not isinstance(run, dict) or not isinstance(run.get("directory"), str):
        raise ValueError(f'{path}: expected [run] with directory = "..."')
    directory = Path(expand(run["directory"], environment))
    trainings: list[PlannedTraining] = []
    for table in _tables(path, content):
        earlier = [training.name for training in trainings]
        trainings.append(_read_training(path, table, directory, earlier, environment))
    if not trainings:
        raise ValueError(f"{path}: expected at least one [[training]], found none")
    return trainings


def _tables(path: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    tables = content.get("training", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{path}: expected [[training]], in double brackets, for each training")
    return tables


def expand(text: str, environment: dict[str, str]) -> str:
    """Return `text` with each `${VAR}` replaced; ValueError names one that is not set."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise ValueError(f"{text}: the environment variable {match[1]} is not set")
        return environment[match[1]]

    return _VARIABLE.sub(value, text)


def _read_training(
    path: Path,
    table: dict[str, Any],
    directory: Path,
    earlier: list[str],
    environment: dict[str, str],
) -> PlannedTraining:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in earlier:
        raise ValueError(f"{path}: each [[training]] needs its own name, found {name!r}")
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise ValueError(f"{path}: training {name} has unknown keys: {', '.join(unknown)}")
    for key in ("recipe", "blend"):
        if not isinstance(table.get(key), str):
            raise ValueError(f"{path}: training {name} needs {key}, a string")
    if not isinstance(table.get("from", ""), str) or not isinstance(table.get("set", {}), dict):
        raise ValueError(f"{path}: training {name} takes a string as from and a table as set")
    source, start_from = table.get("from"), None
    if source is not None:
        start_from = directory / source if source in earlier else Path(expand(source, environment))
    return PlannedTraining(
        name=name,
        recipe=table["recipe"],
        blend=_find_blend(directory, expand(table["blend"], environment)),
        checkpoint_dir=directory / name,
        start_from=start_from,
        settings=tuple(_setting(key, value) for key, value in table.get("set", {}).items()),
    )


def _find_blend(directory: Path, blend: str) -> Path:
    stage = directory / blend
    if stage.is_dir():
        return stage / "blend.json"
    # A bare name that is nowhere is that of a stage which has not run.
    is_stage = stage.exists() or ("/" not in blend and not Path(blend).exists())
    return stage if is_stage else Path(blend)


def _setting(key: str, value: object) -> str:
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def run_plan(
    trainings: list[PlannedTraining], *, tell: Callable[[str], None], verbose: bool
) -> int:
    """Do what is missing of a plan's trainings, in order.

    Returns:
        The exit status: 0 when all are done or one was asked to stop, else that of the failure.

    Raises:
        MisuseError: A recipe or a setting of any of them is wrong; none is started.
        OSError: A file of one that is done is missing.
        ValueError: One does not fit what it starts from, its data or its GPU, as far as these are
            there, and none is started; or one that is done was done with another config or other
            data.
    """
    _check_all_ahead(trainings)
    for training in trainings:
        if training.is_done:
            training.check_done()
            tell(f"training {training.name}: already done, {training.checkpoint_dir}")
            continue
        tell(f"training {training.name}: into {training.checkpoint_dir}")
        status = _run_command([*training.arguments(), *(["--verbose"] if verbose else [])])
        if status:
            return status
        if not training.is_done:
            tell(f"training {training.name}: stopped before its end; the same command resumes")
            return 0
    return 0


def _check_all_ahead(trainings: list[PlannedTraining]) -> None:
    for number, training in enumerate(trainings):
        try:
            check_ahead(training, trainings[:number])
        except MisuseError as error:
            raise MisuseError(f"training {training.name}: {error}") from error
        except (OSError, ValueError) as error:
            raise ValueError(f"training {training.name}: {one_line(error)}") from error


def listing(trainings: list[PlannedTraining]) -> list[dict[str, Any]]:
    """Return what a scheduler has to know of each training, as plain values.

    What would stop one when its turn comes, after hours in the queue, is refused here.

    Raises:
        MisuseError: A recipe or a setting of one is wrong.
        ValueError: One does not fit what it starts from, its data or its GPU, as far as these are
            there.
    """
    _check_all_ahead(trainings)
    listed = []
    for training in trainings:
        config = resolve_config(training.recipe, training.settings)
        listed.append(
            {
                "name": training.name,
                "checkpoint_dir": str(training.checkpoint_dir),
                "blend": str(training.blend),
                "from": None if training.start_from is None else str(training.start_from),
                "arguments": training.arguments()[1:],
                "num_steps": config.schedule.num_steps,
                "num_processes": config.layout.world_size,
                "gpu": config.execution.gpu,
                "is_done": training.is_done,
            }
        )
    return listed


def _run_command(arguments: list[str]) -> int:
    with (
        subprocess.Popen(own_command(arguments), env=child_environment()) as process,
        signals_restored(),
    ):
        pass_signals_on([process])
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # where the terminal has not done so
            process.wait()
            raise
    return status if status >= 0 else 1
