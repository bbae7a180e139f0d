"""The results of one part: JSON, rewritten after every sub-step, so that a kill loses only one.

A sub-step that was done by the same commit at the same sizes is not repeated; one that failed, was
skipped or lacked time is.
"""

from __future__ import annotations

import json
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.gpu.options import Options

MARKS = {True: "ok", False: "FAILED", None: "skipped"}
MOST_ERROR_LINES = 15


class SkippedError(Exception):
    """This sub-step cannot be done here; the message says why."""


class Report:
    """What a part has found so far."""

    def __init__(self, part: str, options: Options, about: dict[str, Any]) -> None:
        self.path = options.results / f"{part}.json"
        self.options = options
        self._content: dict[str, Any] = {
            "part": part,
            "device": options.device,
            "tiny": options.tiny,
            "about": about,
            "steps": self._done_before(about),
        }
        self._save()

    def _done_before(self, about: dict[str, Any]) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        before = json.loads(self.path.read_bytes())
        same = (
            before["device"] == self.options.device
            and before["tiny"] == self.options.tiny
            and before["about"].get("commit") == about.get("commit")
        )
        return [step for step in before["steps"] if same and step["ok"]]

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self._content, indent=1) + "\n")
        unfinished.replace(self.path)

    @property
    def steps(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = self._content["steps"]
        return steps

    @property
    def failed(self) -> list[str]:
        return [step["name"] for step in self.steps if step["ok"] is False]

    def run(self, name: str, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do one sub-step, unless it is done; return what it found, with `ok`.

        `function` returns JSON-ready figures, and `ok` false where a limit is broken; an
        exception is a failure too, and the next sub-step is done all the same.
        """
        for step in self.steps:
            if step["name"] == name and step["ok"]:
                return step
        entry: dict[str, Any] = {"name": name, "ok": True}
        begun = time.perf_counter()
        try:
            self.options.require_time()
            entry |= function()
        except SkippedError as reason:
            entry |= {"ok": None, "skipped": str(reason)}
        except Exception as error:
            lines = traceback.format_exc().strip().splitlines()[-MOST_ERROR_LINES:]
            entry |= {"ok": False, "error": str(error), "traceback": lines}
        entry["seconds"] = round(time.perf_counter() - begun, 2)
        self._content["steps"] = [step for step in self.steps if step["name"] != name] + [entry]
        self._save()
        shown = {key: value for key, value in entry.items() if key not in ("name", "traceback")}
        print(f"{MARKS[entry['ok']]}: {name}: {json.dumps(shown)[:2000]}", flush=True)
        return entry
