"""The parts, one after another, each in a process that ends in time; what ended it is said.

A part's process that ends inside a sub-step - killed, hung, its device broken - is begun again
behind that sub-step.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.needs import complaint, wanted
from benchmarks.gpu.report import read_results, say
from megatron_recipes.own_process import PARENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.gpu.options import Options

WEIGHTS = {
    "kernels": 2, "twin": 3, "throughput": 6, "curves": 5, "checkpoints": 3, "memory": 5,
}  # fmt: skip
"""Shares of the time that is left; what a part does not use is its successors'."""

MOST_SECONDS, LEAST_SECONDS = 580.0, 30.0
PATIENCE = 10.0
"""Seconds that a part may outlast its time, in which it ends what it started."""

PROBE_SECONDS = 180.0
PART_MODULE = "benchmarks.gpu.part"
NO_RESULTS = 2
"""The exit status of a part that cannot write its results."""


class RefusedError(Exception):
    """Nothing was begun; the message is one line."""


class EndedError(BaseException):
    """A signal asked to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Hold a directory against a second run; the lock ends with this process.

    Raises:
        RefusedError: Another run holds it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RefusedError(f"{directory}: another run uses it: wait until it has ended") from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def run_parts(
    parts: tuple[str, ...],
    options: Options,
    environment: dict[str, str],
    take_over: Callable[[], None],
) -> int:
    """Do the parts in this order; return the exit status.

    Args:
        parts: Of `needs.PARTS`.
        options: What is asked for; the deadline of all.
        environment: Of their processes.
        take_over: Brings earlier results, once it is known that something can be done.

    Raises:
        RefusedError: None of them can be done here.
    """
    modules = {
        part: wanted(part, on_gpu=options.on_gpu, has_blend=bool(options.blend)) for part in parts
    }
    found = _probe(options, environment, {name for each in modules.values() for name in each})
    _check_device(found, options)
    lacking = {
        part: complaint({
            name: found["problems"][name] for name in names if name in found["problems"]
        })
        for part, names in modules.items()
    }  # fmt: skip
    if all(lacking.values()):
        raise RefusedError(complaint(found["problems"]))
    options.results.mkdir(parents=True, exist_ok=True)
    with lock(options.results):
        take_over()
        return _each(parts, options, environment, found["about"], lacking)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """End this process by a line and its status where a signal asks for it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number: int, _frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # nothing is left to end
        raise EndedError(number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    except EndedError as ended:
        name = signal.Signals(ended.number).name
        say(f"ended by {name}: the same command goes on", sys.stderr)
        raise SystemExit(128 + ended.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _probe(options: Options, environment: dict[str, str], modules: set[str]) -> dict[str, Any]:
    hidden = {} if options.on_gpu else {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-P", "-m", "benchmarks.gpu.probe", options.device, *sorted(modules)]
    try:
        ran = subprocess.run(
            command, env=environment | hidden, capture_output=True, text=True, check=False,
            timeout=max(1.0, min(PROBE_SECONDS, options.seconds_left())),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RefusedError("importing the packages took all the time") from None
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RefusedError(f"importing the packages failed, status {ran.returncode}: {said}")
    found: dict[str, Any] = json.loads(ran.stdout)
    found["about"]["run"] = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
    return found


def _check_device(found: dict[str, Any], options: Options) -> None:
    about = found["about"]
    if about["commit"] == "unknown":
        say("the commit is unknown: give its name as COMMIT", sys.stderr)
    if options.on_gpu and "torch" not in found["problems"] and about.get("capability") != [9, 0]:
        there = about.get("capability", "none that PyTorch sees; for a CPU: --device cpu --tiny")
        raise RefusedError(f"expected a GPU of compute capability 9.0 (H100, H200), found {there}")
    if about.get("compiler") == "":
        say(
            "no C compiler with Python's headers is found (gcc, clang or $CC; Python.h): what "
            "Triton compiles, which every model's feed-forward part and loss is, may fail",
            sys.stderr,
        )


def _each(
    parts: tuple[str, ...],
    options: Options,
    environment: dict[str, str],
    about: dict[str, Any],
    lacking: dict[str, str],
) -> int:
    status = 0
    for number, part in enumerate(parts):
        left, weights = options.seconds_left(), [WEIGHTS[each] for each in parts[number:]]
        if left < LEAST_SECONDS:
            late = ", ".join(parts[number:])
            say(f"no time is left for {late}: the same command goes on", sys.stderr)
            return 1
        mine = options.within(min(MOST_SECONDS, left * weights[0] / sum(weights)))
        order = {"part": part, "about": about, "options": mine.as_json(), "lacking": lacking[part]}
        path = options.results / f"{part}.json"
        status = max(status, _one(order, mine, environment, path))
    return status


def _one(order: dict[str, Any], options: Options, environment: dict[str, str], path: Path) -> int:
    """Run one part to its end, or to that of its time; return 0 if all of it held."""
    part, run = order["part"], order["about"]["run"]
    tried = -1
    while True:
        said, code = _in_process(order, options, environment)
        if code == NO_RESULTS:
            say(f"{path}: the results of {part} cannot be written", sys.stderr)
            return 1
        content = read_results(path)
        if content.get("ended") == run:
            return min(code, 1)
        steps = [step for step in content.get("steps", []) if step["run"] == run]
        inside = f" in the sub-step {content['latest']!r}" if steps else ""
        say(f"{part}: its process was ended{inside}: {said}", sys.stderr)
        if len(steps) <= tried or options.seconds_left() < LEAST_SECONDS:
            return 1
        tried = len(steps)


def _in_process(
    order: dict[str, Any], options: Options, environment: dict[str, str]
) -> tuple[str, int]:
    """Return how the process ended, in words, and its status; a signal's is at least 128."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", PART_MODULE],
        env=environment | {PARENT: str(os.getpid())},
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        process.communicate(json.dumps(order), timeout=max(1, options.seconds_left()) + PATIENCE)
    except subprocess.TimeoutExpired:
        _kill(process)
        return "its time was used up", 128 + signal.SIGKILL
    except BaseException:
        _kill(process)
        raise
    if process.returncode >= 0:
        return f"exit status {process.returncode}", process.returncode
    name = signal.Signals(-process.returncode).name
    why = ", as where the host's memory runs out" if name == "SIGKILL" else ""
    return f"{name}{why}", 128 - process.returncode


def _kill(process: subprocess.Popen[str]) -> None:
    # What it started ends when it does.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
