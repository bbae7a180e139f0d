"""`megatron-recipes benchmark`: measured figures with their formulas, sweeps, refusals."""

import dataclasses
import json
import socket
from pathlib import Path

import pytest
from test_training import command, run

from megatron_recipes.benchmark.report import markdown, picture
from megatron_recipes.benchmark.results import Result, anchors
from megatron_recipes.benchmark.sweep import sweep_configs
from megatron_recipes.estimate.layouts import estimate_config
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import with_fields

PNG = b"\x89PNG"


def result(recipe: str, *seconds: float) -> Result:
    measured = {
        "seconds": list(seconds),
        "losses": [11.8, 11.7],
        "peak_memory_bytes": 70e9,
        "joules_of_rank_0": 700.0 * sum(seconds),
        "active": ["layers: ..."],
        "device": "NVIDIA H100",
    }
    return Result(config=find_recipe(recipe), measured=measured)


def test_figures_follow_from_the_median_step() -> None:
    found = result("llama3_8b_fp8", 30.0, 36.0, 50.0).figures()
    tokens = 512 * 8192 / 36 / 8
    assert found["tokens_per_second_per_gpu"] == pytest.approx(tokens)
    assert found["model_tflops_per_gpu_causal"] == pytest.approx(tokens * 51.47e9 / 1e12, rel=1e-3)
    assert found["mfu_causal_of_1979_fp8"] == pytest.approx(tokens * 51.47e9 / 1979e12, rel=1e-3)
    assert found["mfu_full_of_989_bf16"] == pytest.approx(tokens * 57.91e9 / 989e12, rel=1e-3)
    assert found["recomputed_tflops_per_gpu"] > 0
    mean_step = (30 + 36 + 50) / 3
    assert found["joules_per_token"] == pytest.approx(700 * mean_step / (512 * 8192) * 8)


def test_published_runs_stand_beside_the_same_model_only() -> None:
    assert len(anchors(find_recipe("llama3_8b"))) == 7
    assert [name[:14] for name, _ in anchors(find_recipe("llama3_8b_stage3"))] == [
        "Llama-3-8B SFT"
    ] * 2
    assert anchors(find_recipe("mistral_7b")) == []
    found = result("llama3_8b", 50.0)
    text = markdown([found], {})
    assert "Megatron-Bridge 25.11" in text
    assert "MFU: model TFLOP/s / dense peak" in text
    assert picture([found]).startswith(PNG)


def test_a_cpu_has_no_utilization() -> None:
    tiny = with_fields(find_recipe("tiny"), vocab_size=512)
    measured = {**result("llama3_8b", 1.0).measured, "joules_of_rank_0": None}
    names = Result(config=tiny, measured=measured).figures()
    assert not [name for name in names if name.startswith(("mfu", "joules"))]


def test_a_sweep_is_pruned_by_memory_and_checks() -> None:
    configs, too_large, left_out = sweep_configs(
        find_recipe("llama3_8b"), ["layout", "micro_batch", "recompute"]
    )
    assert len(configs) + left_out > 5
    assert too_large > 5
    assert len(set(configs)) == len(configs)
    assert all(config.layout.world_size == 8 for config in configs)
    seconds = [estimate_config(config).step.seconds for config in configs]
    assert seconds == sorted(seconds)
    assert seconds[0] < 1.1 * estimate_config(find_recipe("llama3_8b")).step.seconds
    for kinds in (["speed"], []):
        with pytest.raises(ValueError, match="--sweep takes some of layout,micro_batch,recompute"):
            sweep_configs(find_recipe("tiny"), kinds)
    small = with_fields(
        find_recipe("llama3_70b"),
        pipeline_model_parallel_size=1,
        virtual_pipeline_model_parallel_size=1,
        context_parallel_size=1,
        tensor_model_parallel_size=1,
        sequence_parallel=False,
        tp_comm_overlap=False,
        data_parallel_size=8,
    )
    with pytest.raises(ValueError, match="none of its settings fits"):
        sweep_configs(dataclasses.replace(small), ["layout"])


def test_tiny_is_measured_swept_and_profiled(tmp_path: Path) -> None:
    arguments = ["benchmark", "tiny", "--output", tmp_path / "out", "--steps", "2"]
    arguments += ["--warm-up", "1", "--profile", "--sweep", "micro_batch"]
    arguments += ["--set", "vocab_size=512", "--set", "sequence_length=64"]
    done = run(command(*arguments))
    assert done.returncode == 0, done.stderr
    assert "3 settings are run" in done.stderr
    content = json.loads((tmp_path / "out/result.json").read_text())
    speeds = [each["figures"]["tokens_per_second_per_gpu"] for each in content["results"]]
    assert len(speeds) == 3
    assert speeds == sorted(speeds, reverse=True)
    kernels = content["results"][0]["measured"]["kernels"]
    assert len(kernels) == 10
    assert 0 < sum(kernel["share"] for kernel in kernels) <= 1.0001
    assert (tmp_path / "out/setting-00/trace.json.gz").stat().st_size > 1000
    assert (tmp_path / "out/result.png").read_bytes().startswith(PNG)
    assert "| settings | tokens/s/GPU | GB |" in done.stdout


def test_processes_that_were_started_write_the_report_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("MASTER_ADDR", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    arguments = ["benchmark", "tiny", "--output", tmp_path / "out", "--steps", "1"]
    arguments += ["--warm-up", "1", "--set", "vocab_size=512", "--set", "sequence_length=64"]
    done = run(command(*arguments))
    assert done.returncode == 0, done.stderr
    assert "tokens per second per gpu" in done.stderr
    assert (tmp_path / "out/result.json").is_file()
    refused = run(command(*arguments, "--sweep", "layout"))
    assert refused.returncode == 1
    assert "--sweep starts processes of its own" in refused.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "benchmark needs the vocabulary"),
        (["--set", "vocab_size=512", "--steps", "0"], "--steps (0) and --warm-up (5) must be"),
        (["--set", "vocab_size=512", "--sweep", "all"], "--sweep takes some of"),
    ],
)
def test_misuse_is_one_line(tmp_path: Path, settings: list[str], message: str) -> None:
    done = run(command("benchmark", "tiny", "--output", tmp_path / "out", *settings))
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
