"""When, where and with what a benchmark was made."""

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

VERSIONS = ("torch", "megatron-core", "transformer-engine")
PACKAGE = Path(__file__).resolve().parents[1]


def about() -> dict[str, Any]:
    """Return date, machine, versions and commit."""
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    for package in VERSIONS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found | {"commit": _commit()}


def _commit() -> str:
    """Return git's name of the commit, with a plus if the package differs from it."""
    try:
        # A package that is installed may lie inside another tree, whose commit is not its own.
        if _git("ls-files", "--error-unmatch", Path(__file__).name).returncode:
            return _told_commit()
        name = _git("rev-parse", "--short", "HEAD").stdout.strip()
        is_changed = _git("status", "--porcelain", "--", str(PACKAGE)).stdout.strip()
    except FileNotFoundError:  # a machine without git
        return _told_commit()
    return (name or _told_commit()) + ("+" if is_changed else "")


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(PACKAGE / "benchmark"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _told_commit() -> str:
    # A copy of the tree on another machine has no history; who made it may say what it is.
    return os.environ.get("COMMIT", "unknown")
