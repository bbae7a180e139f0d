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

from megatron_recipes.claim import claimed
from megatron_recipes.config import TrainingConfig
from megatron_recipes.job import Job
from megatron_recipes.run_directory import RunDirectory
from megatron_recipes.stop import STOP_SIGNALS, StopRequest, signals_restored

POLL_SECONDS = 0.1
SETTLE_SECONDS = 0.5
"""How long other processes get to say why they failed, before the first cause is looked for."""

ATTEMPT, CONSOLE, FAILURES, PARENT, LISTENER = (
    f"MEGATRON_RECIPES_{name}" for name in ("ATTEMPT", "CONSOLE", "FAILURES", "PARENT", "LISTENER")
)
MAX_FAILURE_BYTES = 4096
"""What fits into a pipe at once, so that lines of several processes do not mix."""
PR_SET_PDEATHSIG = 1


def one_line(error: BaseException) -> str:
    """Return what an error says, as one line; an unforeseen one with its class."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, ValueError | OSError | FloatingPointError):
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


def own_command(arguments: list[str]) -> list[str]:
    """Return the command line that runs this program in a process of its own.

    A program started by its script does not look for modules in the current directory, whatever
    files lie there; `python -m` does, unless it is told not to.
    """
    by_script = Path(sys.argv[0]).name != "__main__.py"
    return [sys.executable, *(["-P"] if by_script else []), "-m", "megatron_recipes", *arguments]


def run_as_rank(job: Job, rank: int, world_size: int) -> None:
    """Train as one of several processes.

    What libraries print goes to the log of this process; lines for the user go to the standard
    error this process was started with, from rank 0 alone.
    """
    job.config.layout.check_world_size(world_size)
    job.run.prepare(job.identity(), writes=False)
    tell = take_place(job.run, job.config, rank)
    stop = StopRequest()
    try:
        with _claim_of_rank(job, rank, tell):
            prepare_megatron()
            from megatron_recipes.train import train

            train(job, stop, int(os.environ[ATTEMPT]), tell)
    except BaseException as error:
        if CONSOLE not in os.environ:
            tell(f"megatron-recipes train: rank {rank}: {one_line(error)}")
        raise


def take_place(run: RunDirectory, config: TrainingConfig, rank: int) -> Callable[[str], None]:
    """Send what libraries print to this process's log, and set the config's environment.

    Returns:
        What prints a line for the user.
    """
    tell = _take_console(run, rank)
    for name, value in config.process_environment:
        os.environ.setdefault(name, value)
    return tell


def prepare_megatron() -> None:
    """Put our parts where Megatron-Core looks for them: before its first import."""
    from megatron_recipes import cpu, fused_weight_gradient

    fused_weight_gradient.install()
    cpu.install()


@contextlib.contextmanager
def _claim_of_rank(job: Job, rank: int, tell: Callable[[str], None]) -> Iterator[None]:
    if rank or CONSOLE in os.environ:  # the launcher holds the claim
        yield
        return
    with claimed(job.run.path, tell):
        job.run.prepare(job.identity())
        job.fetch_start(tell)
        yield


def has_launcher() -> bool:
    """Whether this process is one that `launch` started."""
    return FAILURES in os.environ


def report_failure(error: BaseException) -> None:
    """Tell the launcher, if there is one, why this process fails: a full disk holds no log."""
    if has_launcher():
        line = f"{os.environ['RANK']} {one_line(error)}".encode()[: MAX_FAILURE_BYTES - 1]
        with contextlib.suppress(OSError):  # the launcher has ended, and so will this process
            os.write(int(os.environ[FAILURES]), line + b"\n")


def _take_console(run: RunDirectory, rank: int) -> Callable[[str], None]:
    if CONSOLE in os.environ:  # the launcher has given standard output and error to the log
        console = int(os.environ[CONSOLE])
    else:
        attempt = run.next_attempt(rank)
        os.environ[ATTEMPT] = str(attempt)
        console = os.dup(2)
        log = run.log(attempt, rank)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    return lambda line: _write_line(console, line)


def _write_line(console: int, line: str) -> None:
    with contextlib.suppress(OSError):  # a closed terminal does not end a training
        os.write(console, f"{line}\n".encode())


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
    with claimed(job.run.path, lambda line: _write_line(2, line)) as claim:
        job.run.prepare(job.identity())
        job.fetch_start(lambda line: _write_line(2, line))
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
            _pass_signals_on(processes)
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


def _pass_signals_on(processes: list[subprocess.Popen[bytes]]) -> None:
    def pass_on(number: int, _frame: object) -> None:
        for process in processes:
            process.send_signal(number)

    for number in STOP_SIGNALS:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


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
