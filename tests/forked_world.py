"""Functions run by several processes at once, as the ranks of one training on a CPU.

The processes are forked from a server that has imported PyTorch and Megatron-Core and done nothing
else, so that a world of four is up in a fraction of a second. The function must be one that a
process can import by its module and name, its arguments and results what can be pickled.
"""

import ctypes
import faulthandler
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PR_SET_PDEATHSIG = 1
SETTLE_SECONDS = 1.0
"""How long the others may still report, once one process has failed."""

SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A server with threads could not be forked safely, and ranks would fight for the cores."""


class WorldError(AssertionError):
    """What the processes that failed said, each with the end of its log."""


def run_world[Result](
    function: Callable[..., Result],
    world_size: int,
    *arguments: Any,
    timeout_seconds: float = 120.0,
) -> list[Result]:
    """Return what `function(*arguments)` returns on each rank, in the order of ranks.

    The environment names a world of `world_size` processes, as the launcher would: `join_world`
    joins it. The function need not leave it.

    Raises:
        WorldError: A process raised, ended, or took longer than `timeout_seconds`; the message has
            every traceback. All processes have ended by then.
    """
    with TemporaryDirectory(prefix="world-") as logs, _meeting_place() as listener:
        context = _context()
        processes: list[BaseProcess] = []
        ends: list[Connection] = []
        try:
            for rank in range(world_size):
                ours, theirs = context.Pipe(duplex=False)
                task = _Task(rank, world_size, Path(logs), timeout_seconds)
                process = context.Process(
                    target=_run_rank,
                    args=(task, listener, theirs, function, arguments),
                    name=f"rank {rank}",
                )
                process.start()
                theirs.close()
                processes.append(process)
                ends.append(ours)
            outcomes = _outcomes(ends, timeout_seconds)
        finally:
            _end(processes, ends)
        failures = [
            f"rank {rank} of {world_size}: {outcome[1]}\n{_last_lines(_log(Path(logs), rank))}"
            for rank, outcome in enumerate(outcomes)
            if not outcome[0]
        ]
    if failures:
        raise WorldError("\n".join(failures))
    return [outcome[1] for outcome in outcomes]


def _meeting_place() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


def _context() -> Any:
    """Return the context whose server has the imports; it is started by the first world."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["forked_world_imports"])
    # The server looks for what it imports where every Python does; sys.path does not reach it.
    changes = SINGLE_THREADED | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context


class _Task:
    """Who a process is."""

    def __init__(self, rank: int, world_size: int, logs: Path, timeout_seconds: float) -> None:
        self.rank, self.world_size, self.log = rank, world_size, _log(logs, rank)
        self.timeout_seconds = timeout_seconds


def _log(logs: Path, rank: int) -> Path:
    return logs / f"rank-{rank}.log"


def _run_rank(
    task: _Task,
    listener: socket.socket,
    results: Connection,
    function: Callable[..., Any],
    arguments: Sequence[Any],
) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with task.log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    faulthandler.enable()
    faulthandler.dump_traceback_later(max(task.timeout_seconds - 1, 1))  # where a hang is
    os.environ.update(_environment(task, listener))
    try:
        outcome = pickle.dumps((True, _call(function, arguments)))
    except BaseException:
        outcome = pickle.dumps((False, traceback.format_exc()))
    results.send_bytes(outcome)
    # Nothing may run at exit: a peer that failed would let the group's destructors wait for it.
    os._exit(0)


def _call(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    import forked_world_imports  # noqa: F401  # says why, if the server could not import it
    import torch

    torch.set_num_threads(1)
    result = function(*arguments)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # rank 0 holds the store that the others still talk to
    return result


def _environment(task: _Task, listener: socket.socket) -> dict[str, str]:
    from megatron_recipes.rank import LISTENER

    return SINGLE_THREADED | {
        "RANK": str(task.rank),
        "LOCAL_RANK": str(task.rank),
        "WORLD_SIZE": str(task.world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(listener.getsockname()[1]),
        "GLOO_SOCKET_IFNAME": "lo",
        LISTENER: str(os.dup(listener.fileno())),
    }


def _outcomes(ends: list[Connection], timeout_seconds: float) -> list[tuple[bool, Any]]:
    deadline = time.monotonic() + timeout_seconds
    missing = dict(enumerate(ends))
    outcomes: dict[int, tuple[bool, Any]] = {}
    while missing and time.monotonic() < deadline:
        ready = wait(list(missing.values()), timeout=max(deadline - time.monotonic(), 0))
        for rank in [rank for rank, end in missing.items() if end in ready]:
            outcomes[rank] = _outcome(missing.pop(rank))
            if not outcomes[rank][0]:  # what the others wait for will not come
                deadline = min(deadline, time.monotonic() + SETTLE_SECONDS)
    late = (False, f"no result within {timeout_seconds:.0f} s, or before another one failed")
    return [outcomes.get(rank, late) for rank in range(len(ends))]


def _outcome(end: Connection) -> tuple[bool, Any]:
    try:
        is_result, value = pickle.loads(end.recv_bytes())
    except EOFError:
        return False, "ended without a result"
    return is_result, value


def _end(processes: list[BaseProcess], ends: list[Connection]) -> None:
    for process in processes:
        process.join(timeout=0.2)
        if process.is_alive():
            process.kill()
        process.join()
        process.close()
    for end in ends:
        end.close()


def _last_lines(log: Path) -> str:
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-40:])
