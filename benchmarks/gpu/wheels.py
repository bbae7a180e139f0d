"""The wheels that a machine's Python lacks, installed into a directory of their own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.gpu.about import ROOT
from benchmarks.gpu.runs import RefusedError

SHIM = "libcublaslt_shim.so"
"""One symbol that the cuBLASLt of torch 2.11 lacks; dense models never call it."""

TOOLKIT, HEADER = Path("/usr/local/cuda"), "cuda_runtime.h"
"""What Transformer Engine includes in kernels that it compiles while it runs."""


def install(wheels: str, work: Path) -> dict[str, str]:
    """Install every wheel of a folder, unless the same ones are installed; fetch nothing.

    Args:
        wheels: The folder, or `none`.
        work: Takes the installation.

    Returns:
        The environment of processes that use them.

    Raises:
        RefusedError: There is no such folder, no wheel in it, or pip refuses them.
    """
    path, extra = [str(ROOT)], {}
    if wheels != "none":
        folder = Path(wheels).resolve()
        site = work / "site"
        _install(folder, site)
        path.append(str(site))
        if (folder / SHIM).exists():
            extra["LD_PRELOAD"] = str(folder / SHIM)
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    path += [each for each in others if each and each not in path]
    home = os.environ.get("CUDA_HOME") or str(TOOLKIT)
    headers = _cuda_headers(Path(home))
    # A machine without a network has the loopback interface only.
    interfaces = {
        name: os.environ.get(name, "lo") for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")
    }
    return os.environ | interfaces | extra | {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "CUDA_HOME": home,
        "NVTE_CUDA_INCLUDE_DIR": headers,
        "NVTE_CUDA_INCLUDE_PATH": headers,
    }  # fmt: skip


def _cuda_headers(home: Path) -> str:
    """Return where CUDA's headers are: in the toolkit, else in PyTorch's wheels."""
    of_wheels = Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13"
    places = [each / "include" for each in (home, of_wheels)]
    return str(next((each for each in places if (each / HEADER).exists()), places[0]))


def _install(folder: Path, site: Path) -> None:
    if not folder.is_dir():
        raise RefusedError(f"{folder}: expected the folder of wheels, found none; or say none")
    files = sorted(folder.glob("*.whl"))
    if not files:
        raise RefusedError(f"{folder}: expected wheels (*.whl), found none")
    # One list of wheels, one installation: a run that was ended inside it begins it anew.
    digests = [f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.name}" for file in files]
    listed, done = "\n".join([sys.version, *digests, ""]), site.with_name("site.done")
    if done.exists() and done.read_text() == listed:
        return
    done.unlink(missing_ok=True)
    shutil.rmtree(site, ignore_errors=True)
    ran = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile",
         "--no-cache-dir", "--disable-pip-version-check", "--target", site, *files],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if line.strip()] or ["it did not say why"]
        wrong = next((line for line in said if line.startswith("ERROR")), said[-1])
        raise RefusedError(f"{folder}: pip did not install these wheels: {wrong}")
    done.write_text(listed)
