"""What a figure has to name: day, commit, versions, device."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from benchmarks import machine

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "torch", "megatron-core", "transformer-engine", "transformer-engine-cu13",
    "transformer-engine-torch", "triton", "numpy", "nvidia-cublas", "nvidia-cudnn-cu13",
    "nvidia-nccl-cu13", "nvidia-cuda-runtime",
)  # fmt: skip
CODE = ("megatron_recipes/**/*.py", "benchmarks/gpu/*.py")
SECONDS = 30
"""For a question to the driver."""


def describe(device: str) -> dict[str, Any]:
    """Return where and when this runs, and which code; for `cuda` also which GPU."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "code": code(),
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
        "nccl": ".".join(map(str, torch.cuda.nccl.version())),  # type: ignore[no-untyped-call]
        "compiler": compiler(),
    } | _driver()


def compiler() -> str:
    """Return the C compiler that Triton would call, or "" where it could build nothing.

    It compiles what starts each of its kernels: those of `torch.compile` (SwiGLU, Megatron-Core's
    cross entropy) and of Transformer Engine's cross entropy.
    """
    given = os.environ.get("CC")
    found = next(filter(None, map(shutil.which, [given] if given else ["gcc", "clang"])), "")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return found if headers.exists() else ""


def commit() -> str:
    """Return $COMMIT, or git's name of the tree with a plus if files differ from it.

    Where a tree was sent without git's files, only whoever sent it knows.
    """
    given = re.sub(r"[^\w.+-]", "-", os.environ.get("COMMIT", ""))
    if given or shutil.which("git") is None or not (ROOT / ".git").exists():
        return given or "unknown"
    return machine.commit(ROOT, ("megatron_recipes", "benchmarks/gpu/*.py")) or "unknown"


def code() -> str:
    """Return a digest of the Python files that measure: a commit's name may say too little."""
    whole = hashlib.sha256()
    for path in sorted(path for pattern in CODE for path in ROOT.glob(pattern)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(ROOT)} {content}\n".encode())
    return whole.hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _driver() -> dict[str, str]:
    names = ("driver_version", "power.limit", "clocks.max.sm")
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader", "--id=0"]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        said = ""
    values = [value.strip() for value in said.split(",")]
    if len(values) != len(names):
        values = ["unknown"] * len(names)
    return dict(zip(("driver", "power_limit", "greatest_sm_clock"), values, strict=True))
