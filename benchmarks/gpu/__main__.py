"""One part of the check, in a process of its own: `python -m benchmarks.gpu PART ...`.

`run.sh` beside this installs what is missing and runs the parts in their order; README.md says
what a failure means. Exit status 0: every sub-step that this machine can do holds; 1: one does not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.gpu.about import ROOT, commit, describe
from benchmarks.gpu.needs import complaint
from benchmarks.gpu.options import Options

PARTS = ("kernels", "twin", "throughput", "curves", "checkpoints", "memory")
SECONDS = 580.0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu")
    parser.add_argument("part", choices=(*PARTS, "needs"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes of a test")
    parser.add_argument("--blend", type=Path, help="real text as a blend file")
    parser.add_argument("--text", type=Path, default=ROOT, help="else a directory of text files")
    parser.add_argument("--work", type=Path, help="for logs, datasets and checkpoints")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that the part may take")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    if problem := complaint(arguments.device):
        print(f"benchmarks.gpu: {problem}", file=sys.stderr)
        return 2
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    options = Options(
        device=arguments.device,
        tiny=arguments.tiny,
        results=Path(os.environ.get("OUT") or _default_results()).resolve(),
        work=(arguments.work or Path(tempfile.gettempdir()) / "hephaestus-gpu").resolve(),
        blend=arguments.blend.resolve() if arguments.blend else None,
        text=arguments.text.resolve(),
        deadline=time.monotonic() + arguments.seconds,
    )
    if arguments.part != "needs":
        return _run(arguments.part, options)
    about = describe(options.device)
    if options.on_gpu and about.get("capability") != [9, 0]:
        found = about.get("capability", "none that PyTorch sees; for a CPU: --device cpu --tiny")
        print(
            f"benchmarks.gpu: expected a GPU of compute capability 9.0 (H100, H200), found {found}",
            file=sys.stderr,
        )
        return 2
    options.work.mkdir(parents=True, exist_ok=True)
    _about_path(options).write_text(json.dumps(about))
    return 0


def _about_path(options: Options) -> Path:
    """Return where `needs` says what machine this is.

    A part that asked PyTorch itself would hold a share of the GPU's memory while others measure.
    """
    return options.work / "about.json"


def _default_results() -> Path:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return ROOT / "benchmarks" / "gpu" / "results" / f"{day}-{commit()}"


def _run(part: str, options: Options) -> int:
    from benchmarks.gpu import checkpoints, curves, kernels, memory, throughput, twin
    from benchmarks.gpu.report import Report

    functions = {
        "kernels": kernels.kernels,
        "twin": twin.twin,
        "throughput": throughput.throughput,
        "curves": curves.curves,
        "checkpoints": checkpoints.checkpoints,
        "memory": memory.memory,
    }
    report = Report(part, options, json.loads(_about_path(options).read_bytes()))
    functions[part](report, options)
    failed = report.failed
    print(f"{part}: {len(failed)} of {len(report.steps)} failed{': ' if failed else ''}"
          f"{', '.join(failed)}; {report.path}", flush=True)  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
