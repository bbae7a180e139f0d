"""The check of a GPU from outside its parts: wheels, imports, kills, hangs, disks, second runs."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from gpu_script import HIDING, ROOT, SCRIPT, environment_of, options_at

from benchmarks.gpu import about, needs, runs, wheels
from benchmarks.gpu.options import Options
from benchmarks.gpu.wheels import install

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 120

BARE: str = sys._base_executable  # type: ignore[attr-defined]
"""Python without the packages that a virtual environment adds, and with pip."""

HAS_PIP = not subprocess.run(
    [BARE, "-c", "import pip"], capture_output=True, check=False
).returncode
needs_pip = pytest.mark.skipif(not HAS_PIP, reason=f"{BARE} has no pip")

PART = """
import os, resource, signal, sys, time
from benchmarks.gpu import part

def die(): os.kill(os.getpid(), signal.SIGKILL)

def hang(): time.sleep(600)

def wreck(): raise RuntimeError("CUDA error: an illegal memory access was encountered")

def fill():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return {}

def twin(report, options):
    report.run("first", lambda: {"pid": os.getpid()})
    report.run("second", globals()[os.environ["SECOND"]], seconds=1)
    report.run("third", lambda: {"pid": os.getpid()})

part._functions = lambda: {"twin": twin}
sys.exit(part.main())
"""
"""A part whose second sub-step ends it."""


def options_for(path: Path, seconds: float = 100.0) -> Options:
    return options_at(path, results=path / "out", deadline=time.monotonic() + seconds)


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(SCRIPT), *arguments],
        env=environment_of(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(*arguments: str, **environment: str) -> str:
    """Run what is refused; return the one line it says."""
    process = start(*arguments, **environment)
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (2, ""), errors
    assert len(errors.splitlines()) == 1, errors
    return errors.strip()


def run_twin(
    path: Path, second: str, run: str, capfd: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Do that part as a run of that id: status, sub-steps, what was said on standard error."""
    (path / "fake_part.py").write_text(PART)
    (path / "out").mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{path}", "SECOND": second}
    status = runs._each(("twin",), options_for(path), environment, {"run": run}, {"twin": ""})
    steps = json.loads((path / "out/twin.json").read_text())["steps"]
    return status, {step["name"]: step for step in steps}, capfd.readouterr().err


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("die", "SIGKILL, as where the host's memory runs out"),
        ("hang", "exit status 1"),
        ("wreck", "exit status 1"),
    ],
)
def test_what_ends_a_process_costs_one_sub_step(
    second: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(runs, "PART_MODULE", "fake_part")
    status, steps, errors = run_twin(tmp_path, second, "run-1", capfd)
    assert status == 1
    assert f"twin: its process was ended in the sub-step 'second': {said}\n" in errors
    assert [step["ok"] for step in steps.values()] == [True, False, True]
    assert (
        "illegal memory" in steps["second"]["error"] or "ended in this" in steps["second"]["error"]
    )
    assert steps["third"]["pid"] != steps["first"]["pid"]
    # Another run tries again what failed, and nothing else.
    _, again, _ = run_twin(tmp_path, second, "run-2", capfd)
    assert [step["run"] for step in again.values()] == ["run-1", "run-2", "run-1"]
    assert again["third"] == steps["third"]


def test_a_full_disk_leaves_whole_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "PART_MODULE", "fake_part")
    status, steps, errors = run_twin(tmp_path, "fill", "run-1", capfd)
    assert status == 1
    assert errors.endswith("/out/twin.json: the results of twin cannot be written\n")
    assert (list(steps), steps["first"]["ok"]) == (["first", "second"], True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["twin.json"]


def test_a_part_that_outlasts_its_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "PART_MODULE", "slow_part")
    monkeypatch.setattr(runs, "PATIENCE", 0.0)
    (tmp_path / "slow_part.py").write_text("import time\ntime.sleep(600)\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    begun = time.monotonic()
    said, _ = runs._in_process({}, options_for(tmp_path, 1), environment)
    assert said == "its time was used up"
    assert time.monotonic() - begun < 30


def test_time_is_shared_and_what_is_left_passes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, float] = {}

    def one(order: dict[str, Any], options: Options, *_rest: Any) -> int:
        given[order["part"]] = options.seconds_left()
        return 0

    monkeypatch.setattr(runs, "_one", one)
    options = options_for(tmp_path, 1780)
    assert runs._each(needs.PARTS, options, {}, {"run": "1"}, dict.fromkeys(needs.PARTS, "")) == 0
    assert all(60 < seconds <= runs.MOST_SECONDS for seconds in given.values())
    # Each part took no time here: the last ones have all that a part may have.
    assert given["kernels"] == pytest.approx(1780 * 2 / 24, rel=0.01)
    assert given["memory"] == pytest.approx(runs.MOST_SECONDS, rel=0.01)
    late = options_for(tmp_path, 20)
    assert runs._each(("twin",), late, {}, {"run": "1"}, {"twin": ""}) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_ended_run_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("none", "twin", "--device", "cpu", "--tiny")
    places = {"OUT": str(out), "WORK": str(tmp_path / "work")}
    process = start(*asked, **places)
    deadline = time.monotonic() + PATIENCE
    tree: list[psutil.Process] = []
    while len(tree) < 2:  # the part, and the program it started
        assert time.monotonic() < deadline
        time.sleep(0.1)
        tree = psutil.Process(process.pid).children(recursive=True)
        tree = tree if (out / "twin.json").exists() else []
    # Meanwhile nobody else gets these directories.
    assert refused(*asked, **places | {"OUT": str(tmp_path / "other")}).endswith(
        "work: another run uses it: wait until it has ended"
    )
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert f"ended by {number.name}: the same command goes on" in errors
    psutil.wait_procs(tree, timeout=10)
    assert not [each for each in tree if each.is_running() and each.status() != "zombie"]
    step = json.loads((out / "twin.json").read_text())["steps"][0]
    assert (step["ok"], step["error"]) == (False, "its process was ended in this sub-step")


def test_two_runs_share_no_results(tmp_path: Path) -> None:
    second = runs.lock(tmp_path)
    with runs.lock(tmp_path), pytest.raises(runs.RefusedError, match="another run uses it"):
        second.__enter__()
    with runs.lock(tmp_path):
        pass


def wheel(folder: Path, content: str) -> Path:
    """Write a wheel of one module."""
    folder.mkdir(exist_ok=True)
    path = folder / "carried-1-py3-none-any.whl"
    info = "carried-1.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("carried.py", content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@needs_pip
def test_wheels_are_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setattr(sys, "executable", BARE)
    folder, work = tmp_path / "wheels", tmp_path / "work"
    work.mkdir()
    wheel(folder, "x = 1\n")
    (folder / "libcublaslt_shim.so").touch()
    environment = install(str(folder), work)
    assert environment["PYTHONPATH"] == f"{ROOT}:{work / 'site'}:/elsewhere"
    assert environment["LD_PRELOAD"] == str(folder / "libcublaslt_shim.so")
    module = work / "site/carried.py"
    (work / "site/mark").touch()
    install(str(folder), work)
    assert (work / "site/mark").exists()
    wheel(folder, "x = 2\n")
    install(str(folder), work)
    assert (module.read_text(), (work / "site/mark").exists()) == ("x = 2\n", False)


@needs_pip
def test_a_wrong_folder_of_wheels_begins_nothing(tmp_path: Path) -> None:
    cpu = ("kernels", "--device", "cpu", "--tiny")
    places = {"OUT": str(tmp_path / "out"), "WORK": str(tmp_path / "work")}
    assert "missing: expected the folder of wheels, found none" in refused(
        str(tmp_path / "missing"), *cpu, **places
    )
    (tmp_path / "empty").mkdir()
    assert "empty: expected wheels (*.whl), found none" in refused(
        str(tmp_path / "empty"), *cpu, **places
    )
    wheel(tmp_path / "broken", "").write_bytes(b"no archive")
    assert "pip did not install these wheels: ERROR" in refused(
        str(tmp_path / "broken"), *cpu, **places, PYTHON=BARE
    )
    assert "expected a file or directory, found none" in refused(
        "none", *cpu, **places, RESUME=str(tmp_path / "missing")
    )
    assert "expected parts of kernels" in refused("none", "kernel", "--device", "cpu", **places)
    assert "SECONDS_IN_ALL: expected a number" in refused(
        "none", *cpu, **places, SECONDS_IN_ALL="ten"
    )
    assert not (tmp_path / "out").exists()


def test_a_missing_package_stops_only_the_parts_that_need_it(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(HIDING)
    places = {
        "OUT": str(tmp_path / "out"), "WORK": str(tmp_path / "work"), "HIDDEN": "zstandard",
        "PYTHONPATH": str(tmp_path / "site"),
    }  # fmt: skip
    cpu = ("--device", "cpu", "--tiny")
    process = start("none", "curves", "kernels", *cpu, **places)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, errors
    assert "curves: 1 of 1 failed: what it imports" in output
    assert "kernels: 0 of" in output
    step = json.loads((tmp_path / "out/curves.json").read_text())["steps"][0]
    assert step["error"].startswith(
        "cannot import zstandard (ModuleNotFoundError: No module named 'zstandard'): add the "
        "wheels of zstandard to the wheels folder"
    )
    places["OUT"] = str(tmp_path / "other")
    assert "cannot import zstandard" in refused("none", "curves", "checkpoints", *cpu, **places)
    assert not (tmp_path / "other").exists()


def test_a_gpu_needs_all_that_its_engine_imports() -> None:
    for part in needs.PARTS:
        names = needs.wanted(part, on_gpu=True, has_blend=True)
        assert {"onnx", "onnxscript", "einops", "nvdlfw_inspect", "pydantic"} < set(names)
        assert len(set(names)) == len(names)
    found = needs.problems(["no_such_module", "transformer_engine.pytorch"])
    line = needs.complaint(found)
    assert "no_such_module (ModuleNotFoundError: " in line
    assert "transformer-engine-cu13" in line
    assert "\n" not in line
    assert needs.complaint({}) == ""


def test_a_commit_is_told_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMIT", "abc/1 2+")
    assert about.commit() == "abc-1-2+"
    monkeypatch.delenv("COMMIT")
    monkeypatch.setattr(about, "ROOT", tmp_path)
    assert about.commit() == "unknown"
    first = about.code()
    (tmp_path / "benchmarks/gpu").mkdir(parents=True)
    (tmp_path / "benchmarks/gpu/x.py").write_text("x = 1\n")
    assert about.code() != first
    assert "transformer-engine-cu13" in about.describe("cpu")["packages"]


def test_a_compiler_that_triton_lacks_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path))
    monkeypatch.setenv("CC", sys.executable)
    assert about.compiler() == ""
    (tmp_path / "Python.h").touch()
    assert about.compiler() == sys.executable
    monkeypatch.setenv("CC", str(tmp_path / "none"))
    assert about.compiler() == ""
    gpu = {"commit": "abc", "capability": [9, 0], "compiler": ""}
    options = dataclasses.replace(options_for(tmp_path), device="cuda")
    runs._check_device({"about": gpu, "problems": {}}, options)
    assert capfd.readouterr().err.startswith("no C compiler with Python's headers is found")
    runs._check_device({"about": gpu | {"compiler": "/usr/bin/gcc"}, "problems": {}}, options)
    assert capfd.readouterr().err == ""


def test_headers_of_cuda_are_those_of_the_toolkit_or_of_the_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_HOME", raising=False)
    toolkit, site = tmp_path / "cuda", tmp_path / "site-packages"
    monkeypatch.setattr(wheels, "TOOLKIT", toolkit)
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(site))
    assert install("none", tmp_path)["NVTE_CUDA_INCLUDE_DIR"] == str(toolkit / "include")
    header = site / "nvidia/cu13/include/cuda_runtime.h"
    header.parent.mkdir(parents=True)
    header.touch()
    found = install("none", tmp_path)
    # Transformer Engine looks for libraries in CUDA_HOME: those that PyTorch has loaded are taken.
    assert (found["CUDA_HOME"], found["NVTE_CUDA_INCLUDE_DIR"]) == (
        str(toolkit),
        str(header.parent),
    )
    (toolkit / "include").mkdir(parents=True)
    (toolkit / "include/cuda_runtime.h").touch()
    assert install("none", tmp_path)["NVTE_CUDA_INCLUDE_PATH"] == str(toolkit / "include")


def test_options_reach_another_process_whole(tmp_path: Path) -> None:
    options = options_for(tmp_path)
    assert Options.from_json(json.loads(json.dumps(options.as_json()))) == options
    assert options.first_of(2).seconds_left() == pytest.approx(60, abs=1)
    assert options.first_of(1).seconds_left() == pytest.approx(100, abs=1)
