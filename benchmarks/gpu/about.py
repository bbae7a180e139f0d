"""What a figure has to name: day, commit, versions, device."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "torch", "megatron-core", "transformer-engine", "transformer-engine-torch", "triton", "numpy",
    "nvidia-cudnn-cu13", "nvidia-nccl-cu13",
)  # fmt: skip


def describe(device: str) -> dict[str, Any]:
    """Return where and when this runs, and which code; for `cuda` also which GPU."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": "cpu",
    } | (_gpu() if device == "cuda" else {})


def _gpu() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {}
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "capability": list(torch.cuda.get_device_capability(0)),
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": _driver(),
    }


def commit() -> str:
    """Return $COMMIT, or git's name of the tree with a plus if files differ from it."""
    given = os.environ.get("COMMIT", "")
    if given or shutil.which("git") is None:
        return given or "unknown"

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    name = git("rev-parse", "--short", "HEAD")
    changed = git("status", "--porcelain", "--", "megatron_recipes", "benchmarks/gpu/*.py")
    return (name or "unknown") + ("+" if changed else "")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    command = ["nvidia-smi", "--query-gpu=driver_version,power.limit,clocks.max.sm",
               "--format=csv,noheader"]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
