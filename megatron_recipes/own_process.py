"""Starting this program once more, in a process that ends when this one does."""

import ctypes
import os
import signal
import sys
from pathlib import Path

PARENT = "MEGATRON_RECIPES_PARENT"
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """End this process when the one that started it ends, however it does."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        os._exit(1)


def child_environment() -> dict[str, str]:
    """Return the environment of a process that ends when this one does."""
    return os.environ | {PARENT: str(os.getpid())}


def own_command(arguments: list[str]) -> list[str]:
    """Return the command line that runs this program in a process of its own.

    A program started by its script does not look for modules in the current directory, whatever
    files lie there; `python -m` does, unless it is told not to.
    """
    by_script = Path(sys.argv[0]).name != "__main__.py"
    return [sys.executable, *(["-P"] if by_script else []), "-m", "megatron_recipes", *arguments]
