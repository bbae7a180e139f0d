"""A real Slurm for the tests: munged, slurmctld and two slurmd on this machine, in one directory.

Each node is a slurmd in namespaces of its own (mount, host name, processes), so that nodes have
different names and a node can lose its power. Nothing outside the directory is touched, and no
daemon outlives the test. The settings that differ from a site's make faults visible in seconds:

| setting | why |
|---|---|
| `cred_expire=5` | a job that was requeued waits for it; the default are two minutes |
| `KillWait=4` | how long a job may take to end itself |
| `SlurmdTimeout=10` | when a node that is silent counts as down |
| `MaxArraySize=6` | an array of more than six tasks has to be split |
| `config_overrides` | the nodes claim more cores than the machine has |
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal

NODES = ("n1", "n2")
MAX_ARRAY_SIZE = 6
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "unshare")
START_SECONDS = 30.0
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

NODE_SCRIPT = """
mount --make-rprivate /
mount --bind "$1/hosts" /etc/hosts
hostname "$2"
slurmd -N "$2" -D & wait $!
"""


def missing() -> str:
    """Return why there can be no lab here, or nothing."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=SYSTEM_PATH) is None]
    if absent:
        return f"{', '.join(absent)} not installed (Debian: slurmctld slurmd slurm-client munge)"
    tried = subprocess.run(
        ["unshare", "--mount", "--uts", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "namespaces need root"


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what a Slurm or a launcher around it left there."""
    foreign = re.compile(r"(SLURM|SBATCH|SRUN|SQUEUE|SCANCEL|FORGE|SALLOC)_|RANK$|WORLD_SIZE$")
    kept = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    return {**kept, "PATH": f"{kept.get('PATH', '')}:{SYSTEM_PATH}"}


class Lab:
    """Two nodes and their controller; `with Lab() as lab` starts and ends them."""

    def __init__(self, cpus: int = 8) -> None:
        # munged refuses a directory that others cannot reach; a socket's path must be short.
        self.path = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
        self.path.chmod(0o711)
        self.cpus = cpus
        self.environment = clean_environment() | {"SLURM_CONF": str(self.path / "slurm.conf")}
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Lab:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.run("scancel", "--quiet", f"--user={os.getuid()}", check=False)
        for name in list(self._nodes):
            self.cut_power(name)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """Run a command of Slurm and return what it says."""
        done = subprocess.run(
            command,
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout.strip()

    def jobs(self) -> dict[str, dict[str, str]]:
        """Return every job and array task, ended ones too, by its id as `ARRAY_TASK` or `JOB`."""
        found = {}
        for line in self.run("scontrol", "--oneliner", "show", "job", check=False).splitlines():
            fields = dict(re.findall(r"(\w+)=(\S*)", line))
            task = fields.get("ArrayTaskId")
            name = f"{fields['ArrayJobId']}_{task}" if task else fields.get("JobId", "")
            if name:
                found[name] = fields
        return found

    def waits(self) -> int:
        """Return how many jobs have not ended."""
        return len(self.run("squeue", "--noheader").splitlines())

    def cut_power(self, node: str) -> None:
        """End a node with everything on it, at once."""
        process = self._nodes.pop(node)
        process.kill()  # `--kill-child`: the first process of the node's namespace dies with it
        process.wait()

    def give_power(self, node: str) -> None:
        """Start a node."""
        command = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        log = (self.path / f"log/{node}.out").open("ab")
        with log:
            self._nodes[node] = subprocess.Popen(
                [*command, "bash", "-c", NODE_SCRIPT, "node", str(self.path), node],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def restore(self) -> None:
        """Bring back what a test took away."""
        for node in NODES:
            if node not in self._nodes:
                self.give_power(node)
            self.run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
        self.wait_for_nodes()

    def wait_for_nodes(self) -> None:
        """Wait until every node can take jobs."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                states = self.run("sinfo", "-h", "-N", "-o", "%T", check=False, timeout=5)
                if states.split().count("idle") == len(NODES):
                    return
            time.sleep(0.1)
        logs = "".join(
            f"== {log.name}\n{log.read_text()[-1500:]}" for log in self.path.glob("log/*")
        )
        raise RuntimeError(f"the nodes did not start in {START_SECONDS:.0f} s\n{logs}")

    def _start(self) -> None:
        for name in ("munge", "state", "spool", "log", *(f"spool/{node}" for node in NODES)):
            (self.path / name).mkdir()
            (self.path / name).chmod(0o755)
        key = self.path / "munge/key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        self._write_configuration()
        self._daemon(
            "munged",
            "--foreground",
            f"--socket={self.path}/munge/sock",
            f"--key-file={key}",
            f"--pid-file={self.path}/munge/pid",
            f"--log-file={self.path}/log/munged.log",
            f"--seed-file={self.path}/munge/seed",
        )
        self._wait_for(self.path / "munge/sock")
        self._daemon("slurmctld", "-D", "-c")
        for node in NODES:
            self.give_power(node)
        self.wait_for_nodes()

    def _daemon(self, *command: str) -> None:
        with (self.path / f"log/{command[0]}.out").open("ab") as log:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _wait_for(self, path: Path) -> None:
        end = time.monotonic() + START_SECONDS
        while not path.exists():
            if time.monotonic() > end:
                raise RuntimeError(f"{path} did not appear")
            time.sleep(0.02)

    def _write_configuration(self) -> None:
        host = socket.gethostname().split(".")[0]
        control, *ports = _free_ports(1 + len(NODES))
        hosts = Path("/etc/hosts").read_text()
        nodes = []
        for number, (node, port) in enumerate(zip(NODES, ports, strict=True)):
            address = f"127.0.0.{11 + number}"
            hosts += f"\n{address} {node}"
            nodes.append(
                f"NodeName={node} NodeHostname={node} NodeAddr={address} Port={port} "
                f"CPUs={self.cpus} RealMemory=64000 State=UNKNOWN"
            )
        (self.path / "hosts").write_text(hosts + "\n")
        (self.path / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        settings = f"""
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={self.path}/munge/sock,cred_expire=5
StateSaveLocation={self.path}/state
SlurmdSpoolDir={self.path}/spool/%n
SlurmctldPidFile={self.path}/slurmctld.pid
SlurmdPidFile={self.path}/slurmd.%n.pid
SlurmctldLogFile={self.path}/log/slurmctld.log
SlurmdLogFile={self.path}/log/slurmd.%n.log
PlugStackConfig=/dev/null
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=4
UnkillableStepTimeout=20
MinJobAge=86400
MaxArraySize={MAX_ARRAY_SIZE}
JobRequeue=1
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
PartitionName=DEFAULT State=UP MaxTime=7-0 DefaultTime=60 DefMemPerCPU=1024
"""
        lines = [settings.strip(), *nodes, "PartitionName=main Nodes=ALL Default=YES", ""]
        (self.path / "slurm.conf").write_text("\n".join(lines))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def signal_processes(text: str, number: signal.Signals) -> list[int]:
    """Send a signal to the processes whose command line has `text` in it; return their ids."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if text in command:
                os.kill(int(entry.name), number)
                found.append(int(entry.name))
    return found
