"""What a check of a GPU makes of its findings: kept, repeated, refused, told apart."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from gpu_script import options_at

from benchmarks.gpu import checkpoints, curves, memory, throughput, twin
from benchmarks.gpu.failures import Cause, cause_of
from benchmarks.gpu.program import ProgramError, run_module
from benchmarks.gpu.report import Report, SkippedError, read_results

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.gpu.options import Options


def test_only_lost_files_that_are_needed_are_made_again(tmp_path: Path) -> None:
    there = {"a": True, "b": False, "c": False, "d": True}
    steps = tuple((name, dict, lambda name=name: there[name]) for name in there)

    def again(*held: str) -> set[str]:
        path = tmp_path / f"{'-'.join(held)} {there['a']}"
        report = Report("part", options_at(path), {"run": "1"})
        for name in held:
            report.run(name, dict)
        return checkpoints.to_make_again(report, steps)

    assert again("a", "b", "c", "d") == set()
    assert again("a", "b", "c") == {"b", "c"}
    assert again("a", "b") == {"b"}
    there["a"] = False
    assert again("a", "b") == {"a", "b"}


def test_what_another_run_found_keeps_its_date_and_versions(tmp_path: Path) -> None:
    options = options_at(tmp_path)
    calls: list[str] = []

    def find(name: str) -> dict[str, object]:
        calls.append(name)
        if name == "skip":
            raise SkippedError("why")
        if name == "raise":
            raise ValueError("how")
        return {"value": name, "ok": name == "good"}

    def run(number: str, **about: str) -> list[str]:
        calls.clear()
        report = Report("part", options, {"run": number, "commit": "a", **about})
        for name in ("good", "bad", "raise", "skip"):
            report.run(name, lambda name=name: find(name))
        assert report.failed == ["bad", "raise"]
        return list(calls)

    everything = ["good", "bad", "raise", "skip"]
    assert run("1", driver="1") == everything
    assert run("1", driver="1") == []  # the same run tries nothing twice
    assert run("2", driver="2") == everything[1:]
    content = read_results(tmp_path / "results/part.json")
    assert {step["name"]: step["run"] for step in content["steps"]} == {
        "good": "1", "bad": "2", "raise": "2", "skip": "2",
    }  # fmt: skip
    assert {name: about["driver"] for name, about in content["runs"].items()} == {
        "1": "1", "2": "2",
    }  # fmt: skip
    for field in ("commit", "code", "python", "packages", "device"):
        assert run(field, **{field: "another"}) == everything
    steps = {step["name"]: step for step in read_results(tmp_path / "results/part.json")["steps"]}
    assert (steps["skip"]["skipped"], steps["raise"]["error"]) == ("why", "how")


def test_other_inputs_or_lost_files_are_reasons_to_repeat(tmp_path: Path) -> None:
    calls = []

    def run(number: str, inputs: str, *, again: bool = False) -> None:
        report = Report("part", options_at(tmp_path), {"run": number})
        report.run("one", lambda: calls.append(number) or {}, inputs=inputs, again=again)

    run("1", "a")
    run("2", "a")
    run("3", "b")
    run("4", "b", again=True)
    run("5", "b")
    assert calls == ["1", "3", "4"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"steps": 1, "runs": {}}', '{"about": {}}'])
def test_broken_results_are_begun_anew(content: str, tmp_path: Path) -> None:
    options = options_at(tmp_path)
    options.results.mkdir()
    (options.results / "part.json").write_text(content)
    report = Report("part", options, {"run": "1"})
    assert report.run("one", dict)["ok"]


def test_without_time_nothing_is_begun(tmp_path: Path) -> None:
    report = Report("part", options_at(tmp_path, deadline=time.monotonic()), {"run": "1"})
    entry = report.run("late", lambda: pytest.fail("it was begun"))
    assert entry["ok"] is False
    assert "run the same command again" in entry["error"]


FULL = ProgramError("no room", Cause.DEVICE_MEMORY)


def try_plans(
    failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[int], dict[str, Any]]:
    """Try the plans where 32 layers end so; return what was tried, and what was found."""
    options = options_at(tmp_path, device="cuda", tiny=False)
    tried = []

    def measure(config: Any, *_arguments: Any) -> dict[str, Any]:
        tried.append(config.model.num_layers)
        if config.model.num_layers == 32:
            raise failure
        return {}

    monkeypatch.setattr(throughput, "measure", measure)
    return tried, throughput._first_that_fits("BF16", throughput.PLANS["BF16"], options)


def test_a_plan_that_does_not_fit_gives_way_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, found = try_plans(FULL, tmp_path, monkeypatch)
    assert tried == [32, 16]
    assert found["half_stack"] is True
    assert found["refused"] == ["the GPU's memory ran out: no room"]


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("num_layers (32) must be odd"),
        json.JSONDecodeError("no figures", "", 0),
        ProgramError("exit status 1"),
        ProgramError("exit status -9", Cause.KILLED),
        ProgramError("exit status 1", Cause.HOST_MEMORY),
        ProgramError("it was ended", Cause.TIME),
    ],
)
def test_no_other_failure_becomes_half_a_stack(
    failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(failure)) as raised:
        try_plans(failure, tmp_path, monkeypatch)
    assert raised.value is failure


def test_the_memory_model_refuses_by_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {"use_precision_aware_optimizer": False, "grad_reduce_in_fp32": True}
    fields = {"num_layers": 32, "global_batch_size": 2}
    options = options_at(tmp_path, device="cuda", tiny=False)
    monkeypatch.setattr(throughput, "measure", lambda *_arguments: {})
    plans = (fields | whole, fields | whole | {"num_layers": 16})
    found = throughput._first_that_fits("BF16", plans, options)
    assert found["half_stack"] is True
    assert "GB, of which" in found["refused"][0]

    def broken(_config: Any) -> Any:
        raise ValueError("a formula is broken")

    monkeypatch.setattr(throughput, "stage_memories", broken)
    with pytest.raises(ValueError, match="a formula is broken"):
        throughput._first_that_fits("BF16", plans, options)


@pytest.mark.parametrize(
    ("status", "said", "cause"),
    [
        (1, "torch.OutOfMemoryError: CUDA out of memory. Tried", Cause.DEVICE_MEMORY),
        (1, "torch.cuda.OutOfMemoryError: CUDA out of memory", Cause.DEVICE_MEMORY),
        (1, "RuntimeError: CUDA error: out of memory\nat", Cause.DEVICE_MEMORY),
        (1, "CUDA driver error: out of memory", Cause.DEVICE_MEMORY),
        (1, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", Cause.DEVICE_MEMORY),
        (1, "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", Cause.DEVICE_MEMORY),
        (
            1,
            "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
            Cause.DEVICE_MEMORY,
        ),
        (1, "ncclUnhandledCudaError\nCuda failure 2 'out of memory'", Cause.DEVICE_MEMORY),
        (1, "host:1 [0] NCCL WARN Cuda failure 'out of memory'", Cause.DEVICE_MEMORY),
        (1, "CUDA_ERROR_OUT_OF_MEMORY", Cause.DEVICE_MEMORY),
        (-9, "CUDA out of memory", Cause.KILLED),
        (1, "rank 0 was ended by SIGKILL; its log is x", Cause.KILLED),
        (137, "", Cause.KILLED),
        (1, "DefaultCPUAllocator: can't allocate memory: you tried", Cause.HOST_MEMORY),
        (1, "MemoryError", Cause.HOST_MEMORY),
        (1, "OSError: [Errno 12] Cannot allocate memory", Cause.HOST_MEMORY),
        (1, "CUDA error: an illegal memory access was encountered", Cause.OTHER),
        (1, "ValueError: memory", Cause.OTHER),
        (-11, "", Cause.OTHER),
    ],
)
def test_what_ran_out_is_told_apart(status: int, said: str, cause: Cause) -> None:
    assert cause_of(status, said) is cause


def test_a_failing_program_says_how_it_ended(tmp_path: Path) -> None:
    old = tmp_path / "rank-1.log"
    old.write_text("CUDA out of memory\n")
    os.utime(old, (1, 1))
    log = tmp_path / "rank-0.log"
    log.write_text("the cause\n")
    with pytest.raises(ProgramError, match=r"exit status 1: .*no_such_module(.|\n)*cause") as told:
        run_module(options_at(tmp_path), "no_such_module", logs=tmp_path)
    assert told.value.cause is Cause.OTHER  # an earlier attempt's log is not this one's
    # What was said first counts, however much was said after it.
    log.write_text("torch.OutOfMemoryError: CUDA out of memory\n" + "and so on\n" * 100)
    with pytest.raises(ProgramError, match=r"^the GPU's memory ran out: exit status 1") as told:
        run_module(options_at(tmp_path), "no_such_module", logs=tmp_path)
    assert told.value.cause is Cause.DEVICE_MEMORY
    late = options_at(tmp_path, deadline=time.monotonic())
    with pytest.raises(ProgramError, match="no time was left: timeit was ended") as told:
        run_module(late, "timeit", "-n", "1", "import time; time.sleep(60)")
    assert told.value.cause is Cause.TIME


def test_a_comparison_says_pass_or_fail_with_its_number(tmp_path: Path) -> None:
    options = options_at(tmp_path, device="cuda", tiny=False)
    bf16 = {"ok": True, "losses": [9.0] * 180 + [4.0] * 20}

    def fp8(last: float) -> dict[str, Any]:
        return {"ok": True, "losses": [9.0] * 180 + [last] * 20}

    near, far = (curves.compared(bf16, fp8(last), options) for last in (4.019, 3.979))
    assert (near["ok"], far["ok"]) == (True, False)
    assert near["verdict"] == (
        "pass: FP8 against BF16, mean loss of the last 20 of 200 steps +0.475%, allowed 0.5%"
    )
    assert far["verdict"].startswith("fail: ")
    assert "-0.525%" in far["verdict"]
    assert curves.compared(bf16, fp8(float("nan")), options)["ok"] is False
    assert curves.compared(bf16, fp8(4.0) | {"ok": False}, options)["ok"] is False
    for lacking in ({"ok": False}, {"ok": False, "losses": [9.0]}):
        with pytest.raises(LookupError, match="expected two whole trainings"):
            curves.compared(bf16, lacking, options)


def test_parts_of_a_gpu_go_through_with_what_a_gpu_would_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options_at(tmp_path, device="cuda", tiny=False, deadline=time.monotonic() + 600)
    given: dict[str, float] = {}

    def measure(_config: Any, its: Options, name: str, *_rest: Any) -> dict[str, Any]:
        given[name] = its.seconds_left()
        peak = 1.04e9 if "float32" in name else 1.06e9
        return {"settings": [], "predicted_memory_bytes": 1e9, "peak_memory_bytes": peak}

    def train(name: str, _config: Any, its: Options) -> dict[str, Any]:
        given[name] = its.seconds_left()
        return {"losses": [9.0, 7.0 if its.on_gpu else 7.1], "ok": True}

    monkeypatch.setattr(throughput, "measure", measure)
    monkeypatch.setattr(memory, "measure", measure)
    monkeypatch.setattr(twin, "_train", train)
    reports = {}
    for part in (throughput.throughput, memory.memory, twin.twin):
        reports[part.__name__] = Report(part.__name__, options, {"run": "1"})
        part(reports[part.__name__], options)
    assert [step["half_stack"] for step in reports["throughput"].steps] == [False, False]
    assert reports["memory"].failed == list(memory.CASES)[1:]
    # 0.1 from the CPU twin: too much in BF16, little enough in FP8.
    assert reports["twin"].failed == ["BF16", "BF16, precision-aware"]
    # Nothing takes all the time but what comes last, and what all others are compared with.
    assert given["BF16-0"] == pytest.approx(360, abs=5)
    assert given["FP8-0"] == pytest.approx(given["twin"], abs=5)
    assert given["FP8-0"] == pytest.approx(600, abs=5)
