"""Being one of the processes of a training: its place, its log, its word to the launcher."""

import contextlib
import os
from collections.abc import Callable, Iterator

from megatron_recipes.claim import claimed
from megatron_recipes.config import TrainingConfig
from megatron_recipes.job import Job
from megatron_recipes.run_directory import RunDirectory
from megatron_recipes.stop import StopRequest

ATTEMPT, CONSOLE, FAILURES, LISTENER = (
    f"MEGATRON_RECIPES_{name}" for name in ("ATTEMPT", "CONSOLE", "FAILURES", "LISTENER")
)
"""What a launcher tells the processes it starts, in their environment."""
MAX_FAILURE_BYTES = 4096
"""What fits into a pipe at once, so that lines of several processes do not mix."""


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


def one_line(error: BaseException) -> str:
    """Return what an error says, as one line; an unforeseen one with its class."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, ValueError | OSError | FloatingPointError):
        return " ".join(str(error).split()) or type(error).__name__
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1].strip()[:300]}"


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
    return lambda line: write_line(console, line)


def write_line(console: int, line: str) -> None:
    """Write a line to a file that is open; one that takes no more does not end a training."""
    with contextlib.suppress(OSError):
        os.write(console, f"{line}\n".encode())
