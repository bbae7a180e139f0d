"""The watchdog of one process of a training: where its reports go, and who hears its last line."""

from collections.abc import Callable, Sequence

from megatron_recipes.guards.hang import Watchdog
from megatron_recipes.job import Job
from megatron_recipes.rank import has_launcher, report_failure
from megatron_recipes.world import gathered


def open_watchdog(
    job: Job, rank: int, hosts: Sequence[str], attempt: int, tell: Callable[[str], None]
) -> Watchdog:
    """Begin to watch; every process calls this together.

    Args:
        job: The training.
        rank: Of this process.
        hosts: The machine of every process.
        attempt: The number of this start, as this process counts: one that was not there before
            counts others, and reports must meet where those of rank 0 go.
        tell: Prints a line for the person who watches.
    """

    def report(line: str, is_first: bool) -> None:
        report_failure(TimeoutError(line))  # a launcher repeats the first it hears
        if is_first and not has_launcher():
            tell(f"megatron-recipes train: rank {rank}: {line}")

    directory = job.run.log(gathered(attempt)[0], 0).parent
    timeout = job.config.schedule.hang_timeout_seconds
    return Watchdog(directory, rank, hosts, timeout, report)
