"""One part of the check, in a process of its own: `python -m benchmarks.gpu.part`.

Standard input is JSON: the part, what it was asked for, what this machine is, and what cannot be
imported of what it needs. Exit status 0: all held; 1: something did not; 2: no results could be
written.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.options import Options
from benchmarks.gpu.report import Report, say
from megatron_recipes.own_process import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORTS = "what it imports"
"""The sub-step that a part has which lacks something."""


def _functions() -> dict[str, Callable[[Report, Options], None]]:
    from benchmarks.gpu.checkpoints import checkpoints
    from benchmarks.gpu.curves import curves
    from benchmarks.gpu.memory import memory
    from benchmarks.gpu.throughput import throughput
    from benchmarks.gpu.twin import twin

    return {
        "kernels": _kernels,
        "twin": twin,
        "throughput": throughput,
        "curves": curves,
        "checkpoints": checkpoints,
        "memory": memory,
    }


def _kernels(report: Report, options: Options) -> None:
    from benchmarks.gpu.kernels import kernels  # it imports torch

    kernels(report, options)


def run_part(order: dict[str, Any]) -> int:
    """Do what is asked; see the module."""
    options = Options.from_json(order["options"])
    part = order["part"]
    report = Report(part, options, order["about"], may_exit=True)

    def lacks() -> dict[str, Any]:
        raise ImportError(order["lacking"])

    if order["lacking"]:
        report.run(IMPORTS, lacks)
    else:
        _functions()[part](report, options)
    report.end()
    failed = report.failed
    names = f": {', '.join(failed)}" if failed else ""
    say(f"{part}: {len(failed)} of {len(report.steps)} failed{names}; {report.path}")
    return 1 if failed else 0


def main() -> int:
    die_with_parent()
    order = json.load(sys.stdin)
    if order["options"]["device"] == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        return run_part(order)
    except OSError as error:
        say(f"{order['part']}: {error}", sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
