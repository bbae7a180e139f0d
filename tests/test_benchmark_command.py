"""`megatron-recipes benchmark` as a user runs it: sweeps, profiles, interruptions, refusals."""

import dataclasses
import json
import os
import socket
import time
from pathlib import Path

import pytest
from blend_files import write_masked_blend
from test_training import command, finish, run, start

from megatron_recipes.benchmark.command import (
    BenchmarkOptions,
    benchmark_configs,
    check_gpus,
    run_benchmark,
)
from megatron_recipes.benchmark.sweep import KINDS, sweep_configs
from megatron_recipes.estimate.layouts import estimate_config
from megatron_recipes.recipes import find_recipe
from megatron_recipes.run_directory import RunDirectory
from megatron_recipes.settings import with_fields

PNG = b"\x89PNG"
SMALL = ("--set", "vocab_size=512", "--set", "sequence_length=64")


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


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Two settings measured and traced: the directory, and what was printed."""
    output = tmp_path_factory.mktemp("swept") / "out"
    arguments = ["benchmark", "tiny", "--output", output, "--steps", "2", "--warm-up", "1"]
    arguments += ["--profile", "--sweep", "micro_batch", *SMALL, "--set", "global_batch_size=2"]
    done = run(command(*arguments))
    assert done.returncode == 0, done.stderr
    return output, done.stdout, done.stderr


def test_a_sweep_prints_the_best_and_keeps_all(swept: tuple[Path, str, str]) -> None:
    output, stdout, stderr = swept
    assert "2 settings are run, 0 do not fit the memory" in stderr
    assert "(1 process, micro batch 1)" in stderr
    content = json.loads((output / "result.json").read_text())
    speeds = [each["figures"]["tokens_per_second_per_gpu"] for each in content["results"]]
    assert len(speeds) == 2
    assert speeds == sorted(speeds, reverse=True)
    assert content["failed"] == {}
    assert content["sweep"] == "sweep: 2 settings are run, 0 do not fit the memory"
    assert "Sweep: 2 settings are run" in stdout
    assert content["formulas"]["model_tflops_per_gpu"].startswith("tokens/s/GPU x FLOP per token")
    assert (output / "result.png").read_bytes().startswith(PNG)
    assert "| settings | tokens/s/process | peak GB |" in stdout
    assert stdout.splitlines()[-1] == str(output / "result.json")


def test_the_dearest_kernels_have_their_share(swept: tuple[Path, str, str]) -> None:
    output, stdout, _ = swept
    content = json.loads((output / "result.json").read_text())
    kernels = content["results"][0]["measured"]["kernels"]
    assert len(kernels) == 10
    shares = [kernel["share"] for kernel in kernels]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1.0001
    assert f"| all others | | | {1 - sum(shares):.1%} |" in stdout
    assert "| operator of the CPU |" in stdout
    assert (output / "setting-00/trace.json.gz").stat().st_size > 1000


MEASURED = {
    "seconds": [2.0],
    "losses": [6.0, 5.9],
    "peak_memory_bytes": 1e9,
    "joules": None,
    "active": ["layers: ..."],
    "device": "cpu",
}


def sweep_with(
    monkeypatch: pytest.MonkeyPatch, output: Path, *outcomes: float | BaseException
) -> tuple[list[str], BaseException | None]:
    """Sweep settings that take some seconds or end so; return the lines told, and the error."""
    left = list(outcomes)

    def processes(run: RunDirectory, *_: object) -> None:
        outcome = left.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        content = json.dumps(MEASURED | {"seconds": [outcome]})
        (run.path / "measured.json").write_text(content)

    monkeypatch.setattr("megatron_recipes.benchmark.command.run_processes", processes)
    config = with_fields(find_recipe("tiny"), vocab_size=512)
    configs = [with_fields(config, micro_batch_size=size) for size in (1, 2, 4)][: len(outcomes)]
    options = BenchmarkOptions(
        output=output, num_steps=1, warm_up_steps=1, profile=False, sweep=("micro_batch",)
    )
    lines: list[str] = []
    try:
        lines.append(run_benchmark(configs, options, [], lines.append))
    except (ChildProcessError, KeyboardInterrupt) as error:
        return lines, error
    return lines, None


def test_a_setting_that_fails_is_left_out_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = ChildProcessError("OutOfMemoryError: CUDA out of memory | 80 GB (rank 0)")
    lines, error = sweep_with(monkeypatch, tmp_path, 2.0, memory, 1.0)
    assert error is None
    assert "sweep: 1 process, micro batch 2 failed and is left out: OutOfMemory" in lines[1]
    content = json.loads((tmp_path / "result.json").read_text())
    fastest = [each["settings"] for each in content["results"]]
    assert fastest == ["1 process, micro batch 4", "1 process, micro batch 1"]
    assert content["failed"] == {"1 process, micro batch 2": str(memory)}
    assert "| 1 process, micro batch 2 | OutOfMemoryError: CUDA out of memory   80 GB" in lines[-1]


@pytest.mark.parametrize(
    "end", [KeyboardInterrupt(), ChildProcessError("rank 0 was ended by SIGTERM; its log is x")]
)
def test_an_interrupted_sweep_reports_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    lines, error = sweep_with(monkeypatch, tmp_path, 2.0, end, 1.0)
    assert error is end
    assert lines[-1] == f"1 of 3 settings are measured: {tmp_path / 'result.md'}"
    [only] = json.loads((tmp_path / "result.json").read_text())["results"]
    assert only["settings"] == "1 process, micro batch 1"
    assert "MEGATRON_RECIPES_BENCHMARK" not in os.environ


def test_what_a_sweep_leaves_out_is_said() -> None:
    options = BenchmarkOptions(
        output=Path(), num_steps=1, warm_up_steps=1, profile=False, sweep=KINDS
    )
    configs, note = benchmark_configs(find_recipe("llama3_8b"), options)
    _, too_large, left_out = sweep_configs(find_recipe("llama3_8b"), KINDS)
    assert note == (
        f"sweep: {len(configs)} settings are run, {too_large} do not fit the memory; {left_out} "
        "more, behind these by the estimate, are not measured"
    )


def test_nothing_is_reported_where_nothing_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, error = sweep_with(monkeypatch, tmp_path, ChildProcessError("a"), ChildProcessError("b"))
    assert str(error) == "none of the 2 settings ran; the first: a"
    assert len(lines) == 2
    assert not (tmp_path / "result.json").exists()


def test_a_measurement_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    arguments = ["benchmark", "tiny", "--output", tmp_path / "out", "--steps", "100000", *SMALL]
    process = start(command(*arguments))
    log = tmp_path / "out/setting-00/logs/attempt-1/rank-0.log"
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    done = finish(process)
    assert done.returncode == 1
    assert "rank 0 was ended by SIGTERM" in done.stderr


def test_gpus_that_are_not_there_are_asked_for_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(command("benchmark", "llama3_8b", "--output", tmp_path / "out"))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "llama3_8b needs 8 GPUs (H100 SXM), here are none; run it there" in line
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"needs 8 GPUs \(H100 SXM\), here is 1; run it there"):
        check_gpus(find_recipe("llama3_8b"), starts_processes=True)


def test_processes_that_were_started_write_the_report_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blend = write_masked_blend(tmp_path / "data")  # of few epochs for a whole training
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("MASTER_ADDR", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    arguments = ["benchmark", "tiny", "--output", tmp_path / "out", "--steps", "1"]
    arguments += ["--warm-up", "1", "--blend", blend, "--set", "sequence_length=128"]
    arguments += ["--set", "document_bounded_attention=true", "--set", "pack_conversations=true"]
    done = run(command(*arguments))
    assert done.returncode == 0, done.stderr
    assert "| tokens/s/process with padding |" in done.stderr
    [only] = json.loads((tmp_path / "out/result.json").read_text())["results"]
    figures, content = only["figures"], only["measured"]["content"]
    assert content["tokens"] + content["padding"] == 4 * 128
    share = content["tokens"] / (4 * 128)
    assert figures["tokens_per_second_per_gpu"] == pytest.approx(
        share * figures["tokens_per_second_per_gpu_with_padding"]
    )
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
