"""The check of a GPU from a folder of wheels to results: what `run.sh` starts.

    python -P -m benchmarks.gpu WHEELS_DIR|none [PART...] [OPTION...]

It imports nothing that has to be installed. Exit status 0: every sub-step that this machine can do
holds; 1: one does not, or lacked time; 2: nothing was begun; 128 and a signal: ended by it.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.gpu.about import ROOT, commit
from benchmarks.gpu.needs import PARTS
from benchmarks.gpu.options import Options
from benchmarks.gpu.report import say
from benchmarks.gpu.runs import RefusedError, ended_by_signals, lock, run_parts
from benchmarks.gpu.wheels import install

SECONDS_IN_ALL = 1780.0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/gpu/run.sh")
    parser.add_argument("wheels", help="folder of the wheels that are missing here, or none")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes of a test")
    parser.add_argument("--blend", type=Path, help="real text as a blend file")
    parser.add_argument("--text", type=Path, default=ROOT, help="else a directory of text files")
    return parser.parse_intermixed_args()


def main() -> int:
    arguments = parse()
    try:
        with ended_by_signals():
            return _run(arguments, time.monotonic())
    except (RefusedError, OSError) as reason:
        say(f"benchmarks/gpu/run.sh: {reason}", sys.stderr)
        return 2


def _run(arguments: argparse.Namespace, begun: float) -> int:
    if unknown := [part for part in arguments.parts if part not in PARTS]:
        raise RefusedError(f"expected parts of {', '.join(PARTS)}, found {', '.join(unknown)}")
    given = os.environ.get("WORK") or Path(tempfile.gettempdir()) / "hephaestus-gpu"
    # Every process names the same commit.
    os.environ["COMMIT"] = commit()
    options = Options(
        device=arguments.device,
        tiny=arguments.tiny,
        results=Path(os.environ.get("OUT") or _default_results()).resolve(),
        work=Path(given).resolve(),
        blend=_existing(arguments.blend),
        text=_existing(arguments.text) or ROOT,
        deadline=begun + _seconds_in_all(),
    )
    earlier = _existing(Path(os.environ["RESUME"])) if os.environ.get("RESUME") else None
    options.work.mkdir(parents=True, exist_ok=True)
    with lock(options.work):
        environment = install(arguments.wheels, options.work)
        return run_parts(
            tuple(dict.fromkeys(arguments.parts)) or PARTS,
            options,
            environment,
            lambda: _take_over(earlier, options.results),
        )


def _seconds_in_all() -> float:
    given = os.environ.get("SECONDS_IN_ALL") or str(SECONDS_IN_ALL)
    try:
        return float(given)
    except ValueError:
        raise RefusedError(f"SECONDS_IN_ALL: expected a number, found {given!r}") from None


def _existing(path: Path | None) -> Path | None:
    if path is not None and not path.exists():
        raise RefusedError(f"{path}: expected a file or directory, found none")
    return path.resolve() if path else None


def _default_results() -> Path:
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    return ROOT / "benchmarks" / "gpu" / "results" / f"{day}-{os.environ['COMMIT']}"


def _take_over(earlier: Path | None, results: Path) -> None:
    """Copy earlier results of parts that have none yet."""
    for part in PARTS if earlier else ():
        found, target = Path(earlier or "") / f"{part}.json", results / f"{part}.json"
        if found.exists() and not target.exists():
            shutil.copyfile(found, target)


if __name__ == "__main__":
    sys.exit(main())
