"""What the loop does when a step is bad, a process is slow or stuck, or Python collects garbage."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy
import pytest
from blend_files import write_blend
from checkpoint_runs import small_job
from forked_world import run_world
from test_training import finish, processes_of, start, training, wait_for_step
from training_runs import (
    attempt,
    lose_sample,
    meeting_place,
    slow_rank,
    surprise,
    watch_collections,
    write_ids,
)

from megatron_recipes.guards.hang import PASSES, READING, UPDATING, judge
from megatron_recipes.guards.loss_guard import LossGuard
from megatron_recipes.guards.stragglers import Measurement, slow_ranks

HOST = socket.gethostname()


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_blend(tmp_path_factory.mktemp("guards") / "data")
    write_ids(path)
    return path


def step_numbers(directory: Path) -> list[int]:
    entries = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [entry["step"] for entry in entries if entry["kind"] == "step"]


def tokens_of(sequence: dict[str, Any]) -> list[int]:
    """The tokens of the documents that a bad step names, from the `.bin` itself."""
    tokens = numpy.fromfile(f"{sequence['prefix']}.bin", dtype=numpy.uint16)
    length = 200  # of every document that write_part makes
    named: list[int] = []
    for part in sequence["documents"]:
        first = part["document"] * length + part["first_token"]
        named += tokens[first : first + part["tokens"]].tolist()
    return named


def sequences_read(training: Any, samples: list[int]) -> list[list[int]]:
    """The tokens of some samples, with their last label, as the training reads them."""
    found = [training.datasets.train[sample] for sample in samples]
    return [[*each["tokens"].tolist(), int(each["labels"][-1])] for each in found]


def test_loss_that_is_no_number_stops_at_the_last_checkpoint_and_names_the_documents(
    blend: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    settings = ["checkpoint_interval=2", "data_parallel_size=2", "async_save=true"]
    job = small_job(blend, directory, *settings)
    # The sixth step reads samples 20 to 23: micro batches of one, on two replicas in turn.
    found = attempt(1, job, lose_sample, 22)
    path = directory / "bad_step_0000006.json"
    line = found[0][1]
    assert line == found[1][1]  # all processes end alike
    assert re.fullmatch(
        r"step 6 is bad: its loss is nan and its gradient norm nan; its 4 sequences are of \d "
        rf"documents \(by source: .*\), listed in {path}; nothing of the step is kept, the "
        rf"training stands at {directory}/step_0000004; the same command tries the step again",
        line,
    )
    assert step_numbers(directory) == [1, 2, 3, 4, 5]
    assert sorted(entry.name for entry in directory.glob("*step_0*")) == [
        "bad_step_0000006.json",
        "step_0000002",
        "step_0000004",
    ]

    content = json.loads(path.read_text())
    assert (content["loss"], content["attempts"]) == ("nan", [1])
    assert [
        (each["sample"], each["data_parallel_rank"], each["micro_batch"])
        for each in content["sequences"]
    ] == [(20, 0, 0), (21, 1, 0), (22, 0, 1), (23, 1, 1)]
    losses = [each["micro_batch_loss"] for each in content["sequences"]]
    assert losses[2] == "nan"
    assert all(0 < loss < 10 for loss in (losses[0], losses[1], losses[3]))
    look = small_job(blend, tmp_path / "look", "stop_at_step=0")
    [(_, _, sequences)] = attempt(1, look, sequences_read, [20, 21, 22, 23])
    assert [tokens_of(each) for each in content["sequences"]] == sequences
    for each in content["sequences"]:
        assert each["group"] == Path(each["prefix"]).parent.name
        for part in each["documents"]:
            number, name = part["document"], Path(each["prefix"]).name
            assert part["source"] == f"{each['group']}_{number % 3}"
            assert part["id"] == f"{part['source']}/{name}.json#{number}"


def test_bad_step_that_comes_again_is_called_the_same(blend: Path, tmp_path: Path) -> None:
    job = small_job(blend, tmp_path / "run", "checkpoint_interval=2")
    attempt(1, job, lose_sample, 10)
    [(lines, error, _)] = attempt(2, job, lose_sample, 10)
    assert (
        "step 3 was bad in attempt 1 (its loss is nan and its gradient norm nan); "
        "its batch comes again" in lines
    )
    assert error.endswith(
        f"stands at {tmp_path}/run/step_0000002; it was bad in attempt 1 too: begin another "
        "training --from there, with a lower learning_rate or without these documents"
    )
    assert json.loads((tmp_path / "run/bad_step_0000003.json").read_text())["attempts"] == [1, 2]


def test_spike_stops_a_run_also_behind_a_checkpoint(blend: Path, tmp_path: Path) -> None:
    settings = ["checkpoint_interval=10", "loss_spike_factor=1.05"]
    job = small_job(blend, tmp_path / "run", *settings)
    twelfth = {44, 45, 46, 47}
    errors = [attempt(number, job, surprise, twelfth, 383)[0][1] for number in (1, 2)]
    for error in errors:
        assert re.match(
            r"step 12 is bad: its loss of [\d.]+ is more than loss_spike_factor \(1.05\) times "
            r"[\d.]+, the mean of 11 steps before; ",
            error,
        )
    # The second begins behind step 10: its mean is that of the metrics file.
    assert errors[0].split(";")[0] == errors[1].split(";")[0]
    job = small_job(blend, tmp_path / "run", "loss_spike_factor=0", "stop_at_step=12")
    assert attempt(3, job, surprise, twelfth, 383)[0][1] == ""
    assert step_numbers(tmp_path / "run") == list(range(1, 13))


def test_spike_is_one_beside_the_mean_of_the_last_hundred() -> None:
    guard = LossGuard(2.0, [10.0] * 9)
    assert guard.badness(1e9, 1.0) == ""  # nine steps are no mean yet
    guard = LossGuard(2.0, [9.0] * 50 + [1.0] * 100)
    assert guard.badness(1.9, 1.0) == ""
    assert "is more than loss_spike_factor (2) times 1.009, the mean of 100" in guard.badness(
        2.1, 1
    )
    assert guard.badness(1.0, float("inf")) == "its loss is 1 and its gradient norm inf"


def test_stopped_process_is_named(blend: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    settings = ["data_parallel_size=2", "hang_timeout_seconds=10", "hidden_size=64"]
    process = start(training(blend, directory, *settings, "kv_channels=16"))
    wait_for_step(directory, 2)
    [victim] = [child for child in processes_of(directory) if child.environ().get("RANK") == "1"]
    os.kill(victim.pid, signal.SIGSTOP)
    result = finish(process)
    assert result.returncode == 1
    assert re.fullmatch(
        r"megatron-recipes train: no step ended for 10 s \(hang_timeout_seconds\): rank 1 "
        rf"\({HOST}\) does not answer, the others wait in step \d+ \(.*\); the stacks of those "
        rf"that answer are in {directory}/logs/attempt-1; the same command resumes \(rank 0; its "
        rf"log is {directory}/logs/attempt-1/rank-0.log\)",
        result.stderr.splitlines()[-1],
    )
    report = json.loads((directory / "logs/attempt-1/rank-0.hang.json").read_text())
    assert any("step.py" in place for place in report["stack"])
    assert "most recent call first" in (directory / "logs/attempt-1/rank-0.log").read_text()
    assert processes_of(directory) == []


def place(step: int, doing: str, *, is_waiting: bool = True) -> dict[str, Any]:
    return {"step": step, "doing": doing, "is_waiting": is_waiting}


@pytest.mark.parametrize(
    ("reports", "verdict"),
    [
        (
            {0: place(7, PASSES), 1: place(7, PASSES)},
            "rank 2 (c) does not answer, the others wait in step 7 (forward and backward passes)",
        ),
        (
            {0: place(7, UPDATING), 1: place(6, UPDATING), 2: place(7, PASSES)},
            "rank 1 (b) is in step 6 (the optimizer's update), the others wait in step 7 "
            "(forward and backward passes) and step 7 (the optimizer's update)",
        ),
        (
            {0: place(7, PASSES), 1: place(7, READING), 2: place(7, READING)},
            "ranks 1 (b), 2 (c) are in step 7 (reading data), the others wait in step 7 "
            "(forward and backward passes)",
        ),
        (
            {0: place(7, PASSES, is_waiting=False), 1: place(7, PASSES), 2: place(7, PASSES)},
            "rank 0 (a) is in step 7 (forward and backward passes), the others wait in step 7 "
            "(forward and backward passes)",
        ),
        (
            {0: place(7, PASSES), 1: place(7, PASSES), 2: place(7, PASSES)},
            "none of 3 processes is behind the others, they are in step 7 "
            "(forward and backward passes)",
        ),
    ],
)
def test_process_that_is_behind_is_known_from_the_reports(
    reports: dict[int, dict[str, Any]], verdict: str
) -> None:
    assert judge(reports, ["a", "b", "c"]) == verdict


def test_slow_process_is_named(blend: Path, tmp_path: Path) -> None:
    settings = ["data_parallel_size=2", "stop_at_step=20", "log_interval=5"]
    job = small_job(blend, tmp_path / "run", *settings)
    lines = attempt(1, job, slow_rank, 1, 0.1)[0][0]
    [line] = [line for line in lines if "is slow at" in line]
    assert re.fullmatch(
        rf"rank 1 \({HOST}\) is slow at step 20: it reads and passes forward in 0\.\d+ s, [\d.]+ "
        r"times the median of its pipeline stage \(0\.\d+ s\); the others wait for it",
        line,
    )
    entries = map(json.loads, (tmp_path / "run/metrics.jsonl").read_text().splitlines())
    measured = [entry for entry in entries if "slowest_rank" in entry]
    assert [(entry["step"], entry["slowest_rank"]) for entry in measured] == [(10, 1), (20, 1)]
    assert all(entry["pass_seconds_most"] > 0.1 for entry in measured)


def test_slow_ranks_are_those_of_their_own_stage() -> None:
    seconds = [1.0, 1.1, 2.0, 0.2, 0.2, 0.202, 0.4]
    found = [
        Measurement(seconds=each, stage=0 if each >= 1 else 1, memory_bytes=0) for each in seconds
    ]
    assert slow_ranks(found) == {2: 1.1, 6: 0.2}
    # A pair of ranks: the median is the faster one. Milliseconds are noise.
    assert slow_ranks([Measurement(seconds=each, stage=0, memory_bytes=0) for each in (1, 2)]) == {
        1: 1
    }
    fast = [Measurement(seconds=each, stage=0, memory_bytes=0) for each in (0.001, 0.004)]
    assert slow_ranks(fast) == {}


def test_garbage_is_collected_at_the_same_steps_everywhere(blend: Path, tmp_path: Path) -> None:
    settings = ["garbage_collection_interval=3", "data_parallel_size=2", "stop_at_step=8"]
    job = small_job(blend, tmp_path / "run", *settings, "checkpoint_interval=1000")
    for _, _, collected in attempt(1, job, watch_collections):
        during = [(step, is_full) for step, is_full in collected if 0 < step < 8]
        assert during == [(3, True), (6, True)]


def test_hang_of_a_slow_step_that_ends_is_none(tmp_path: Path) -> None:
    from megatron_recipes.guards.hang import Watchdog

    said: list[str] = []
    watchdog = Watchdog(tmp_path, 0, ["a"], 0.2, lambda line, _: said.append(line))
    deadline = time.monotonic() + 10
    while not list(tmp_path.glob("*.hang.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    watchdog.beat(2, PASSES)  # within the second that the others have to report
    while list(tmp_path.glob("*.hang.json")) and time.monotonic() < deadline:
        watchdog.beat(2, PASSES)
        time.sleep(0.02)
    watchdog.close()
    assert (said, list(tmp_path.iterdir())) == ([], [])


def test_hang_on_a_full_disk_ends_the_process_all_the_same(tmp_path: Path) -> None:
    watched = tmp_path / "no-such-directory"  # where nothing can be written
    code = (
        "import pathlib, sys, time\n"
        "from megatron_recipes.guards.hang import Watchdog\n"
        f"Watchdog(pathlib.Path({str(watched)!r}), 0, ['a'], 0.2, lambda line, _: print(line))\n"
        "time.sleep(30)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20
    )
    assert result.returncode == 1
    assert "no step ended for 0.2 s (hang_timeout_seconds): none of 1 processes" in result.stdout


def test_reports_of_a_hang_meet_where_attempts_are_counted_apart(
    blend: Path, tmp_path: Path
) -> None:
    job = small_job(blend, tmp_path / "run", "data_parallel_size=2", "stop_at_step=0")
    assert run_world(meeting_place, 2, job) == [str(tmp_path / "run/logs/attempt-7")] * 2
