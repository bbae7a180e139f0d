"""What each part imports, and what of it cannot be imported here.

Modules are imported, not looked for: one that is there may lack another.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from megatron_recipes.rank import prepare_megatron

if TYPE_CHECKING:
    from collections.abc import Iterable

PARTS = ("kernels", "twin", "throughput", "curves", "checkpoints", "memory")

MODEL = ("torch", "numpy", "psutil", "packaging", "yaml", "megatron.core")
BENCHMARK = (*MODEL, "typer", "matplotlib")
TRAINING = (*MODEL, "typer", "zstandard")
TEXT = ("tokenizers", "xxhash")
"""Where no blend file is given."""

ENGINE = (
    "einops", "onnx", "onnxscript", "pydantic", "nvdlfw_inspect", "typing_extensions",
    "megatron.core", "transformer_engine.pytorch",
)  # fmt: skip
"""On a GPU; Transformer Engine imports the others when it starts, and says little if it cannot."""

PACKAGES = {
    "yaml": "pyyaml",
    "megatron.core": "megatron-core",
    "nvdlfw_inspect": "nvdlfw-inspect",
    "typing_extensions": "typing-extensions",
    "transformer_engine.pytorch": (
        "transformer-engine, transformer-engine-cu13, transformer-engine-torch"
    ),
}
"""Whose names are not the module's."""


def wanted(part: str, *, on_gpu: bool, has_blend: bool) -> tuple[str, ...]:
    """Return the modules that a part imports, in the order they can be imported in."""
    text = () if has_blend else TEXT
    modules = {
        "kernels": ("torch", "numpy"),
        "twin": MODEL,
        "throughput": BENCHMARK,
        "curves": (*TRAINING, *text),
        # Tensors that were converted are compared by their digests.
        "checkpoints": (*TRAINING, *text, "xxhash"),
        "memory": BENCHMARK if on_gpu else MODEL,
    }[part]
    return tuple(dict.fromkeys((*modules, *(ENGINE if on_gpu else ()))))


def problems(modules: Iterable[str]) -> dict[str, str]:
    """Return the modules that cannot be imported, and why; torch is imported first."""
    found = {}
    for module in sorted(modules, key=lambda name: (name != "torch", "." in name)):
        try:
            if module.startswith("megatron"):
                prepare_megatron()  # as every part does: without a GPU no engine is imported
            importlib.import_module(module)
        except Exception as error:  # a library that does not load raises anything
            lines = str(error).strip().splitlines() or [""]
            found[module] = f"{type(error).__name__}: {lines[0]}"
    return found


def complaint(found: dict[str, str]) -> str:
    """Return one line that names what cannot be imported, or ""."""
    if not found:
        return ""
    said = "; ".join(f"{module} ({why})" for module, why in found.items())
    packages = sorted({PACKAGES.get(module, module) for module in found})
    return (
        f"cannot import {said}: add the wheels of {', '.join(packages)} to the wheels folder "
        "(Python 3.12, Linux x86-64)"
    )
