"""What a site is like: its account, partitions and limits, from `slurm/site.env`.

The file is one of shell variables, since the scripts of `slurm/` read it as well;
`slurm/site.env.example` says what each means.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from preprocess.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
"""The repository, if this is run from one."""

PREFIX = "FORGE_"
MAY_BE_EMPTY = frozenset({"gpu_request"})
"""Where empty is an answer; else it stands for the default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """`FORGE_NAME` of site.env as `name`."""

    account: str = ""
    """Empty here and below: the option is not given, and the site's own default holds."""
    qos: str = ""
    cpu_partition: str = ""
    gpu_partition: str = ""
    sbatch_options: str = ""
    """Further options of every job, as on a command line."""
    gpu_options: str = ""
    """Further options of jobs that need GPUs."""

    tasks: int = 8
    """Tasks of a stage."""
    tasks_at_once: int = 0
    """Of one array; 0: all."""
    max_array_size: int = 0
    """Tasks of one array; 0: as Slurm says."""
    cpus: int = 8
    """Of a task of a data stage."""
    memory: str = "24G"
    """Of such a task."""
    time: str = "04:00:00"
    """Limit of such a task."""

    gpus_per_node: int = 8
    """Processes of a training on one node."""
    gpu_request: str = "--gpus-per-node={gpus}"
    """How this site wants GPUs to be asked for; empty: not at all, a node has what it has."""
    cpus_per_gpu: int = 8
    """Cores of a process of a training."""
    train_memory: str = "0"
    """Of a node of a training; 0: all of it."""
    train_time: str = "24:00:00"
    """Limit of one attempt at a training."""
    signal_seconds: int = 300
    """How long before that limit a training is told to save: a step, a checkpoint and 90 s."""
    spare_nodes: int = 0
    """More nodes than a training needs, so that it starts though some are found bad."""
    requeue: bool = True
    """Whether a job may put itself back into the queue; else a training is a chain of jobs."""
    chain: int = 10
    """Jobs of such a chain."""
    excluded_nodes: str = ""
    """The file of nodes that a pre-flight found bad; empty: beside site.env.example."""


def slurm_directory() -> Path:
    """Return the folder of the scripts.

    Raises:
        UserError: This is an installed package without them.
    """
    directory = Path(os.environ.get("FORGE_ROOT", ROOT)) / "slurm"
    if not (directory / "job.sh").is_file():
        raise UserError(
            f"{directory}: expected the scripts of the repository, found none; run this from a "
            "clone of it, or export FORGE_ROOT=CLONE"
        )
    return directory


def site_file() -> Path:
    """Return where the site's variables stand, whether there is such a file or not."""
    return Path(os.environ.get("FORGE_SITE", slurm_directory() / "site.env")).absolute()


def read_site() -> Site:
    """Return the site; all defaults where there is no file.

    Raises:
        UserError: The file is no script of the shell, or a number is none.
    """
    values = _variables(site_file())
    given: dict[str, Any] = {}
    for field in fields(Site):
        text = values.get(PREFIX + field.name.upper())
        if text or (text == "" and field.name in MAY_BE_EMPTY):
            given[field.name] = _parsed(field.name, text, type(getattr(Site(), field.name)))
    return Site(**given)


def _variables(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    command = ["bash", "-c", 'set -aeu; . "$1" >&2; env -0', "site.env", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise UserError(f"{path}: expected variables of a shell, but {said}")
    pairs = (entry.partition("=") for entry in done.stdout.split("\0"))
    return {name: value for name, _, value in pairs if name.startswith(PREFIX)}


def _parsed(name: str, text: str, kind: type) -> object:
    shown = PREFIX + name.upper()
    if kind is bool:
        if text not in ("0", "1"):
            raise UserError(f"{shown}: expected 0 or 1, got {text!r}; mend {site_file()}")
        return text == "1"
    if kind is int:
        if not text.isdecimal():
            raise UserError(f"{shown}: expected a whole number, got {text!r}; mend {site_file()}")
        return int(text)
    return text


def words(shown: str, text: str) -> list[str]:
    """Split options as a shell does.

    Raises:
        UserError: A quote is open.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"{shown}: expected options as on a command line, {error}") from error
