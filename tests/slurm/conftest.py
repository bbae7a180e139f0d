"""The cluster that the tests of this folder share, and a user's way to it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slurm.lab import Lab, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = ROOT / "slurm/pipeline.sh"

SITE = """
FORGE_VENV={venv}
PYTHONPATH={root}
FORGE_TASKS=4
FORGE_CPUS=1
FORGE_MEMORY=3G
FORGE_CPUS_PER_GPU=1
FORGE_TRAIN_MEMORY=4G
FORGE_GPUS_PER_NODE=1
FORGE_LOCAL_SCRATCH=/tmp
FORGE_SIGNAL_SECONDS=40
# A job waits here while a test wants it to.
if [ -n "${{SLURM_JOB_ID:-}}" ]; then
  held="{hold}/${{FORGE_NAME:-none}}"
  while [ -e "$held" ] || [ -e "$held-${{SLURM_ARRAY_TASK_ID:-}}" ]; do
    sleep 0.1
  done
fi
{more}
"""


class Cluster:
    """A lab with a site.env, used as a user on a login node uses it."""

    def __init__(self, lab: Lab, directory: Path, more: str = "") -> None:
        self.lab, self.directory = lab, directory
        self.hold = directory / "hold"
        self.hold.mkdir(parents=True)
        venv = Path(sys.prefix)
        site = directory / "site.env"
        site.write_text(SITE.format(venv=venv, root=ROOT, hold=self.hold, more=more))
        self.environment = lab.environment | {
            "FORGE_SITE": str(site),
            "PYTHONPATH": str(ROOT),
            "PATH": f"{venv}/bin:{lab.environment['PATH']}",
        }

    def call(
        self, *command: str | Path, status: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the login node."""
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.directory,
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert status is None or done.returncode == status, f"{done.stdout}\n{done.stderr}"
        return done

    def submit(self, plan: Path, *options: str) -> list[str]:
        """Submit a plan; return the lines of the tree."""
        return self.call(PIPELINE, plan, *options).stdout.splitlines()

    def status(self, plan: Path) -> str:
        """Return what slurm/status.sh shows."""
        return self.call(ROOT / "slurm/status.sh", plan).stdout

    def wait(
        self, condition: Callable[[], object], seconds: float = 400, what: str = "the condition"
    ) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                jobs = self.lab.run("squeue", "--array", check=False)
                pytest.fail(f"{what} did not come in {seconds:.0f} s\n{jobs}\n{self.logs()}")
            time.sleep(0.05)

    def wait_until_idle(self, seconds: float = 400) -> None:
        """Wait until no job is left."""
        self.wait(lambda: self.lab.waits() == 0, seconds, "an empty queue")

    def logs(self) -> str:
        """Return the ends of all logs of jobs."""
        found = sorted(
            self.directory.rglob("slurm/logs/*.log"), key=lambda path: path.stat().st_mtime
        )
        return "\n".join(f"== {path.name}\n{path.read_text()[-600:]}" for path in found[-8:])


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with Lab() as started:
        yield started


@pytest.fixture
def cluster(lab: Lab, tmp_path: Path) -> Iterator[Cluster]:
    # A path with a space is what everything here has to live with.
    yield Cluster(lab, tmp_path / "my cluster")
    lab.run("scancel", "--quiet", "--user=root", check=False)
    lab.restore()
