"""When, where and with what a benchmark was made."""

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

VERSIONS = ("torch", "megatron-core", "transformer-engine")


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
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # a machine without git
        return _told_commit()
    return git.stdout.strip() or _told_commit()


def _told_commit() -> str:
    # A copy of the tree on another machine has no history; who made it may say what it is.
    return os.environ.get("COMMIT", "unknown")
