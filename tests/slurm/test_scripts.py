"""What can be said of the scripts and the submitter without a cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from preprocess.cli import STAGES
from preprocess.errors import UserError
from preprocess.plan import read_plan
from preprocess.slurm import site as sites
from preprocess.slurm.resources import read_resources
from preprocess.slurm.site import Site, read_site

ROOT = Path(__file__).resolve().parents[2]
SLURM = ROOT / "slurm"
SCRIPTS = {path.stem for path in SLURM.glob("*.sbatch")}
NOT_COMMANDS = {"preflight"}
"""Jobs of the cluster's own."""

FAKE_SQUEUE = """#!/usr/bin/env bash
cat "$FAKE_QUEUE" 2>/dev/null || true
"""
FAKE_SCONTROL = """#!/usr/bin/env bash
echo "MaxArraySize = ${FAKE_ARRAY_SIZE:-1001}"
"""
FAKE_SBATCH = """#!/usr/bin/env bash
echo "$FORGE_NUM_TASKS|$FORGE_TASK_OFFSET|$*" >>"$FAKE_LOG"
grep -c '' "$FAKE_LOG"
"""


def commands(module: str) -> set[str]:
    """Return the subcommands that `--help` lists."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    listed = done.stdout.partition("Commands")[2]
    return set(re.findall(r"^[^\w\n]*([a-z][\w-]*)  +\S", listed, re.MULTILINE))


def test_each_command_has_a_script_or_a_reason() -> None:
    light = set(re.findall(r"^\| `([\w-]+) ([\w-]+)` \|", (SLURM / "README.md").read_text(), re.M))
    light_names = {command for _, command in light}
    found = {program: commands(program.replace("-", "_")) for program in {p for p, _ in light}}
    assert "tokenize" in found["preprocess"]
    assert "train" in found["megatron-recipes"]
    heavy = {name for names in found.values() for name in names} - light_names
    assert heavy - SCRIPTS == set(), "give it a script, or a reason in slurm/README.md"
    assert SCRIPTS - heavy == NOT_COMMANDS, "a script without a command"
    for program, command in light - {("megatron-recipes", "plot")}:
        assert command in found[program]


@pytest.mark.parametrize("script", sorted(SLURM.glob("*.sbatch")), ids=lambda path: path.stem)
def test_scripts_begin_alike(script: Path) -> None:
    text = script.read_text()
    assert os.access(script, os.X_OK)
    head, _, body = text.partition("set -")
    assert (
        re.search(r"^#   sbatch .*slurm/" + re.escape(script.name), head, re.M) or "sbatch" in head
    )
    assert "#SBATCH --open-mode=append" in head
    assert "#SBATCH" not in body, "behind the first command Slurm would not see it"
    assert not re.search(r"--(account|partition|qos)=", text), "those are the site's"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_the_example_names_every_variable_with_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORGE_SITE", str(SLURM / "site.env.example"))
    assert read_site() == Site()
    named = set(re.findall(r"^#?(FORGE_\w+)=", (SLURM / "site.env.example").read_text(), re.M))
    used = set()
    for path in [*SLURM.glob("*.sbatch"), SLURM / "job.sh"]:
        used |= set(re.findall(r"\$\{(FORGE_[A-Z_]+)[:}-]", path.read_text()))
    internal = {
        "FORGE_ROOT", "FORGE_SITE", "FORGE_NAME", "FORGE_NUM_TASKS", "FORGE_TASK_OFFSET",
        "FORGE_NUM_PROCESSES", "FORGE_EXCLUDED_NODES", "FORGE_HEALTH_SECONDS",
        "FORGE_PREFLIGHT_SECONDS", "FORGE_PREFLIGHT_MIB",
    }  # fmt: skip
    assert used - named == internal & used
    fields = {f"FORGE_{field.upper()}" for field in Site.__dataclass_fields__}
    assert fields <= named


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("FORGE_TASKS=many", "FORGE_TASKS: expected a whole number, got 'many'"),
        ("FORGE_REQUEUE=no", "FORGE_REQUEUE: expected 0 or 1, got 'no'"),
        ("FORGE_QOS=$NOBODY_SET_THIS", "NOBODY_SET_THIS: unbound variable"),
        ("if", "syntax error"),
    ],
)
def test_a_wrong_site_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    (tmp_path / "site.env").write_text(f"{line}\n")
    monkeypatch.setenv("FORGE_SITE", str(tmp_path / "site.env"))
    with pytest.raises(UserError, match=re.escape(message)):
        read_site()


def test_a_site_without_a_file_has_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGE_SITE", str(tmp_path / "none.env"))
    assert read_site() == Site()
    assert sites.site_file() == tmp_path / "none.env"


PLAN = """
[run]
directory = "run"
[[stage]]
name = "records"
command = "ingest"
input = "raw"
options = { dataset = "jsonl", text_field = "text" }
[[stage]]
name = "unique"
command = "dedup"
input = "records"
[slurm]
tasks = 10
at_once = 3
[slurm.unique]
tasks = 2
memory = "64G"
options = ["--constraint=bigmem"]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tasks = 10", "task = 10", "[slurm]: expected tasks, at_once"),
        ("tasks = 10", "tasks = true", "expected a whole number above 0 as tasks, found True"),
        ("tasks = 2", 'tasks = "2"', "[slurm.unique]: expected a whole number above 0 as tasks"),
        ("[slurm.unique]", "[slurm.uniqe]", "found 'uniqe'; there are records, unique"),
        ('["--constraint=bigmem"]', "[1]", "expected a list as options, found [1]"),
        ('"64G"', "64", "expected a text as memory, found 64"),
    ],
)
def test_wrong_resources_are_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.replace(old, new, 1))
    plan = read_plan(path, STAGES)
    with pytest.raises(UserError, match=re.escape(message)):
        read_resources(plan, [stage.name for stage in plan.stages])


@pytest.fixture
def login(tmp_path: Path) -> dict[str, str]:
    """An environment whose Slurm writes down what it is told."""
    for name, text in (
        ("squeue", FAKE_SQUEUE),
        ("scontrol", FAKE_SCONTROL),
        ("sbatch", FAKE_SBATCH),
    ):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "raw").mkdir()
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "site.env").write_text("FORGE_ACCOUNT=abc\nFORGE_CPU_PARTITION=cpu\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return kept | {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "FORGE_SITE": str(tmp_path / "site.env"),
        "FAKE_LOG": str(tmp_path / "log"),
        "FAKE_QUEUE": str(tmp_path / "queue"),
        "FAKE_ARRAY_SIZE": "4",
        "PYTHONPATH": str(ROOT),
        "SLURM_JOB_ID": "99",
    }


def run_slurm(
    directory: Path, environment: dict[str, str], *options: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "preprocess", "run", "plan.toml", "--slurm", *options]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


def test_arrays_are_split_and_told_where_they_begin(tmp_path: Path, login: dict[str, str]) -> None:
    done = run_slurm(tmp_path, login)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "log").read_text().splitlines()
    arrays = [line.partition("|--parsable")[0] + " " + option(line, "array") for line in lines]
    assert arrays[:4] == ["10|0 0-3%3", "10|4 0-3%3", "10|8 0-1%3", "| "]
    assert option(lines[3], "dependency") == "afterany:1:2:3"
    assert option(lines[4], "dependency") == "afterok:4"
    assert all("--kill-on-invalid-dep=yes" in line for line in lines[3:])
    assert all("--account=abc" in line and "--partition=cpu" in line for line in lines)
    assert option(lines[4], "mem") == "64G"
    assert "--constraint=bigmem" in lines[4]
    assert [re.search(r"--step (\w+)", line) is not None for line in lines[4:]] == [
        True, True, True, True, False,
    ]  # fmt: skip


def test_what_is_done_or_in_the_queue_is_left_out(tmp_path: Path, login: dict[str, str]) -> None:
    marks = tmp_path / "run/records/tasks"
    marks.mkdir(parents=True)
    for task in (0, 1, 5):
        (marks / f"{task}-of-10.json").write_text("{}")
    run_slurm(tmp_path, login)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [option(line, "array") for line in lines[:3]] == ["2-3%3", "0,2-3%3", "0-1%3"]

    # Of the first array task 2 still runs, 3 has failed; the others are done.
    for task in (4, 6, 7, 8, 9):
        (marks / f"{task}-of-10.json").write_text("{}")
    comment = option(lines[0], "comment")
    verify = option(lines[3], "comment")
    (tmp_path / "queue").write_text(
        f"1_2|RUNNING|None|{comment}\n4|PENDING|Dependency|{verify}\n"
        "7_3|PENDING|DependencyNeverSatisfied|hephaestus-forge:other:records:ingest:0\n"
    )
    (tmp_path / "log").unlink()
    done = run_slurm(tmp_path, login)
    assert "records: ingest 1 (in the queue) -> verify 4 (in the queue)" in done.stdout
    again = run_slurm(tmp_path, login, "--dry-run", "--retry-failed")
    assert "--array=3%3" in again.stdout
    assert "scontrol update JobId=4 Dependency=afterany:1:@records.ingest" in again.stdout


def test_another_plan_in_the_same_directory_is_refused(
    tmp_path: Path, login: dict[str, str]
) -> None:
    run_slurm(tmp_path, login)
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.replace('text_field = "text"', 'text_field = "body"'))
    done = run_slurm(tmp_path, login)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "stage records was submitted with 'text' where the plan has 'body' now" in done.stderr


def test_options_of_submission_need_it(tmp_path: Path, login: dict[str, str]) -> None:
    command = [sys.executable, "-m", "preprocess", "run", "plan.toml", "--dry-run"]
    done = subprocess.run(
        command, cwd=tmp_path, env=login, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "expected --dry-run and --retry-failed with --slurm" in done.stderr


def test_without_slurm_it_says_so(tmp_path: Path, login: dict[str, str]) -> None:
    (tmp_path / "bin/squeue").unlink()
    environment = login | {"PATH": f"{tmp_path}/bin:/nowhere"}
    # bash reads site.env; nothing else is on this PATH.
    (tmp_path / "bin/bash").symlink_to("/bin/bash")
    (tmp_path / "bin/env").symlink_to("/usr/bin/env")
    done = run_slurm(tmp_path, environment)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "expected squeue on the PATH, found none; run this on a login node" in done.stderr


def option(line: str, name: str) -> str:
    """Return the value of an option of sbatch in a line."""
    found = re.search(rf"--{name}=(\S+)", line)
    return found[1] if found else ""
