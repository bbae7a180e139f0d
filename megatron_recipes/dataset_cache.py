"""Megatron-Core's dataset indices, built once for each file system and shared by what sees it.

`cache/<key>/` holds the indices of one training's data; the key is a hash of all that they depend
on, the paths of the parts among it, so parts that have moved get indices of their own. It is built
under another name and renamed when whole: what has the name is complete. Rank 0 builds what it
does not find; then the first process of every machine that cannot see that does the same, on a
disk of its own or because a network file system has not shown it yet. Two that build the same
write the same, and the second finds the name taken. There are no locks.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import torch.distributed

TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


def cached(cache: Path, depends_on: Any, build: Callable[[Path], Any]) -> Any:
    """Return what `build` makes of a directory of indices; every process calls this together.

    Args:
        cache: Where the directories are; it may be another one on each machine.
        depends_on: Everything that the indices follow from, as JSON.
        build: Makes indices that are not in the directory it is given, and reads those that are.

    Raises:
        OSError: The directory cannot be written.
    """
    described = json.dumps(depends_on, sort_keys=True)
    directory = cache / hashlib.sha256(described.encode()).hexdigest()[:16]
    rank = torch.distributed.get_rank()
    if rank == 0:
        _build_unless_there(directory, build)
    torch.distributed.barrier()
    if rank and int(os.environ.get("LOCAL_RANK", "0")) == 0:
        _build_unless_there(directory, build)
    torch.distributed.barrier()
    with _by_itself():
        return build(directory)


def _build_unless_there(directory: Path, build: Callable[[Path], Any]) -> None:
    if directory.is_dir():
        return
    _remove_abandoned(directory)
    building = directory.with_name(f".{directory.name}.{socket.gethostname()}.{os.getpid()}")
    building.mkdir(parents=True, exist_ok=True)
    try:
        with _by_itself():
            build(building)
        building.rename(directory)
    except OSError as error:
        if error.errno not in TAKEN or not directory.is_dir():
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _remove_abandoned(directory: Path) -> None:
    """Remove what processes of this machine began to build and were killed at."""
    beginning = f".{directory.name}.{socket.gethostname()}."
    for path in directory.parent.glob(f"{beginning}*"):
        number = path.name.removeprefix(beginning)
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _by_itself() -> Iterator[None]:
    # In a process group Megatron-Core lets rank 0 alone build, and all wait for it at barriers of
    # its own: a machine that cannot see rank 0's files would fail. Here a process is on its own.
    original = torch.distributed.is_initialized
    torch.distributed.is_initialized = lambda: False
    try:
        yield
    finally:
        torch.distributed.is_initialized = original
