"""The results of one part: JSON, rewritten around every sub-step, so that a kill loses only one.

A sub-step keeps the run that measured it: its date, commit, versions and device. One that held is
not repeated by the same code with the same packages on the same device; one that failed, was
skipped or lacked time is, once in each run.
"""

from __future__ import annotations

import contextlib
import datetime
import faulthandler
import json
import re
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.gpu.options import Options

MARKS = {True: "ok", False: "FAILED", None: "skipped"}
MOST_ERROR_LINES = 15
SAME = ("commit", "code", "python", "packages", "device")
"""What two runs have in common whose results stand in one file."""

STANDARD_ERROR = 2

GRACE_SECONDS = 5.0
"""After its time a sub-step ends what it started; then its process is ended."""

BROKEN_DEVICE = re.compile(
    "illegal memory access|misaligned address|unspecified launch failure|device-side assert"
    "|illegal instruction|invalid program counter|hardware stack error|uncorrectable ECC",
    re.IGNORECASE,
)
"""Errors after which every later call of the process fails too."""


NOT_SHOWN = ("name", "ok", "traceback", "run", "date", "inputs")
MOST_SHOWN, MOST_LISTED = 1000, 3
"""Characters of a sub-step, and entries of a list, on standard output."""


class SkippedError(Exception):
    """This kind of machine cannot do this sub-step; the message says why."""


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line, where there is room for it: a log on a full disk ends nothing."""
    with contextlib.suppress(OSError):
        print(line, file=file or sys.stdout, flush=True)


def read_results(path: Path) -> dict[str, Any]:
    """Return a part's results, or nothing where they are missing or broken."""
    try:
        content = json.loads(path.read_bytes())
        assert isinstance(content["steps"], list)
        assert isinstance(content["runs"], dict)
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AssertionError):
        say(f"{path}: expected results of this check, found others: begun anew", sys.stderr)
        return {}
    return dict(content)


class Report:
    """What a part has found so far.

    Args:
        part: Its name.
        options: Where results go, and the time that is left.
        about: What the run of that id is: `describe`, and `run`.
        may_exit: Whether a sub-step that hangs, or breaks the device, ends this process; whoever
            started it begins it again, behind that sub-step.
    """

    def __init__(
        self, part: str, options: Options, about: dict[str, Any], *, may_exit: bool = False
    ) -> None:
        self.path = options.results / f"{part}.json"
        self.options = options
        self._run_id, self._may_exit = about["run"], may_exit
        before = read_results(self.path)
        steps, runs = self._kept(before, about)
        # What is done again keeps its place.
        self._order = [step["name"] for step in before.get("steps", [])]
        self._content: dict[str, Any] = {
            "part": part,
            "device": options.device,
            "tiny": options.tiny,
            "ended": None,
            "latest": None,
            "runs": runs | {self._run_id: about},
            "steps": steps,
        }
        self._save()

    def _kept(
        self, before: dict[str, Any], about: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        asked = (self.options.device, self.options.tiny)
        if not before or (before["device"], before["tiny"]) != asked:
            return [], {}
        same = {
            name
            for name, run in before["runs"].items()
            if all(run.get(field) == about.get(field) for field in SAME)
        }
        steps = [
            step
            for step in before["steps"]
            if step["run"] in same and (step["ok"] or step["run"] == self._run_id)
        ]
        measured = {step["run"] for step in steps}
        return steps, {name: before["runs"][name] for name in sorted(measured)}

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".unfinished")
        try:
            unfinished.write_text(json.dumps(self._content, indent=1) + "\n")
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        unfinished.replace(self.path)

    @property
    def steps(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = self._content["steps"]
        return steps

    @property
    def failed(self) -> list[str]:
        return [step["name"] for step in self.steps if step["ok"] is False]

    def holds(self, name: str) -> bool:
        """Return whether a sub-step was done, now or before, and held."""
        return any(step["name"] == name and step["ok"] for step in self.steps)

    def end(self) -> None:
        """Note that every sub-step was tried."""
        self._content["ended"] = self._run_id
        self._save()

    def run(
        self,
        name: str,
        function: Callable[[], dict[str, Any]],
        *,
        inputs: str = "",
        again: bool = False,
        seconds: float = float("inf"),
    ) -> dict[str, Any]:
        """Do one sub-step, unless it is done; return what it found, with `ok`.

        Args:
            name: Its name.
            function: Returns JSON-ready figures, and `ok` false where a limit is broken; an
                exception is a failure too, and the next sub-step is done all the same.
            inputs: What it reads; what was found with other inputs does not count.
            again: Whether what it made is wanted and no longer there.
            seconds: That it may take in this process.

        Raises:
            OSError: The results cannot be written.
        """
        before = next((step for step in self.steps if step["name"] == name), None)
        if before and before["inputs"] == inputs:
            is_tried = before["run"] == self._run_id and not before["ok"]
            if is_tried or (before["ok"] and not again):
                return before
        entry: dict[str, Any] = {
            "name": name,
            "ok": False,
            "error": "its process was ended in this sub-step",
            "run": self._run_id,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "inputs": inputs,
        }
        self._put(entry)
        begun = time.perf_counter()
        del entry["error"]
        is_broken = False
        try:
            self.options.require_time()
            self._arm(min(seconds, self.options.seconds_left() + GRACE_SECONDS))
            entry |= {"ok": True} | function()
        except SkippedError as reason:
            entry |= {"ok": None, "skipped": str(reason)}
        except Exception as error:
            lines = traceback.format_exc().strip().splitlines()[-MOST_ERROR_LINES:]
            said = str(error) or type(error).__name__
            entry |= {"ok": False, "error": said, "traceback": lines}
            is_broken = bool(BROKEN_DEVICE.search(said))
        finally:
            self._disarm()
        entry["seconds"] = round(time.perf_counter() - begun, 2)
        self._put(entry)
        say(f"{MARKS[entry['ok']]}: {name}: {_shown(entry)}")
        if is_broken and self._may_exit:
            raise SystemExit(1)
        return entry

    def _put(self, entry: dict[str, Any]) -> None:
        name = entry["name"]
        if name not in self._order:
            self._order.append(name)
        steps = [step for step in self.steps if step["name"] != name] + [entry]
        self._content["steps"] = sorted(steps, key=lambda step: self._order.index(step["name"]))
        self._content["latest"] = name
        self._save()

    def _arm(self, seconds: float) -> None:
        # A thread of C's: a call that hangs in a driver holds Python's own lock.
        if self._may_exit:
            faulthandler.dump_traceback_later(seconds, exit=True, file=STANDARD_ERROR)

    def _disarm(self) -> None:
        if self._may_exit:
            faulthandler.cancel_dump_traceback_later()


def _shown(entry: dict[str, Any]) -> str:
    """Return the figures of a sub-step as one line; curves and settings stand in the file."""
    figures = {
        key: value
        for key, value in entry.items()
        if key not in NOT_SHOWN and not (isinstance(value, list) and len(value) > MOST_LISTED)
    }
    return json.dumps(figures)[:MOST_SHOWN]
