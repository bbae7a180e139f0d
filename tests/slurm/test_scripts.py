"""What can be said of the scripts and the submitter without a cluster."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from preprocess.cli import STAGES
from preprocess.errors import UserError
from preprocess.plan import read_plan
from preprocess.slurm import site as sites
from preprocess.slurm.options import job_options
from preprocess.slurm.resources import Resources, read_resources
from preprocess.slurm.site import Site, read_site
from preprocess.slurm.trainings import Training
from preprocess.slurm.work import Step, Work

ROOT = Path(__file__).resolve().parents[2]
SLURM = ROOT / "slurm"
SCRIPTS = {path.stem for path in SLURM.glob("*.sbatch")}
NOT_COMMANDS = {"preflight"}
"""Jobs of the cluster's own."""

FAKE_SQUEUE = """#!/usr/bin/env bash
[ -z "${SQUEUE_STATES:-}" ] || exit 0
[ -z "${FAKE_DEAD:-}" ] || exit 1
cat "$FAKE_QUEUE" 2>/dev/null
eval "${FAKE_MEANWHILE:-}"
"""
FAKE_SCONTROL = """#!/usr/bin/env bash
echo "MaxArraySize = ${FAKE_ARRAY_SIZE:-1001}"
"""
FAKE_SBATCH = """#!/usr/bin/env bash
if [ "$(grep -sc '' "$FAKE_LOG")" = "${FAKE_JOBS:-none}" ]; then
  echo "sbatch: error: over the limit" >&2
  exit 1
fi
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
        "FORGE_NUM_PROCESSES", "FORGE_HEALTH_SECONDS", "FORGE_PREFLIGHT_SECONDS",
        "FORGE_PREFLIGHT_MIB",
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


def test_a_users_filter_of_the_queue_hides_no_job(tmp_path: Path, login: dict[str, str]) -> None:
    run_slurm(tmp_path, login)
    lines = (tmp_path / "log").read_text().splitlines()
    (tmp_path / "queue").write_text(
        "".join(
            f"{n}|PENDING|Dependency|{option(line, 'comment')}\n" for n, line in enumerate(lines, 1)
        )
    )
    done = run_slurm(tmp_path, login | {"SQUEUE_STATES": "RUNNING"})
    assert "0 jobs submitted" in done.stderr


def test_what_ends_while_it_is_looked_is_not_submitted_again(
    tmp_path: Path, login: dict[str, str]
) -> None:
    (tmp_path / "plan.toml").write_text(f'[run]\ndirectory = "run"\n{TRAINING}')
    run_slurm(tmp_path, login)
    first = (tmp_path / "log").read_text()
    (tmp_path / "queue").write_text(f"1|RUNNING|None|{option(first, 'comment')}\n")
    meanwhile = 'mkdir -p run/model; touch run/model/DONE; : >"$FAKE_QUEUE"'
    done = run_slurm(tmp_path, login | {"FAKE_MEANWHILE": meanwhile})
    assert "0 jobs submitted, 1 of 1 stages and trainings done" in done.stderr


def test_jobs_before_a_refusal_are_known(tmp_path: Path, login: dict[str, str]) -> None:
    done = run_slurm(tmp_path, login | {"FAKE_JOBS": "2"})
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("preprocess run: sbatch: over the limit; mend slurm/site.env or")
    record = json.loads((tmp_path / "run/slurm/records.json").read_text())
    assert [job["job"] for job in record["jobs"]] == ["1", "2"]


def test_the_status_names_the_log_of_a_task_beyond_the_limit(
    tmp_path: Path, login: dict[str, str]
) -> None:
    run_slurm(tmp_path, login)
    second = (tmp_path / "log").read_text().splitlines()[1]
    named = option(second, "output").replace("%a", "1")
    assert named.endswith("run/slurm/logs/records.ingest-4+1.log")
    Path(named).write_text("disk full\n")
    for task in (0, 1, 2, 3, 4):
        mark = tmp_path / f"run/records/tasks/{task}-of-10.json"
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text("{}")
    done = run_slurm(tmp_path, login, "--status")
    assert "task 5 ended: run/slurm/logs/records.ingest-4+1.log: disk full" in done.stdout
    done = run_slurm(tmp_path, login | {"FAKE_DEAD": "1"}, "--status")
    assert done.returncode == 0
    assert "the queue is not known, nor what has failed: squeue: status 1; see" in done.stdout
    assert "FAILED" not in done.stdout


def test_without_requeueing_a_training_is_a_chain(tmp_path: Path, login: dict[str, str]) -> None:
    (tmp_path / "plan.toml").write_text(f'[run]\ndirectory = "run"\n{TRAINING}')
    (tmp_path / "site.env").write_text("FORGE_REQUEUE=0\nFORGE_CHAIN=3\n")
    done = run_slurm(tmp_path, login)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "log").read_text().splitlines()
    assert [option(line, "dependency") for line in lines] == ["singleton"] * 3
    assert len({option(line, "job-name") for line in lines}) == 1
    assert all("--no-requeue" in line.split() for line in lines)


TRAINING = """
[[training]]
name = "model"
recipe = "tiny"
blend = "blend.json"
"""


def test_what_stages_ask_for_is_not_for_trainings(tmp_path: Path, login: dict[str, str]) -> None:
    general = 'at_once = 3\nmemory = "7G"\npartition = "small"\ntime = "00:10:00"\n'
    own = '[slurm.model]\ntime = "11:00:00"\n'
    text = PLAN.replace("at_once = 3\n", general).replace("[slurm]", f"{TRAINING}[slurm]")
    (tmp_path / "plan.toml").write_text(text + own)
    done = run_slurm(tmp_path, login)
    assert done.returncode == 0, done.stderr
    first, *_, last = (tmp_path / "log").read_text().splitlines()
    asked = ("mem", "partition", "time", "dependency")
    assert [option(first, name) for name in asked] == ["7G", "small", "00:10:00", ""]
    assert [option(last, name) for name in asked] == ["0", "cpu", "11:00:00", "singleton"]


def test_a_training_that_waits_anew_stays_one_at_a_time(
    tmp_path: Path, login: dict[str, str]
) -> None:
    training = TRAINING.replace("blend.json", "run/unique/blend.json")
    (tmp_path / "plan.toml").write_text(PLAN.replace("[slurm]", f"{training}[slurm]", 1))
    run_slurm(tmp_path, login)
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert option(last, "dependency") == "afterok:9,singleton"
    # All that it waits for was cancelled.
    (tmp_path / "queue").write_text(f"10|PENDING|Dependency|{option(last, 'comment')}\n")
    done = run_slurm(tmp_path, login, "--dry-run")
    assert "JobId=10 Dependency=afterok:@unique.verify,singleton" in done.stdout


def test_a_training_that_cannot_start_is_refused_before_anything_is_submitted(
    tmp_path: Path, login: dict[str, str]
) -> None:
    training = TRAINING + 'from = "nowhere"\n'
    (tmp_path / "plan.toml").write_text(PLAN.replace("[slurm]", f"{training}[slurm]", 1))
    done = run_slurm(tmp_path, login)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "training model: from nowhere: expected a checkpoint" in done.stderr
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("line", "options"),
    [
        (
            'FORGE_GPU_REQUEST="--gres=gpu:h100:{gpus} --exclusive"',
            ["--gres=gpu:h100:1", "--exclusive"],
        ),
        ("FORGE_GPU_REQUEST=", []),
        ('FORGE_GPU_REQUEST="--gpus={gpu}"', ["--gpus={gpu}"]),
        ("FORGE_GPU_PARTITION=a100,h100", ["--gpus-per-node=1", "--partition=a100,h100"]),
    ],
)
def test_gpus_are_asked_for_as_the_site_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, options: list[str]
) -> None:
    bad = tmp_path / "bad nodes.txt"
    bad.write_text("n7  # 2026-01-01: too hot\n# a remark\n")
    (tmp_path / "site.env").write_text(f'{line}\nFORGE_EXCLUDED_NODES="{bad}"\n')
    monkeypatch.setenv("FORGE_SITE", str(tmp_path / "site.env"))
    training = Training(
        name="model", checkpoint_dir="run/model", blend="blend.json", start_from=None,
        arguments=[], num_steps=1, num_processes=1, gpu="h100", is_done=False,
    )  # fmt: skip
    work = Work(
        name="model", command="train", needs=(), steps=(), output=tmp_path, is_done=False,
        resources=Resources(), training=training,
    )  # fmt: skip
    found = job_options(work, read_site())
    assert "--exclude=n7" in found
    chosen = [word for word in found if re.match("--(g|excl?usive|partition)", word)]
    assert sorted(chosen) == sorted(options)


def test_a_number_of_tasks_is_no_other_work() -> None:
    def work(*words: str) -> Work:
        step = Step(name="sign", script="dedup.sbatch", arguments=words)
        return Work(
            name="unique", command="dedup", needs=(), steps=(step,), output=Path(), is_done=False,
            resources=Resources(),
        )  # fmt: skip

    assert work("--step", "sign", "in", "out").identity == work("in", "out").identity
    assert work("in", "out").identity != work("in", "elsewhere").identity


SHOW = 'printf "%s\\n" "$0" "$@" "scratch=${HEPHAESTUS_FORGE_SCRATCH:-}"\n'


def run_script(
    tmp_path: Path, script: str, *words: str, site: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script as a job would, with programs that print how they were called."""
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("preprocess", "srun", "apptainer"):
        (programs / name).write_text(f"#!/usr/bin/env bash\n{SHOW}")
        (programs / name).chmod(0o755)
    (tmp_path / "site.env").write_text(f"FORGE_VENV=\n{site}\n")
    return subprocess.run(
        [SLURM / script, *words],
        cwd=tmp_path,
        env={"PATH": f"{programs}:/usr/bin:/bin", "FORGE_ROOT": str(ROOT), "HOME": str(tmp_path)}
        | {"FORGE_SITE": str(tmp_path / "site.env"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


ELEMENT = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MAX": "5"}


def test_a_part_of_an_array_is_no_array(tmp_path: Path) -> None:
    variables = ELEMENT | {"SLURM_ARRAY_TASK_COUNT": "1"}
    done = run_script(tmp_path, "ingest.sbatch", "in", "out", **variables)
    assert done.returncode == 1
    assert done.stderr.startswith("slurm: this array is a part of one: export FORGE_NUM_TASKS")
    done = run_script(tmp_path, "ingest.sbatch", "in", "out", FORGE_NUM_TASKS="64", **variables)
    assert "--task\n5\n--num-tasks\n64\n" in done.stdout
    done = run_script(tmp_path, "ingest.sbatch", "in", "out", **ELEMENT, SLURM_ARRAY_TASK_COUNT="6")
    assert "--task\n5\n--num-tasks\n6\n" in done.stdout


def test_a_container_has_scratch_and_the_directory_of_submission(tmp_path: Path) -> None:
    local = tmp_path / "my disk"
    local.mkdir()
    image = "FORGE_CONTAINER_IMAGE=forge.sif\nFORGE_CONTAINER_MOUNTS=/data:/data\n"
    for kind, option_ in (("apptainer", "--bind\n"), ("pyxis", "--container-mounts=")):
        done = run_script(
            tmp_path, "tokenize.sbatch", "in", "out", site=f"{image}FORGE_CONTAINER={kind}",
            FORGE_LOCAL_SCRATCH=str(local), SLURM_JOB_ID="9",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        scratch = re.findall(r"^scratch=(.+)", done.stdout, re.M)[-1]
        assert scratch.startswith(f"{local}/hephaestus-forge-9.")
        assert not Path(scratch).exists(), "removed at the end"
        mounts = done.stdout.partition(option_)[2].partition("\n")[0].split(",")
        assert mounts == [
            *(f"{path}:{path}" for path in (ROOT, tmp_path, scratch)), "/data:/data"
        ]  # fmt: skip
    done = run_script(tmp_path, "tokenize.sbatch", site="FORGE_CONTAINER=pyxis")
    assert done.stderr == (
        "slurm: expected FORGE_CONTAINER_IMAGE with FORGE_CONTAINER, found none\n"
    )


def test_modules_are_loaded_by_a_site_that_is_no_strict_shell(tmp_path: Path) -> None:
    module = 'module() { echo "$1 $2 $NOBODY_SET_THIS"; [ "$2" != absent ]; }\n'
    done = run_script(tmp_path, "blend.sbatch", "out", site=f'{module}FORGE_MODULES="a b"')
    assert done.stdout.startswith("load a \nload b \n")
    assert done.returncode == 0, done.stderr
    done = run_script(tmp_path, "blend.sbatch", "out", site=f"{module}FORGE_MODULES=absent")
    assert done.returncode == 1
    assert done.stderr == "slurm: expected module absent (FORGE_MODULES), it does not load\n"


def test_scratch_is_removed_when_the_job_is_ended(tmp_path: Path) -> None:
    site = "srun() { :; }\nFORGE_LOCAL_SCRATCH=$HOME/disk\npreprocess() { kill -TERM $$; sleep 9; }"
    (tmp_path / "disk").mkdir()
    done = run_script(tmp_path, "tokenize.sbatch", "in", "out", site=site)
    assert done.returncode == -signal.SIGTERM
    assert list((tmp_path / "disk").iterdir()) == []


def test_a_sweep_starts_its_own_processes(tmp_path: Path) -> None:
    site = 'env() { echo "$*"; return 3; }'
    words = ("tiny", "--output", "out", "--sweep", "layout")
    one, two = (
        run_script(tmp_path, "benchmark.sbatch", *words, site=site, SLURM_JOB_NUM_NODES=nodes)
        for nodes in "12"
    )
    called = "-u SLURM_STEP_ID megatron-recipes benchmark tiny --output out --sweep layout\n"
    assert (one.returncode, one.stdout) == (3, called)
    assert two.stderr == "slurm: expected one node for --sweep, got 2; give --nodes=1\n"


def test_directories_of_the_login_node_are_left_there(tmp_path: Path) -> None:
    gone = {"TMPDIR": "/nowhere", "HEPHAESTUS_FORGE_SCRATCH": "/nowhere"}
    site = 'preprocess() { echo "${TMPDIR:-none} ${HEPHAESTUS_FORGE_SCRATCH:-none}"; }'
    done = run_script(tmp_path, "blend.sbatch", "out", site=site, **gone)
    assert done.stdout == "none none\n"
    done = run_script(tmp_path, "blend.sbatch", "out", site=site, TMPDIR=str(tmp_path))
    assert done.stdout == f"{tmp_path} none\n"


def test_a_job_from_elsewhere_says_where_to_go(tmp_path: Path) -> None:
    done = run_script(tmp_path, "train.sbatch", "tiny", FORGE_ROOT=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("slurm: expected to be submitted from the root")


FIT = """
for node in {nodes}; do
  [[ " $FIT " = *" $node "* ]] && echo "$node ok" || echo "$node bad disk full"
done
"""
SCONTROL = """#!/usr/bin/env bash
case "$1 $2" in
  "show hostnames") printf '%s\\n' {nodes} ;;
  *) echo "$*" >>"$HOME/told" ;;
esac
"""


@pytest.mark.parametrize(
    ("nodes", "fit", "excluded"),
    [("n1 n2", "n2", "n1"), ("n1 n2", "", ""), ("n1", "", "n1"), ("n1 n2 n3", "", "")],
)
def test_nodes_that_all_fail_alike_are_not_excluded(
    tmp_path: Path, nodes: str, fit: str, excluded: str
) -> None:
    count = str(len(nodes.split()))
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/scontrol").write_text(SCONTROL.format(nodes=nodes))
    (tmp_path / "programs/scontrol").chmod(0o755)
    variables = {"SLURM_JOB_NODELIST": "n", "SLURM_JOB_ID": "9", "SLURM_NTASKS": count}
    variables |= {"SLURM_JOB_NUM_NODES": count, "FIT": fit}
    site = f'srun() {{ {FIT.format(nodes=nodes)}\n}}\ntimeout() {{ shift; "$@"; }}'
    done = run_script(
        tmp_path, "train.sbatch", "tiny", "--checkpoint-dir", "my run", site=site, **variables
    )
    assert done.returncode == 1
    told = (tmp_path / "told").read_text().splitlines()
    assert told[0] == "requeue 9", done.stderr
    updates = [line for line in told if line.startswith("update")]
    assert updates == ([f"update JobId=9 ExcNodeList={excluded}"] if excluded else [])


def test_a_link_of_a_chain_ends_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/scontrol").write_text(SCONTROL.format(nodes="n1"))
    (tmp_path / "programs/scontrol").chmod(0o755)
    run = tmp_path / "my run"
    variables = {"SLURM_JOB_NODELIST": "n", "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
    site = "FORGE_REQUEUE=0\nFORGE_HEALTH_CHECK=0\nFORGE_MAX_STALLED=2"

    def link(job: int) -> subprocess.CompletedProcess[str]:
        words = ("tiny", "--checkpoint-dir", str(run))
        return run_script(
            tmp_path, "train.sbatch", *words, site=site, **variables, SLURM_JOB_ID=str(job)
        )

    first = link(1)
    assert (first.returncode, first.stdout.count("megatron-recipes\ntrain\n")) == (1, 1)
    assert "FORGE_REQUEUE=0: the next job of the chain goes on" in first.stderr
    assert not (tmp_path / "told").exists(), "nothing is requeued"
    link(2)
    third = link(3)
    assert (third.returncode, third.stdout) == (1, "")
    assert "stopped: 2 attempts in a row have saved nothing beyond step 0" in third.stderr
    (run / "DONE").touch()
    last = link(4)
    assert (last.returncode, last.stdout) == (0, "")
    assert "already done: " in last.stderr


def option(line: str, name: str) -> str:
    """Return the value of an option of sbatch in a line."""
    found = re.search(rf"--{name}=(\S+)", line)
    return found[1] if found else ""
