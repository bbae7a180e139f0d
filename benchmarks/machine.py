"""What a figure has to name: processor, cores, Python, day, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]


def describe() -> dict[str, str | int | None]:
    """Return where and when this runs, and which code."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def commit(
    root: Path = ROOT, measured: Sequence[str] = ("rust_ext", "preprocess", "benchmarks/*.py")
) -> str:
    """Return the short name of the commit, with a plus if files that are measured differ from it.

    Args:
        root: The tree.
        measured: What of it is.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", *measured)
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def processor() -> str:
    """Return the processor's name as the kernel says it."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
