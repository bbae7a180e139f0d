"""The product's command line, run as a user would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from megatron_recipes.own_process import child_environment

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options

ROOT = Path(__file__).resolve().parents[2]
NUM_LINES = 12
MEMORY_WORDS = ("OutOfMemoryError", "CUDA out of memory", "GB, of which")
"""What a full GPU, and the memory model, say."""


class ProgramError(Exception):
    """A program failed; the message is the end of what it printed and logged."""

    @property
    def is_memory(self) -> bool:
        """Whether it needed more memory than there is."""
        return any(word in str(self) for word in MEMORY_WORDS)


def run_module(options: Options, *arguments: str | Path, logs: Path | None = None) -> str:
    """Run `python -m ARGUMENTS...`; return its standard output.

    Args:
        options: Its device, and the time that is left.
        arguments: The module and what follows.
        logs: A directory; the ends of its newest `*.log` files belong to the message of a failure.

    Raises:
        ProgramError: It failed, or took all the time that was left.
    """
    command = [sys.executable, "-m", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=max(options.seconds_left(), 1))
    except subprocess.TimeoutExpired:
        _end(process)
        raise ProgramError(f"{arguments[0]} was ended: no time was left{_ends(logs)}") from None
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        said = "\n".join(errors.splitlines()[-NUM_LINES:])
        raise ProgramError(f"exit status {process.returncode}: {said}{_ends(logs)}")
    return output


def run_product(options: Options, *arguments: str | Path, logs: Path | None = None) -> str:
    """Run `megatron-recipes ARGUMENTS...`; see `run_module`."""
    return run_module(options, "megatron_recipes", *arguments, logs=logs)


def _end(process: subprocess.Popen[str]) -> None:
    # Its own processes end when it does.
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _environment(options: Options) -> dict[str, str]:
    environment = child_environment()
    path = environment.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)
    if not options.on_gpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment


def _ends(logs: Path | None) -> str:
    if logs is None:
        return ""
    files = sorted(logs.rglob("*.log"), key=lambda path: path.stat().st_mtime)[-1:]
    lines = [line for path in files for line in path.read_text(errors="replace").splitlines()]
    return "\n".join(["", *lines[-NUM_LINES:]])
