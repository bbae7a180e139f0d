"""The check of a GPU: what of it needs none, by the same script, and what it says of trouble."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import cases, curves, memory, needs, text, throughput, twin
from benchmarks.gpu.options import Options
from benchmarks.gpu.program import ProgramError, run_module
from benchmarks.gpu.report import Report, SkippedError
from megatron_recipes.memory import check_memory
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import apply_settings

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks/gpu/run.sh"
PARTS = ("kernels", "twin", "throughput", "curves", "checkpoints", "memory")
TIMEOUT_SECONDS = 580


def options_at(path: Path, **changes: Any) -> Options:
    options = Options(
        device="cpu", tiny=True, results=path / "results", work=path / "work", blend=None,
        text=ROOT, deadline=time.monotonic() + 60,
    )  # fmt: skip
    return dataclasses.replace(options, **changes)


def run_script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *arguments],
        env=os.environ
        | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "COMMIT": "tested"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Every part, at the sizes of a test: results and output.

    Transformer Engine is there, and fails without a GPU, as on a machine whose GPU is not used.
    """
    path = tmp_path_factory.mktemp("gpu")
    engine = path / "site/transformer_engine/__init__.py"
    engine.parent.mkdir(parents=True)
    engine.write_text("raise RuntimeError('imported without a GPU')\n")
    ran = run_script(
        "none", "--device", "cpu", "--tiny",
        OUT=str(path / "out"), WORK=str(path / "work"), PYTHONPATH=str(path / "site"),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return path, ran.stdout


def steps_of(path: Path, part: str) -> dict[str, dict[str, Any]]:
    content = json.loads((path / "out" / f"{part}.json").read_text())
    assert (content["about"]["commit"], content["device"]) == ("tested", "cpu")
    return {step["name"]: step for step in content["steps"]}


@pytest.mark.slow
def test_every_part_writes_what_a_cpu_can_find(done: tuple[Path, str]) -> None:
    path, _ = done
    found = {part: steps_of(path, part) for part in PARTS}
    kernels = found["kernels"]
    assert kernels["weight gradient"]["errors"]["fp32"] < 1e-4
    assert kernels["linear tensorwise"] | {"seconds": 0} == {
        "name": "linear tensorwise",
        "ok": None,
        "skipped": "needs a GPU and Transformer Engine",
        "seconds": 0,
    }
    assert 0 < found["twin"]["float32"]["largest_gap"] < 0.05
    assert found["twin"]["CPU twin, BF16"]["fall"] > 1
    bf16 = found["throughput"]["BF16"]
    assert bf16["figures"]["tokens_per_second_per_gpu"] > 0
    assert "half_stack" not in bf16
    assert not any(name.startswith("mfu") for name in bf16["figures"])
    assert len(found["curves"]["FP8"]["losses"]) == curves.TINY_STEPS
    assert found["curves"]["comparison"]["relative_difference"] == 0
    resumed = found["checkpoints"]["resumed"]
    assert resumed["attempts"] == [1, 1, 1, 2, 2, 2]
    assert resumed["losses"] == found["checkpoints"]["unbroken"]["losses"]
    assert "model.safetensors" in found["checkpoints"]["export"]["files"]
    assert found["checkpoints"]["import of the export"]["ok"]
    assert len(found["memory"]) == len(memory.CASES) == 5
    for step in found["memory"].values():
        assert step["predicted"] == step["found"]


@pytest.mark.slow
def test_what_is_done_is_not_repeated(done: tuple[Path, str], tmp_path: Path) -> None:
    path, _ = done
    out = tmp_path / "out"
    ran = run_script(
        "none", "curves", "--device", "cpu", "--tiny",
        OUT=str(out), WORK=str(tmp_path), RESUME=str(path / "out"),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"curves: 0 of 3 failed; {out}/curves.json\n"


def test_results_of_another_commit_or_a_failure_are_found_again(tmp_path: Path) -> None:
    options = options_at(tmp_path)
    calls: list[str] = []

    def find(name: str, value: object) -> dict[str, object]:
        calls.append(name)
        if value == "skip":
            raise SkippedError("why")
        if value == "raise":
            raise ValueError("how")
        return {"value": value, "ok": value == "good"}

    for commit in ("a", "a", "b"):
        report = Report("part", options, {"commit": commit})
        for value in ("good", "bad", "raise", "skip"):
            report.run(value, lambda name=value: find(name, name))
        assert report.failed == ["bad", "raise"]
    assert calls == ["good", "bad", "raise", "skip", *["bad", "raise", "skip"],
                     "good", "bad", "raise", "skip"]  # fmt: skip
    steps = {step["name"]: step for step in json.loads(report.path.read_text())["steps"]}
    assert steps["skip"]["skipped"] == "why"
    assert steps["raise"]["error"] == "how"


def test_without_time_nothing_is_begun(tmp_path: Path) -> None:
    report = Report("part", options_at(tmp_path, deadline=time.monotonic()), {"commit": "a"})
    entry = report.run("late", lambda: pytest.fail("it was begun"))
    assert entry["ok"] is False
    assert "run the same command again" in entry["error"]


def test_a_missing_module_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert needs.complaint("cpu") == ""
    monkeypatch.setitem(needs.ALWAYS, "no_such_module", "no-such-package")
    line = needs.complaint("cpu")
    assert line.startswith("missing modules: no_such_module; add the wheels of no-such-package")
    assert "\n" not in line


def test_a_machine_without_a_gpu_is_told_so(tmp_path: Path) -> None:
    ran = run_script("none", "kernels", CUDA_VISIBLE_DEVICES="", WORK=str(tmp_path),
                     OUT=str(tmp_path / "out"))  # fmt: skip
    assert ran.returncode == 2
    assert "transformer_engine" in ran.stderr or "capability 9.0" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", throughput.PLANS)
def test_llama_3_8b_fits_one_h200_whole(name: str, tmp_path: Path) -> None:
    options = options_at(tmp_path, device="cuda", tiny=False)
    for fields in throughput.PLANS[name]:
        config = cases.one_gpu(options, **(throughput.BATCH | fields))
        check_memory(config)
        recipe, *settings = cases.arguments_of(config)
        again = apply_settings(find_recipe(recipe), settings[1::2])
        assert again == config
        assert (config.layout.world_size, config.batch.sequence_length) == (1, 8192)
    first = cases.one_gpu(options, **throughput.PLANS[name][0])
    assert first.model == find_recipe("llama3_8b").model
    assert first.precision.use_precision_aware_optimizer


def test_every_config_of_a_gpu_is_accepted(tmp_path: Path) -> None:
    options = options_at(tmp_path, device="cuda", tiny=False)
    fields = [memory.BASE | each for each in memory.CASES.values()]
    fields += [twin.TWO_LAYERS | each for each, _ in twin.VARIANTS.values()]
    fields += [curves.EIGHT_LAYERS | {"num_steps": 200} | each for each in ({}, cases.FP8)]
    configs = [cases.one_gpu(options, **each) for each in fields]
    assert len(set(configs)) == len(configs)
    for config in configs:
        check_memory(config)


def test_a_plan_that_does_not_fit_gives_way_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options_at(tmp_path, device="cuda", tiny=False)
    tried = []

    def measure(config: Any, *_arguments: Any) -> dict[str, Any]:
        tried.append(config.model.num_layers)
        if config.model.num_layers == 32:
            raise ProgramError("torch.OutOfMemoryError: CUDA out of memory")
        return {}

    monkeypatch.setattr(throughput, "measure", measure)
    found = throughput._first_that_fits("BF16", throughput.PLANS["BF16"], options)
    assert tried == [32, 16]
    assert found["half_stack"] is True
    assert "out of memory" in found["refused"][0]


def test_a_failing_program_says_how_it_ended(tmp_path: Path) -> None:
    (tmp_path / "rank-0.log").write_text("the cause\n")
    with pytest.raises(ProgramError, match=r"exit status 1: .*no_such_module(.|\n)*the cause"):
        run_module(options_at(tmp_path), "no_such_module", logs=tmp_path)
    late = options_at(tmp_path, deadline=time.monotonic())
    with pytest.raises(ProgramError, match="timeit was ended: no time was left"):
        run_module(late, "timeit", "-n", "1", "import time; time.sleep(60)")


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("words")
    with pytest.raises(ValueError, match=r"expected at least 20 files of .*, found 1"):
        text.blend_of(options_at(tmp_path, text=tmp_path))
