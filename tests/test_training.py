"""`megatron-recipes train` as a user runs it: layouts agree, and nothing that ends a run harms it.

Every run is a process of its own, on data that Megatron-Core's own builder wrote.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from blend_files import write_blend, write_part

from megatron_recipes.own_process import own_command

ROOT = Path(__file__).parents[1]
TIMEOUT_SECONDS = 180
TOLERANCE = 5e-6
STEPS = 20

LAYOUTS = {
    "TP2": ["tensor_model_parallel_size=2"],
    "PP2": ["pipeline_model_parallel_size=2"],
    "TP2 SP": ["tensor_model_parallel_size=2", "sequence_parallel=true"],
    "DP2": ["data_parallel_size=2"],
}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "megatron_recipes", *map(str, arguments)]


def training(blend: Path, directory: Path, *settings: str, start_from: Path | None = None) -> Any:
    arguments: list[str | Path] = ["train", "tiny", "--blend", blend, "--checkpoint-dir", directory]
    if start_from:
        arguments += ["--from", start_from]
    for setting in settings:
        arguments += ["--set", setting]
    return command(*arguments)


def start(arguments: list[str]) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What a shell starts in the background ignores Ctrl-C, and so would what the tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    try:
        stdout, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return finish(start(arguments))


def metrics(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def losses(directory: Path) -> list[tuple[str, int, str, float]]:
    """Every loss of a run with what it is the loss of, in the order of the file."""
    return [
        (entry["kind"], entry["step"], entry.get("group", ""), entry["loss"])
        for entry in metrics(directory)
    ]


def grad_norms(directory: Path) -> list[float]:
    return [entry["grad_norm"] for entry in metrics(directory) if entry["kind"] == "step"]


def wait_for_step(directory: Path, step: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if (directory / "metrics.jsonl").exists():
            steps = (directory / "metrics.jsonl").read_text().count('"kind": "step"')
            if steps >= step:
                return
        time.sleep(0.02)
    raise TimeoutError(f"step {step} was not reached")


def processes_of(directory: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(directory) in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for_no_process_of(directory: Path) -> list[psutil.Process]:
    deadline = time.monotonic() + 10
    while processes_of(directory) and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes_of(directory)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def blend(directory: Path) -> Path:
    return write_blend(directory / "data")


@pytest.fixture(scope="module")
def base(directory: Path, blend: Path) -> Path:
    """A checkpoint of step 0: the weights that every layout starts from."""
    path = directory / "base"
    result = run(training(blend, path, "stop_at_step=0"))
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{path}/step_0000000\n"
    assert not (path / "DONE").exists()
    return path


@pytest.fixture(scope="module")
def single(directory: Path, blend: Path, base: Path) -> Path:
    """The unbroken run on one process."""
    path = directory / "single"
    result = run(training(blend, path, f"stop_at_step={STEPS}", start_from=base))
    assert result.returncode == 0, result.stderr
    return path


@pytest.fixture(scope="module")
def layouts(directory: Path, blend: Path, base: Path) -> dict[str, Path]:
    """The unbroken run at each other layout."""
    runs = {}
    for name, settings in LAYOUTS.items():
        runs[name] = directory / name.replace(" ", "_")
        stop = f"stop_at_step={STEPS}"
        result = run(training(blend, runs[name], stop, *settings, start_from=base))
        assert result.returncode == 0, result.stderr
    return runs


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test(directory: Path) -> Iterator[None]:
    yield
    assert wait_for_no_process_of(directory) == []


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_have_equal_losses_over_20_steps(
    single: Path, layouts: dict[str, Path], name: str
) -> None:
    expected, found = losses(single), losses(layouts[name])
    assert [loss[:3] for loss in found] == [loss[:3] for loss in expected]
    assert len([loss for loss in found if loss[0] == "step"]) == STEPS
    worst = max(abs(a[3] - b[3]) for a, b in zip(expected, found, strict=True))
    assert worst < TOLERANCE
    # From equal weights the norms agree to rounding, which 20 clipped updates then amplify.
    assert grad_norms(layouts[name])[0] == pytest.approx(grad_norms(single)[0], rel=1e-6)
    assert grad_norms(layouts[name]) == pytest.approx(grad_norms(single), rel=1e-4)


def test_loss_falls_and_metrics_say_all_that_was_promised(single: Path) -> None:
    entries = metrics(single)
    assert [entry["group"] for entry in entries[:2]] == ["agent", "code"]
    assert entries[0] == {
        "kind": "evaluation",
        "step": 0,
        "group": "agent",
        "loss": entries[0]["loss"],
        "tokens": 7 * 256,
    }
    steps = entries[2:]
    assert [entry["step"] for entry in steps] == list(range(1, STEPS + 1))
    assert set(steps[0]) == {
        "kind",
        "step",
        "loss",
        "learning_rate",
        "grad_norm",
        "tokens_per_second",
        "tokens_per_second_per_gpu",
        "model_tflops_per_gpu",
        "flops_formula",
        "mfu",
        "mfu_denominator",
        "memory_bytes",
        "seconds",
        "seconds_left",
        "consumed_tokens",
        "attempt",
    }
    # 300 tokens padded to 384, causal attention, one process.
    flops = 6 * (4 * (2 * 128 * (128 + 64) + 3 * 128 * 352) + 384 * 128) + 6 * 4 * 128 * 256
    assert steps[0]["model_tflops_per_gpu"] == pytest.approx(
        steps[0]["tokens_per_second_per_gpu"] * flops / 1e12
    )
    assert (steps[0]["mfu"], steps[0]["mfu_denominator"]) == (None, "none")
    assert 1e8 < steps[0]["memory_bytes"] < 1e11
    assert steps[-1]["seconds_left"] == 0
    # Ranks are compared in the tenth step, and in the twentieth.
    assert [entry["step"] for entry in steps if "slowest_rank" in entry] == [10, 20]
    assert steps[0]["learning_rate"] == pytest.approx(2e-4)
    assert steps[9]["learning_rate"] == pytest.approx(2e-3)
    assert steps[-1]["consumed_tokens"] == STEPS * 4 * 256
    assert steps[-1]["loss"] < steps[0]["loss"] - 2


def test_killed_run_resumes_to_bit_equal_losses(
    directory: Path, blend: Path, base: Path, layouts: dict[str, Path]
) -> None:
    path = directory / "killed"
    stop = f"stop_at_step={STEPS}"
    arguments = training(
        blend, path, stop, *LAYOUTS["TP2"], "checkpoint_interval=4", start_from=base
    )
    process = start(arguments)
    wait_for_step(path, 10)
    process.kill()
    finish(process)
    assert wait_for_no_process_of(path) == []
    newest = max(path.glob("step_*"))
    assert newest.name in ("step_0000008", "step_0000012", "step_0000016")
    # What a kill in the middle of a save leaves, and a file that lost its end.
    unfinished = path / ".step_0000099.unfinished"
    unfinished.mkdir()
    damaged = path / "step_0000098"
    damaged.mkdir()
    (damaged / "checkpoint.json").write_text(
        '{"step": 98, "consumed_samples": 392, "files": {"__0_0.distcp": 1}}'
    )

    result = run(arguments)
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert f"ignored checkpoint {unfinished}: its save did not finish" in lines
    aside = f"{damaged.name}.damaged"
    assert (f"ignored checkpoint {damaged}: __0_0.distcp is missing; it is now {aside}") in lines
    assert f"resuming from {newest}" in lines
    assert losses(path) == losses(layouts["TP2"])
    assert {entry["attempt"] for entry in metrics(path) if entry["kind"] == "step"} == {1, 2}
    kept = sorted(entry.name for entry in path.iterdir() if "step" in entry.name)
    assert kept == ["step_0000016", "step_0000020", aside]
    assert "warn" not in result.stderr.lower()


def test_sigterm_saves_and_the_run_resumes_at_another_layout(
    directory: Path, blend: Path, base: Path, single: Path
) -> None:
    path = directory / "asked"
    arguments = training(blend, path, f"stop_at_step={STEPS}", start_from=base)
    process = start(arguments)
    wait_for_step(path, 5)
    process.send_signal(signal.SIGTERM)
    result = finish(process)
    assert result.returncode == 0, result.stderr
    stopped = max(path.glob("step_*"))
    step = int(stopped.name.removeprefix("step_"))
    assert 5 <= step < STEPS
    assert result.stdout == f"{stopped}\n"
    assert (
        f"stopped at step {step} of 100, asked to by SIGTERM; the same command resumes"
        in result.stderr.splitlines()
    )
    assert not (path / "DONE").exists()

    resumed = run([*arguments, "--set", "data_parallel_size=2"])
    assert resumed.returncode == 0, resumed.stderr
    for expected, found in zip(losses(single), losses(path), strict=True):
        assert found[:3] == expected[:3]
        assert found[3] == pytest.approx(expected[3], abs=TOLERANCE)


def test_second_training_is_refused_and_death_of_a_process_ends_the_others(
    directory: Path, blend: Path, base: Path
) -> None:
    path = directory / "orphaned"
    arguments = training(blend, path, *LAYOUTS["TP2"], start_from=base)
    process = start(arguments)
    wait_for_step(path, 2)
    second = run(arguments)
    assert (second.returncode, second.stderr) == (
        1,
        f"megatron-recipes train: {path}: expected no other training in it, but process "
        f"{process.pid} on {socket.gethostname()} trains there; wait for it, end it, or give "
        "another --checkpoint-dir\n",
    )
    [victim] = [child for child in processes_of(path) if child.environ().get("RANK") == "1"]
    victim.kill()
    result = finish(process)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "megatron-recipes train: rank 1 was ended by SIGKILL; its log is "
        f"{path}/logs/attempt-1/rank-1.log"
    )
    assert processes_of(path) == []


def test_checkpoint_that_does_not_fit_is_one_line_and_leaves_nothing(
    directory: Path, blend: Path
) -> None:
    path = directory / "full"
    arguments = training(blend, path, "stop_at_step=0", *LAYOUTS["TP2"])
    # The tensors of a process take some 6 MB; everything else fits.
    result = run(["/bin/sh", "-c", 'ulimit -f 2000; exec "$@"', "sh", *arguments])
    assert result.returncode == 1
    assert re.fullmatch(
        rf"megatron-recipes train: {path}/step_0000000: the checkpoint could not be written: rank "
        r"[01]: File too large; [\d,]+ bytes are free there now, the checkpoints before it are "
        r"unharmed, the same command resumes "
        rf"\(rank [01]; its log is {path}/logs/attempt-1/rank-[01].log\)",
        result.stderr.splitlines()[-1],
    )
    assert list(path.glob("*step_*")) == []


def test_damaged_checkpoint_of_the_right_size_is_one_line(
    directory: Path, blend: Path, base: Path
) -> None:
    path = directory / "damaged"
    shutil.copytree(base, path)
    metadata = path / "step_0000000/.metadata"
    metadata.write_bytes(bytes(metadata.stat().st_size))
    result = run(training(blend, path, "stop_at_step=1"))
    assert (result.returncode, result.stderr.splitlines()[-1]) == (
        1,
        f"megatron-recipes train: {path}/step_0000000: .metadata is not as it was written: its "
        "SHA-256 differs, and no older checkpoint is sound; bring back a copy of it, or remove "
        f"{path} to begin anew (rank 0; its log is {path}/logs/attempt-2/rank-0.log)",
    )


def test_files_in_the_current_directory_are_no_modules_of_a_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/megatron-recipes", "list"])
    assert own_command(["list"]) == [sys.executable, "-P", "-m", "megatron_recipes", "list"]


def test_ctrl_c_ends_every_process_with_one_line(tmp_path: Path, blend: Path) -> None:
    path = tmp_path / "interrupted"
    process = start(training(blend, path))
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (path / "logs/attempt-1/rank-0.log").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    result = finish(process)
    assert (result.returncode, result.stderr) == (
        1,
        "megatron-recipes train: interrupted; the same command resumes\n",
    )
    assert processes_of(path) == []


def test_plan_runs_what_is_missing_and_starts_from_an_earlier_training(
    directory: Path, blend: Path
) -> None:
    write_part(blend.parent / "code/tiny-00000", num_documents=1, document_length=100)
    content = json.loads(blend.read_text())
    content["valid"] = [{"group": "code", "prefixes": ["code/tiny-00000"]}]
    runs = directory / "runs"
    (runs / "mixed").mkdir(parents=True)
    for entry in content["train"] + content["valid"]:
        entry["prefixes"] = [f"../../data/{prefix}" for prefix in entry["prefixes"]]
    (runs / "mixed/blend.json").write_text(json.dumps(content))
    plan = directory / "plan.toml"
    plan.write_text(
        f"""
        [run]
        directory = "{runs}"

        [[stage]]
        name = "mixed"

        [[training]]
        name = "first"
        recipe = "tiny"
        blend = "mixed"
        set = {{ num_steps = 2, lr_warmup_steps = 0 }}

        [[training]]
        name = "second"
        recipe = "tiny"
        blend = "mixed"
        from = "first"
        set = {{ num_steps = 1, lr_warmup_steps = 0, params_dtype = "bfloat16" }}
        """
    )
    result = run(command("plan", plan))
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert (
        f"held-out part {blend.parent}/code/tiny-00000 of group code is not evaluated: "
        "it has 100 tokens, one sequence needs 257"
    ) in lines
    assert f"starting from the weights of {runs}/first/step_0000002" in lines
    assert (runs / "second/DONE").exists()

    again = run(command("plan", plan))
    assert again.returncode == 0
    assert again.stderr.splitlines() == [
        f"training {name}: already done, {runs}/{name}" for name in ("first", "second")
    ]


def test_another_config_is_refused_in_one_line(blend: Path, base: Path) -> None:
    result = run(training(blend, base, "stop_at_step=0", "weight_decay=0.2"))
    assert (result.returncode, result.stderr) == (
        1,
        f"megatron-recipes train: {base} was begun with another optimization.weight_decay "
        "(there 0.1, now 0.2); give the same, or another --checkpoint-dir\n",
    )


def test_weights_of_another_model_are_refused_in_one_line(
    tmp_path: Path, blend: Path, base: Path
) -> None:
    result = run(training(blend, tmp_path / "run", "ffn_hidden_size=256", start_from=base))
    assert (result.returncode, result.stderr) == (
        1,
        f"megatron-recipes train: --from {base}: ffn_hidden_size is 352 there and "
        "256 here; start from a checkpoint of the same model and tokenizer\n",
    )
    assert not (tmp_path / "run").exists()


def test_other_tokenizer_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write_blend(tmp_path / "data")
    write_part(tmp_path / "data/code/valid-00000", tokenizer="two")
    result = run(training(path, tmp_path / "run"))
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("megatron-recipes train: ")
    assert "code/valid-00000 was made with another tokenizer" in line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["show", "tiny", "--set", "global_batch_size=3"],
            "megatron-recipes show: global_batch_size (3) must be a multiple of micro_batch_size "
            "(2) x data_parallel_size (1) = 2",
        ),
        (
            ["show", "large"],
            "megatron-recipes show: there is no recipe 'large'; expected tiny, or one of "
            "llama3_8b, llama3_70b, mistral_7b, qwen2_5_7b, which may end in _stage2 or _stage3, "
            "_h200, _fp8, in this order",
        ),
        (
            ["train", "tiny", "--blend", "b"],
            "megatron-recipes train: Missing option '--checkpoint-dir'; "
            "see megatron-recipes train --help",
        ),
    ],
)
def test_misuse_is_one_line_and_status_2(arguments: list[str], line: str) -> None:
    result = run(command(*arguments))
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"{line}\n")


def test_missing_plan_is_one_line_and_status_1(tmp_path: Path) -> None:
    result = run(command("plan", tmp_path / "none.toml"))
    assert (result.returncode, result.stderr) == (
        1,
        f"megatron-recipes plan: {tmp_path}/none.toml: expected a plan, found no such file\n",
    )
