"""A watchdog on every process: a step that does not end names the process that the others wait for.

A process that is stuck does not know it, and those that wait for it know only that they wait. So
each that has waited too long leaves a report beside its log: which step, doing what, where in the
code. Whoever leaves none does not answer; else the one that is behind is known from the reports.
Files are how they meet, since rank 0, which holds the store of the process group, may be the one
that is stuck.
"""

import contextlib
import faulthandler
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from megatron_recipes.whole_files import write_json

STARTING, READING, PASSES, UPDATING, SUMMING, EVALUATING, SAVING = (
    "starting",
    "reading data",
    "forward and backward passes",
    "the optimizer's update",
    "the sum over processes",
    "evaluation",
    "saving a checkpoint",
)
ORDER = (STARTING, READING, PASSES, UPDATING, SUMMING, EVALUATING, SAVING)
"""What a process does, in the order of a step: who is earlier in it is behind."""

WAITS = f"torch{os.sep}distributed{os.sep}"
"""Where the code of a process is that waits for others."""

MOST_NAMED = 8
POLLS = 20
"""Looks per timeout; more than a few missed ones mean that this process itself was suspended."""


class Watchdog:
    """Ends this process when a step takes longer than the timeout, saying who is behind."""

    def __init__(
        self,
        directory: Path,
        rank: int,
        hosts: Sequence[str],
        timeout_seconds: float,
        fail: Callable[[str, bool], None],
    ) -> None:
        """Begin to watch.

        Args:
            directory: Where reports go; the same for all processes.
            rank: Of this process.
            hosts: The machine of every process.
            timeout_seconds: What a step may take.
            fail: Told one line, and whether this is the first process of those that answer,
                before the process ends with status 1.
        """
        self._directory, self._rank, self._hosts = directory, rank, hosts
        self._timeout, self._fail = timeout_seconds, fail
        self._step, self._doing, self._since = 0, STARTING, time.monotonic()
        self._main = threading.main_thread().ident or 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def beat(self, step: int, doing: str) -> None:
        """Say that this process goes on: it does this, in this step."""
        self._step, self._doing, self._since = step, doing, time.monotonic()

    def now(self, doing: str) -> None:
        """Say what this process does now; the time of the step runs on."""
        self._doing = doing

    def reading(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Pass micro batches on, known to be reading data while the next one is made."""
        while True:
            before, self._doing = self._doing, READING
            batch = next(batches, None)
            self._doing = before
            if batch is None:
                return
            yield batch

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = self._timeout / POLLS
        looked = time.monotonic()
        while not self._closed.wait(pause):
            now = time.monotonic()
            # A machine that slept, or a job that its scheduler suspended, was not waiting.
            if now - looked > 5 * pause + 1:
                self._since += now - looked
            looked = now
            if now - self._since > self._timeout:
                self._end(self._since)

    def _end(self, since: float) -> None:
        path, mine = self._report_path(self._rank), self._report()
        with contextlib.suppress(OSError):  # on a full disk the others do not hear of it
            write_json(path, mine)
        # The others waited from about the same time on; they get a little more to report.
        if self._closed.wait(max(1.0, 0.1 * self._timeout)) or self._since != since:
            path.unlink(missing_ok=True)  # it was slow, and it goes on
            return
        faulthandler.dump_traceback(all_threads=True)
        reports = {self._rank: mine} | self._reports()
        verdict = judge(reports, self._hosts)
        line = (
            f"no step ended for {self._timeout:g} s (hang_timeout_seconds): {verdict}; the stacks "
            f"of those that answer are in {self._directory}; the same command resumes"
        )
        self._fail(line, self._rank == min(reports))
        os._exit(1)

    def _report(self) -> dict[str, Any]:
        frame = sys._current_frames().get(self._main)
        stack = traceback.extract_stack(frame) if frame else traceback.StackSummary()
        return {
            "step": self._step,
            "doing": self._doing,
            "is_waiting": any(WAITS in place.filename for place in stack),
            "stack": [f"{place.filename}:{place.lineno} {place.name}" for place in stack],
        }

    def _report_path(self, rank: int) -> Path:
        return self._directory / f"rank-{rank}.hang.json"

    def _reports(self) -> dict[int, dict[str, Any]]:
        reports = {}
        for rank in range(len(self._hosts)):
            with contextlib.suppress(FileNotFoundError):
                reports[rank] = json.loads(self._report_path(rank).read_bytes())
        return reports


def judge(reports: dict[int, dict[str, Any]], hosts: Sequence[str]) -> str:
    """Return, as part of a sentence, which processes the others wait for.

    Args:
        reports: By rank: `step`, `doing`, `is_waiting`.
        hosts: The machine of every process.
    """
    silent = [rank for rank in range(len(hosts)) if rank not in reports]
    if silent:
        verb = "does" if len(silent) == 1 else "do"
        return f"{_named(silent, hosts)} {verb} not answer, {_places(reports, 'the others wait')}"
    first = min(_place(report) for report in reports.values())
    behind = [rank for rank, report in reports.items() if _place(report) == first]
    if len(behind) == len(hosts):  # what each computes tells who does not wait
        behind = [rank for rank in behind if not reports[rank]["is_waiting"]]
    if not behind or len(behind) == len(hosts):
        where = _places(reports, "they are" if len(hosts) > 1 else "it is")
        return f"none of {len(hosts)} processes is behind the others, {where}"
    others = {rank: report for rank, report in reports.items() if rank not in behind}
    report = reports[behind[0]]
    verb = "is" if len(behind) == 1 else "are"
    return (
        f"{_named(behind, hosts)} {verb} in step {report['step']} ({report['doing']}), "
        f"{_places(others, 'the others wait')}"
    )


def _place(report: dict[str, Any]) -> tuple[int, int]:
    return report["step"], ORDER.index(report["doing"])


def _named(ranks: Sequence[int], hosts: Sequence[str]) -> str:
    shown = ", ".join(f"{rank} ({hosts[rank]})" for rank in ranks[:MOST_NAMED])
    more = f" and {len(ranks) - MOST_NAMED} more" if len(ranks) > MOST_NAMED else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {shown}{more}"


def _places(reports: dict[int, dict[str, Any]], they: str) -> str:
    if not reports:
        return "and no other does"
    places = sorted({(*_place(report), report["doing"]) for report in reports.values()})
    return f"{they} in " + " and ".join(f"step {step} ({doing})" for step, _, doing in places)
