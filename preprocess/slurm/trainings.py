"""The trainings of a plan, as `megatron-recipes plan --json` lists them.

That program alone knows what a recipe needs; it is asked in a process of its own, and neither of
the two imports the other.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from preprocess.errors import UserError

if TYPE_CHECKING:
    from preprocess.plan import Plan


class Training(msgspec.Struct, frozen=True, kw_only=True, rename={"start_from": "from"}):
    """One training."""

    name: str
    checkpoint_dir: str
    blend: str
    start_from: str | None
    arguments: list[str]
    """Of `megatron-recipes train`."""
    num_steps: int
    num_processes: int
    gpu: str
    """What it runs on: `cpu`, or a GPU's name."""
    is_done: bool

    @property
    def directory(self) -> Path:
        """Its checkpoint directory."""
        return Path(self.checkpoint_dir)


def read_trainings(plan: Plan) -> list[Training]:
    """Return a plan's trainings.

    Raises:
        UserError: `megatron-recipes` refuses one of them; the message is its own.
    """
    if not plan.has_trainings:
        return []
    command = [sys.executable, "-m", "megatron_recipes", "plan", str(plan.path), "--json"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise UserError(said)
    return msgspec.json.decode(done.stdout, type=list[Training])


def needs(training: Training, plan: Plan, earlier: list[str]) -> tuple[str, ...]:
    """Return the stages and trainings of the plan that a training reads."""
    names = {stage.name for stage in plan.stages} | set(earlier)
    top = plan.directory.absolute()
    found = set()
    for path in filter(None, (training.blend, training.start_from)):
        absolute = Path(path).absolute()
        if absolute.is_relative_to(top) and absolute != top:
            found.add(absolute.relative_to(top).parts[0])
    return tuple(sorted(found & names))
