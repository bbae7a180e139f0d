"""Plans on a real Slurm of two nodes: the same bytes as a local run, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slurm.lab import MAX_ARRAY_SIZE, signal_processes
from slurm.plans import TRAINING, contents, losses, run_locally, small_plan, write_sources

if TYPE_CHECKING:
    from slurm.conftest import Cluster

MAX_GAP_SECONDS = 8.0
"""Between the end of one stage and the first file of the next, the job that verifies included."""

MAX_LOAD = 3.0
"""Of a core, beyond which others have the machine and a second says nothing."""


def first_files(run: Path, names: list[str], seen: dict[str, float]) -> None:
    """Note when each stage was first seen with something in it."""
    for name in names:
        if name in seen:
            continue
        path = run / name
        # A tokenizer has no records: what it begins with is its run.json.
        written = ["run.json"] if name == "tokenizer" else ["metrics.jsonl", "manifest.json"]
        first = [path, *(path / each for each in written), *path.glob("units/*")]
        if any(each.is_file() and each.stat().st_size for each in first):
            seen[name] = time.time()


def ended(run: Path, name: str) -> float:
    """Return when the last task of a stage's work had ended, before the job that verifies."""
    logs = [log for log in (run / "slurm/logs").glob(f"{name}.*") if ".verify." not in log.name]
    return max(log.stat().st_mtime for log in logs)


def test_a_plan_with_arrays_of_four_gives_the_bytes_of_a_local_run(cluster: Cluster) -> None:
    sources, run = cluster.directory / "sources", cluster.directory / "run %a 1"
    write_sources(sources)
    training = TRAINING.format(num_steps=8, interval=4, more="tensor_model_parallel_size = 2")
    plan = small_plan(cluster.directory / "my plan.toml", run, sources, tasks=4, training=training)

    would = cluster.submit(plan, "--dry-run")
    assert not run.exists(), "a dry run writes nothing"
    assert any("--array=0-3" in line and "ingest.sbatch" in line for line in would)

    first = cluster.submit(plan)
    again = cluster.call("preprocess", "run", plan, "--slurm")
    assert "0 jobs submitted" in again.stderr, "what is in the queue is not submitted again"
    numbers = re.findall(r"\b\d+\b", "".join(line for line in first if "done" not in line))
    assert len(numbers) >= 14

    seen: dict[str, float] = {}
    stages = ["unique", "tokenizer", "tokens", "blend.json", "model"]

    def is_over() -> bool:
        first_files(run, stages, seen)
        return cluster.lab.waits() == 0

    cluster.wait(is_over)
    assert (run / "model/DONE").exists(), cluster.logs()
    status = cluster.status(plan)
    assert status.count("done") == 9, status
    assert "0 jobs submitted" in cluster.call("preprocess", "run", plan, "--slurm").stderr

    sizes = {"unique": ["north", "east", "south", "west"], "tokenizer": ["unique"]}
    sizes |= {"tokens": ["tokenizer"], "blend.json": ["tokens"], "model": ["blend.json"]}
    gaps = {
        name: seen[name] - max(ended(run, each) for each in before)
        for name, before in sizes.items()
    }
    print("seconds from the end of a stage to the first file of the next:", end=" ")
    print(", ".join(f"{name} {gap:.1f}" for name, gap in gaps.items()))
    model = gaps.pop("model")  # the first loss: PyTorch has to be imported before it
    gaps["model"] = (run / "model/logs/slurm.tsv").stat().st_mtime - ended(run, "blend.json")
    print(f"training: its job {gaps['model']:.1f}, its first loss {model:.1f}")
    if os.getloadavg()[0] < MAX_LOAD * (os.cpu_count() or 1):
        assert max(gaps.values()) <= MAX_GAP_SECONDS, gaps

    local = cluster.directory / "local 1"
    small_plan(plan, local, sources, tasks=4, training=training)
    run_locally(plan, cluster.environment, cluster.directory)
    skip = frozenset({"model"})
    assert contents(run, skip) == contents(local, skip)
    done = cluster.call("megatron-recipes", "plan", plan)
    assert losses(run / "model") == losses(local / "model"), done.stderr


def test_faults_lose_nothing_and_change_nothing(cluster: Cluster) -> None:
    """A cancelled task, a killed process, a node set down, an array above the limit."""
    sources, run = cluster.directory / "sources", cluster.directory / "run"
    write_sources(sources)
    plan = small_plan(cluster.directory / "plan.toml", run, sources, tasks=MAX_ARRAY_SIZE + 2)

    (cluster.hold / "unique.sign-2").touch()
    lines = cluster.submit(plan)
    north = next(line for line in lines if "north" in line)
    assert re.search(rf"ingest \d+\[0-{MAX_ARRAY_SIZE - 1}\] \d+\[0-1\] -> verify", north), north
    marks = run / "unique/tasks"

    # Cancelled: the rest of the array is done, and what follows does not start.
    sign = job_of(lines, "sign")
    cluster.wait(lambda: len(list(marks.glob("sign-*"))) == 3, what="the other tasks")
    cluster.lab.run("scancel", f"{sign}_2")
    (cluster.hold / "unique.sign-2").unlink()
    cluster.wait_until_idle()
    assert not (run / "unique/manifest.json").exists()
    assert not (run / "tokens").exists()
    status = cluster.status(plan)
    assert re.search(r"unique +.*sign: 3 of 4 done, 1 FAILED", status), status
    assert f"{run}/slurm/logs/unique.sign-2.log" in status

    # Submitted again: that task alone of its step. A process of the next array is killed, and a
    # node set down under another, while the fourth still waits.
    for task in (0, 1, 3):
        (cluster.hold / f"unique.drop-{task}").touch()
    lines = cluster.submit(plan)
    unique = next(line for line in lines if "unique:" in line)
    assert re.search(r"sign \d+\[2\] ->", unique), unique
    drop = job_of(lines, "drop")
    cluster.wait(lambda: running(cluster, drop) >= {"0", "1", "3"}, what="three tasks of drop")
    cluster.wait(lambda: "2" not in running(cluster, drop), what="the end of the other task")
    log = (run / "slurm/logs/unique.drop-0.log").read_text
    (cluster.hold / "unique.drop-0").unlink()
    cluster.wait(
        lambda: signal_processes("bin/preprocess dedup --step drop", signal.SIGKILL),
        what="a process to kill",
    )
    cluster.wait(lambda: "0" not in running(cluster, drop), what="the end of the killed task")
    down = cluster.lab.jobs()[f"{drop}_1"]["NodeList"]
    cluster.lab.run("scontrol", "update", f"NodeName={down}", "State=DOWN", "Reason=test")
    lines = cluster.submit(plan, "--retry-failed")
    unique = next(line for line in lines if "unique:" in line)
    assert re.search(rf"drop {drop} \(in the queue\) \d+\[0\]", unique), unique
    for task in (1, 3):
        (cluster.hold / f"unique.drop-{task}").unlink()
    cluster.wait(lambda: (run / "unique/manifest.json").exists(), what="unique")
    cluster.lab.run("scontrol", "update", f"NodeName={down}", "State=RESUME", check=False)
    cluster.wait_until_idle()
    assert (run / "blend.json").exists(), cluster.logs()

    killed = log()
    assert "ended with status 137" in killed
    assert killed.count("attempt 1") == 3, "one log a task, whichever job it was"
    moved = (run / "slurm/logs/unique.drop-1.log").read_text()
    assert "attempt 2" in moved, "the node's task went to the other one"

    local = cluster.directory / "local"
    small_plan(plan, local, sources, tasks=1)
    run_locally(plan, cluster.environment, cluster.directory)
    assert contents(run) == contents(local)


def job_of(lines: list[str], step: str) -> str:
    """Return the number of a step's first job in a tree."""
    found = re.search(rf"\b{step} (\d+)", "\n".join(lines))
    assert found, lines
    return found[1]


def running(cluster: Cluster, job: str) -> set[str]:
    """Return the tasks of an array that run."""
    output = cluster.lab.run(
        "squeue", "-h", "-r", "-t", "R,CG", "-o", "%i", f"--jobs={job}", check=False
    )
    return {line.partition("_")[2] for line in output.split()}


def test_a_failed_verdict_cancels_what_waits_and_says_so(cluster: Cluster) -> None:
    sources, run = cluster.directory / "sources", cluster.directory / "run"
    write_sources(sources)
    (sources / "north.jsonl").write_text("{broken\n" * 3)
    plan = small_plan(cluster.directory / "plan.toml", run, sources, tasks=2)
    cluster.submit(plan)
    cluster.wait_until_idle()
    assert not (run / "unique").exists()
    log = (run / "slurm/logs/north.verify.log").read_text()
    assert "expected at most 20.0% unreadable records, 3 of 3 were rejected" in log
    done = cluster.call("preprocess", "run", plan, "--slurm", status=1)
    assert "3 of 3 were rejected" in done.stderr, "as a local run says it again"


@pytest.mark.slow
def test_a_training_outlives_limits_nodes_and_bad_nodes(cluster: Cluster, tmp_path: Path) -> None:
    """A bad node is left out; the limit comes; a node dies: the same losses as without all that."""
    sources, run = cluster.directory / "sources", cluster.directory / "run"
    write_sources(sources)
    training = TRAINING.format(num_steps=40, interval=2, more="keep_checkpoints = 2")
    plan = small_plan(cluster.directory / "plan.toml", run, sources, tasks=1, training=training)
    run_locally(plan, cluster.environment, cluster.directory)

    local = cluster.directory / "local"
    local.mkdir()
    for name in ("tokens", "blend.json"):
        (local / name).symlink_to(run / name)
    alone = small_plan(tmp_path / "alone.toml", local, sources, tasks=1, training=training)
    cluster.call("megatron-recipes", "plan", alone)
    expected = losses(local / "model")
    assert len(expected) == 40

    # The first node fails the site's own check.
    bad = cluster.directory / "n1 is bad"
    bad.touch()
    site = cluster.directory / "site.env"
    site.write_text(
        site.read_text()
        + f'FORGE_HEALTH_COMMAND=\'[ ! -e "{bad}" ] || [ "$SLURMD_NODENAME" != n1 ]\'\n'
    )
    job = job_of(cluster.submit(plan), "train")
    log = run / "slurm/logs/model.train.log"
    metrics = run / "model/metrics.jsonl"
    cluster.wait(lambda: "bad nodes: n1" in read(log), what="the check of the node")
    cluster.wait(lambda: len(steps(metrics)) >= 6, what="six steps")
    assert "attempt 2, from step 0, on n2" in read(log)

    # Its process is stopped until the time limit nears and Slurm tells the job to save.
    ranks = signal_processes("bin/megatron-recipes train", signal.SIGSTOP)
    assert ranks
    hours, minutes, seconds = map(int, cluster.lab.jobs()[job]["RunTime"].split(":"))
    limit = (hours * 3600 + minutes * 60 + seconds + 50) // 60 + 1
    cluster.lab.run("scontrol", "update", f"JobId={job}", f"TimeLimit={limit}")
    cluster.wait(lambda: "told to save and stop" in read(log), what="the signal before the limit")
    for pid in ranks:
        signal_quietly(pid, signal.SIGCONT)
    cluster.wait(lambda: ", as asked" in read(log), what="the save")
    saved = int(re.findall(r"stopped at step (\d+), as asked", read(log))[0])
    assert 6 <= saved < 40
    cluster.lab.run("scontrol", "update", f"JobId={job}", "TimeLimit=60", "ExcNodeList=")
    bad.unlink()

    # It goes on, and the node under it dies.
    cluster.wait(lambda: len(steps(metrics)) >= saved + 4, what="steps of the next attempt")
    node = cluster.lab.jobs()[job]["NodeList"]
    other = "n1" if node == "n2" else "n2"
    cluster.lab.cut_power(node)
    cluster.lab.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    cluster.wait(lambda: re.search(f"attempt 4, .* on {other}", read(log)), what="the other node")
    cluster.wait_until_idle()
    assert (run / "model/DONE").exists(), read(log)
    assert losses(run / "model") == expected, "the same losses, each step once"
    attempts = [line.split("\t") for line in read(run / "model/logs/slurm.tsv").splitlines()]
    assert [line[3] for line in attempts] == ["1", "2", "3", "4"]
    assert int(attempts[2][4]) == saved, "it goes on at the very step that it saved"
    entries = [json.loads(line) for line in read(metrics).splitlines()]
    assert {entry["attempt"] for entry in entries if entry["kind"] == "step"} == {1, 2, 3}


def test_a_training_that_cannot_work_ends_after_a_few_attempts(cluster: Cluster) -> None:
    run = cluster.directory / "run"
    site = cluster.directory / "site.env"
    site.write_text(site.read_text() + "FORGE_MAX_STALLED=1\nFORGE_HEALTH_CHECK=0\n")
    plan = cluster.directory / "plan.toml"
    plan.write_text(
        f'[run]\ndirectory = "{run}"\n[[training]]\nname = "model"\nrecipe = "tiny"\n'
        f'blend = "{cluster.directory}/no blend.json"\n'
    )
    cluster.submit(plan)
    cluster.wait_until_idle()
    log = read(run / "slurm/logs/model.train.log")
    assert "attempt 2" in log
    assert "attempt 3" not in log
    assert "stopped: 1 attempts in a row have saved nothing beyond step 0" in log
    assert "model" in cluster.status(plan)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def steps(metrics: Path) -> list[int]:
    lines = read(metrics).splitlines()
    return [1 for line in lines if '"kind": "step"' in line]


def signal_quietly(pid: int, number: signal.Signals) -> None:
    import contextlib
    import os

    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@pytest.mark.slow
def test_preflight_measures_two_nodes_and_names_the_bad_one(cluster: Cluster) -> None:
    excluded = cluster.directory / "excluded.txt"
    site = cluster.directory / "site.env"
    site.write_text(
        site.read_text()
        + f'FORGE_PREFLIGHT_MIB=4\nFORGE_EXCLUDED_NODES="{excluded}"\n'
        + "FORGE_HEALTH_COMMAND='[ \"$SLURMD_NODENAME\" != n2 ] || { echo too hot; false; }'\n"
    )
    log = cluster.directory / "preflight.log"
    script = Path(__file__).resolve().parents[2] / "slurm/preflight.sbatch"
    options = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--mem=4G"]
    cluster.environment["FORGE_ROOT"] = str(script.parents[1])
    cluster.call("sbatch", *options, f"--output={log}", script, cluster.directory)
    cluster.wait_until_idle()
    said = read(log)
    assert "n1: good" in said, said
    assert "n2: BAD: FORGE_HEALTH_COMMAND ended with status 1 too hot" in said
    assert re.search(r"all-reduce, all: \d+\.\d GB/s, least \d+\.\d, 1 of 1 groups", said), said
    assert excluded.read_text().startswith("n2  # ")
