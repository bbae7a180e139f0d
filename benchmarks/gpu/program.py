"""The product's command line, run as a user would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gpu.failures import Cause, cause_of
from megatron_recipes.own_process import child_environment

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options

ROOT = Path(__file__).resolve().parents[2]
NUM_LINES = 12
MOST_LOG_BYTES = 4 << 20
"""Of the end of each log, in which a cause is looked for."""


class ProgramError(Exception):
    """A program failed; the message is why, and the end of what it printed and logged."""

    def __init__(self, message: str, cause: Cause = Cause.OTHER) -> None:
        super().__init__(f"{cause}: {message}" if cause else message)
        self.cause = cause


def run_module(options: Options, *arguments: str | Path, logs: Path | None = None) -> str:
    """Run `python -m ARGUMENTS...`; return its standard output.

    Args:
        options: Its device, and the time that is left.
        arguments: The module and what follows.
        logs: A directory; the ends of its newest `*.log` files belong to the message of a failure.

    Raises:
        ProgramError: It failed, or took all the time that was left.
    """
    command = [sys.executable, "-P", "-m", *map(str, arguments)]
    begun = time.time()
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
        message = f"{arguments[0]} was ended{_ends(_logged(logs, begun))}"
        raise ProgramError(message, Cause.TIME) from None
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        logged = _logged(logs, begun)
        said = "\n".join(errors.splitlines()[-NUM_LINES:])
        raise ProgramError(
            f"exit status {process.returncode}: {said}{_ends(logged)}",
            cause_of(process.returncode, "\n".join([output, errors, *logged])),
        )
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


def _logged(logs: Path | None, begun: float) -> list[str]:
    """Return the ends of the logs that were written since then, the newest last."""
    if logs is None:
        return []
    files = [(path.stat().st_mtime, path) for path in logs.rglob("*.log")]
    # Clocks of file systems are coarse.
    new = sorted((time, path) for time, path in files if time >= begun - 1)
    return [path.read_bytes()[-MOST_LOG_BYTES:].decode(errors="replace") for _, path in new]


def _ends(logged: list[str]) -> str:
    return "\n".join(["", *(logged[-1].splitlines()[-NUM_LINES:] if logged else [])])
