"""The processes of a training: starting them on one machine, or being one of them.

Under `srun` or `torchrun` this process is one of those that were started. Otherwise it starts as
many as the layout needs, each in its own session, and answers for them: their first failure ends
all, SIGTERM and SIGUSR2 are passed on, and none outlives it.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from megatron_recipes.job import Job
from megatron_recipes.stop import STOP_SIGNALS, StopRequest

POLL_SECONDS = 0.1
SETTLE_SECONDS = 0.5
"""How long other processes get to say why they failed, before the first cause is looked for."""

ATTEMPT, CONSOLE, PARENT, LISTENER = (
    f"MEGATRON_RECIPES_{name}" for name in ("ATTEMPT", "CONSOLE", "PARENT", "LISTENER")
)
PR_SET_PDEATHSIG = 1


def one_line(error: BaseException) -> str:
    """Return what an error says, as one line; an unforeseen one with its class."""
    if isinstance(error, ValueError | OSError):
        return " ".join(str(error).split()) or type(error).__name__
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1].strip()[:300]}"


def place_in_world() -> tuple[int, int] | None:
    """Return rank and world size if something started this process as one of several."""
    for step, rank, size, local in (
        ("RANK", "RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_STEP_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    ):
        if step in os.environ and rank in os.environ and size in os.environ:
            os.environ.setdefault("RANK", os.environ[rank])
            os.environ.setdefault("WORLD_SIZE", os.environ[size])
            os.environ.setdefault("LOCAL_RANK", os.environ.get(local, "0"))
            return int(os.environ[rank]), int(os.environ[size])
    return None


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


def run_as_rank(job: Job, rank: int, world_size: int) -> None:
    """Train as one of several processes.

    What libraries print goes to the log of this process; lines for the user go to the standard
    error this process was started with, from rank 0 alone.
    """
    job.config.layout.check_world_size(world_size)
    job.run.prepare(job.identity(), writes=rank == 0)
    tell = _take_console(job, rank)
    _apply_environment(job)
    stop = StopRequest()
    try:
        from megatron_recipes import cpu

        cpu.install()  # before the first import of Megatron-Core, which is in the next line
        from megatron_recipes.train import train

        train(job, stop, int(os.environ[ATTEMPT]), tell)
    except BaseException as error:
        if CONSOLE not in os.environ:
            tell(f"megatron-recipes train: rank {rank}: {one_line(error)}")
        raise


def _take_console(job: Job, rank: int) -> Callable[[str], None]:
    if CONSOLE in os.environ:  # the launcher has given standard output and error to the log
        console = int(os.environ[CONSOLE])
    else:
        attempt = job.run.next_attempt(rank)
        os.environ[ATTEMPT] = str(attempt)
        console = os.dup(2)
        log = job.run.log(attempt, rank)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    return lambda line: _write_line(console, line)


def _write_line(console: int, line: str) -> None:
    with contextlib.suppress(OSError):  # a closed terminal does not end a training
        os.write(console, f"{line}\n".encode())


def _apply_environment(job: Job) -> None:
    for name, value in job.config.environment:
        os.environ.setdefault(name, value)


def launch(job: Job, arguments: list[str]) -> None:
    """Start the processes of a training on this machine and wait for them.

    Args:
        job: The training.
        arguments: The command line after the program's name; each process is given the same.

    Raises:
        ChildProcessError: A process failed; the message is its own.
        KeyboardInterrupt: The user asked to end; every process has ended.
    """
    job.run.prepare(job.identity())
    attempt = job.run.next_attempt()
    logs = [job.run.log(attempt, rank) for rank in range(job.config.layout.world_size)]
    logs[0].parent.mkdir(parents=True, exist_ok=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with _listener() as listener:
            for rank, log in enumerate(logs):
                environment = _environment(rank, len(logs), attempt, listener)
                processes.append(_start(arguments, environment, log, listener))
        _pass_signals_on(processes)
        _wait(processes, logs)
    finally:
        _end(processes)


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
    arguments: list[str], environment: dict[str, str], log: Path, listener: socket.socket
) -> subprocess.Popen[bytes]:
    console = os.dup(2)
    try:
        with log.open("ab") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "megatron_recipes", *arguments],
                env=environment | {CONSOLE: str(console)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                pass_fds=(console, listener.fileno()),
                start_new_session=True,
            )
    finally:
        os.close(console)


def _pass_signals_on(processes: list[subprocess.Popen[bytes]]) -> None:
    def pass_on(number: int, _frame: object) -> None:
        for process in processes:
            process.send_signal(number)

    for number in STOP_SIGNALS:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _wait(processes: list[subprocess.Popen[bytes]], logs: list[Path]) -> None:
    while any(process.poll() is None for process in processes):
        if any(process.returncode for process in processes):
            time.sleep(SETTLE_SECONDS)
            break
        time.sleep(POLL_SECONDS)
    failed = [rank for rank, process in enumerate(processes) if process.poll()]
    if failed:
        # A process ended by a signal is the cause of what the others say about lost connections;
        # else the one that spoke first is.
        rank = min(
            failed, key=lambda rank: (processes[rank].returncode > 0, logs[rank].stat().st_mtime_ns)
        )
        raise ChildProcessError(_failure(rank, processes[rank].returncode, logs[rank]))


def _failure(rank: int, status: int, log: Path) -> str:
    if status < 0:
        return f"rank {rank} was ended by {signal.Signals(-status).name}; its log is {log}"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    prefix = "megatron-recipes train: "
    said = next((line for line in reversed(lines) if line.startswith(prefix)), "")
    if said:
        return f"{said.removeprefix(prefix)} (rank {rank}; its log is {log})"
    return f"rank {rank} ended with status {status}; its log is {log}"


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt
    for process in processes:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    for process in processes:
        process.wait()
