"""One part of the check, in a process of its own: `python -m benchmarks.gpu PART ...`.

`run.sh` beside this installs what is missing and runs the parts in their order; README.md says
what a failure means. Exit status 0: every sub-step that this machine can do holds; 1: one does not.
"""

from __future__ import annotations

import argparse
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
    elif problem := _no_gpu():
        print(f"benchmarks.gpu: {problem}", file=sys.stderr)
        return 2
    if arguments.part == "needs":
        return 0
    options = Options(
        device=arguments.device,
        tiny=arguments.tiny,
        results=Path(os.environ.get("OUT") or _default_results()).resolve(),
        work=(arguments.work or Path(tempfile.gettempdir()) / "hephaestus-gpu").resolve(),
        blend=arguments.blend.resolve() if arguments.blend else None,
        text=arguments.text.resolve(),
        deadline=time.monotonic() + arguments.seconds,
    )
    return _run(arguments.part, options)


def _no_gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        return "no GPU is seen by PyTorch; give --device cpu --tiny, or go where one is"
    capability = torch.cuda.get_device_capability(0)
    if capability != (9, 0):
        return f"expected a GPU of compute capability 9.0 (H100, H200), found {capability}"
    return ""


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
    report = Report(part, options, describe())
    functions[part](report, options)
    failed = report.failed
    print(f"{part}: {len(failed)} of {len(report.steps)} failed{': ' if failed else ''}"
          f"{', '.join(failed)}; {report.path}", flush=True)  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
