"""What the tests of the GPU script start it with."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.options import Options

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks/gpu/run.sh"

HIDING = """
import os, sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in os.environ.get("HIDDEN", "").split():
            return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""
"""What makes the modules named in HIDDEN missing, as sitecustomize."""


def options_at(path: Path, **changes: Any) -> Options:
    """Return options of a small run on a CPU, below a directory."""
    options = Options(
        device="cpu", tiny=True, results=path / "results", work=path / "work", blend=None,
        text=ROOT, deadline=time.monotonic() + 60,
    )  # fmt: skip
    return dataclasses.replace(options, **changes)


def environment_of(given: dict[str, str]) -> dict[str, str]:
    """Return the environment that the script is started in."""
    return os.environ | {
        "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "COMMIT": "tested",
    } | given  # fmt: skip
