"""The processes of a training on this machine: as many as its layout needs.

Each has its own session, and this one answers for them: their first failure ends all, SIGTERM and
SIGUSR2 are passed on, and none outlives it. Under `srun` or `torchrun`, which start processes
themselves, nothing of this is used.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from megatron_recipes.claim import claimed
from megatron_recipes.job import Job
from megatron_recipes.own_process import child_environment, own_command
from megatron_recipes.rank import (
    ATTEMPT,
    CONSOLE,
    FAILURES,
    LISTENER,
    MAX_FAILURE_BYTES,
    write_line,
)
from megatron_recipes.run_directory import RunDirectory
from megatron_recipes.stop import STOP_SIGNALS, pass_signals_on, signals_restored

POLL_SECONDS = 0.1
SETTLE_SECONDS = 0.5
"""How long other processes get to say why they failed, before the first cause is looked for."""


def launch(job: Job, arguments: list[str]) -> None:
    """Start the processes of a training on this machine and wait for them.

    Args:
        job: The training.
        arguments: The command line after the program's name; each process is given the same.

    Raises:
        ChildProcessError: A process failed; the message is its own.
        KeyboardInterrupt: The user asked to end; every process has ended.
    """
    job.run.prepare(job.identity(), writes=False)
    with claimed(job.run.path, lambda line: write_line(2, line)) as claim:
        job.run.prepare(job.identity())
        job.fetch_start(lambda line: write_line(2, line))
        run_processes(job.run, job.config.layout.world_size, arguments, claim)


def run_processes(run: RunDirectory, world_size: int, arguments: list[str], claim: int) -> None:
    """Start `world_size` processes of this program and wait for them.

    Args:
        run: Where their logs go.
        world_size: How many.
        arguments: The command line after the program's name, the same for all.
        claim: What holds the directory, passed on to them.

    Raises:
        ChildProcessError: A process failed; the message is its own.
        KeyboardInterrupt: The user asked to end; every process has ended.
    """
    attempt = run.next_attempt()
    logs = [run.log(attempt, rank) for rank in range(world_size)]
    logs[0].parent.mkdir(parents=True, exist_ok=True)
    processes: list[subprocess.Popen[bytes]] = []
    with _pipe() as (failures, failures_end), signals_restored():
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            with _listener() as listener:
                for rank, log in enumerate(logs):
                    environment = _environment(rank, len(logs), attempt, listener)
                    environment[FAILURES] = str(failures_end)
                    inherited = (listener.fileno(), failures_end, claim)
                    processes.append(_start(arguments, environment, log, inherited))
            pass_signals_on(processes)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            _wait(processes, logs, failures)
        finally:
            _end(processes)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@contextlib.contextmanager
def _listener() -> Iterator[socket.socket]:
    # The socket over which the processes meet is opened here and inherited by rank 0, so that no
    # other program can take its port in between.
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener


def _environment(
    rank: int, world_size: int, attempt: int, listener: socket.socket
) -> dict[str, str]:
    environment = child_environment()
    # One thread each: with the default every process would start one for every core.
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return environment | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(listener.getsockname()[1]),
        ATTEMPT: str(attempt),
        LISTENER: str(listener.fileno()),
    }


def _start(
    arguments: list[str], environment: dict[str, str], log: Path, inherited: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    console = os.dup(2)
    try:
        with log.open("ab") as file:
            return subprocess.Popen(
                own_command(arguments),
                env=environment | {CONSOLE: str(console)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                pass_fds=(console, *inherited),
                start_new_session=True,
            )
    finally:
        os.close(console)


def _wait(processes: list[subprocess.Popen[bytes]], logs: list[Path], failures: int) -> None:
    while any(process.poll() is None for process in processes):
        if any(process.returncode for process in processes):
            time.sleep(SETTLE_SECONDS)
            break
        time.sleep(POLL_SECONDS)
    statuses = {rank: process.poll() or 0 for rank, process in enumerate(processes)}
    # A process ended by a signal is the cause of what the others say about lost connections;
    # else the one that spoke first is.
    ended = [rank for rank, status in statuses.items() if status < 0]
    if ended:
        name = _signal_name(-statuses[ended[0]])
        raise ChildProcessError(f"rank {ended[0]} was ended by {name}; its log is {logs[ended[0]]}")
    failed = [rank for rank, status in statuses.items() if status]
    if failed:
        raise ChildProcessError(_first_failure(failures, failed[0], logs))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _first_failure(failures: int, failed: int, logs: list[Path]) -> str:
    try:
        said = os.read(failures, MAX_FAILURE_BYTES).decode(errors="replace").splitlines()
    except BlockingIOError:
        return f"rank {failed} ended and did not say why; its log is {logs[failed]}"
    rank, _, reason = said[0].partition(" ")
    return f"{reason} (rank {rank}; its log is {logs[int(rank)]})"


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt
    for process in processes:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    for process in processes:
        process.wait()
