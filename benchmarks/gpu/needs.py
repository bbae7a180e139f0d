"""The packages that the parts import, looked for before anything else is done."""

from __future__ import annotations

import importlib.util

ALWAYS = {
    "torch": "torch",
    "numpy": "numpy",
    "typer": "typer",
    "psutil": "psutil",
    "matplotlib": "matplotlib",
    "tokenizers": "tokenizers",
    "xxhash": "xxhash",
    "zstandard": "zstandard",
    "megatron.core": "megatron-core",
}
"""Module, and the package whose wheel has it."""

ON_GPU = {"transformer_engine": "transformer-engine, transformer-engine-torch"}


def missing(device: str) -> dict[str, str]:
    """Return modules that cannot be found, with their packages."""
    wanted = ALWAYS | (ON_GPU if device == "cuda" else {})
    return {module: package for module, package in wanted.items() if not _is_there(module)}


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of what it is inside
        return False


def complaint(device: str) -> str:
    """Return one line that names what is missing, or ""."""
    lacking = missing(device)
    if not lacking:
        return ""
    return (
        f"missing modules: {', '.join(lacking)}; add the wheels of "
        f"{', '.join(sorted(set(lacking.values())))} to the wheels folder (Python 3.12, Linux "
        "x86-64)"
    )
