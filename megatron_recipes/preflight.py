"""What a cluster's nodes are worth before a training waits for all of them at once.

`python -m megatron_recipes.preflight` has three parts, which `slurm/preflight.sbatch` and
`slurm/train.sbatch` call:

| part | runs as | says on standard output |
|---|---|---|
| `node` | one process a node, without torch | `NAME ok FACTS`, or `NAME bad REASON` |
| `bandwidth` | one process a GPU | for each group of nodes that met: `SCOPE NODE,... GB/s` |
| `judge` | one process | a line a node, figures of the whole; status 1 if a node is bad |

A node is bad when it says so, when it does not answer, or when its all-reduce is less than half as
fast as the median. Groups are a node by itself (`node`), two neighbours (`pair`, `next`: each node
meets two others) and all. A slow pair alone does not tell which of the two it is; a node that is
slow with both of its neighbours is.
"""

import argparse
import datetime
import importlib.metadata
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SCOPES = ("node", "pair", "next", "all")
SLOW = 0.5
"""Of the median. Nodes of a partition are alike and differ by some percent; a link that has fallen
back or a GPU that is throttled costs half and more."""

MIN_SHM_BYTES = 512 << 20
"""NCCL and data loaders share memory through /dev/shm; containers often have 64 MiB of it."""

MAX_CLOCK_SECONDS = 5.0
"""Further apart, times in logs and of files mislead."""

WRITE_BYTES = 16 << 20
MIN_WRITE_BYTES_PER_SECOND = 1 << 20
COMMAND_SECONDS = 30
GPU_QUERY = "index,ecc.errors.uncorrected.volatile.total,remapped_rows.failure,driver_version"


def node_name() -> str:
    """Return the name by which Slurm knows this node."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname().split(".")[0]


def node_faults(directory: Path) -> Iterator[str]:
    """Yield what is wrong with this node; `directory` is where a training will write."""
    yield from _gpu_faults()
    free = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0
    if free < MIN_SHM_BYTES:
        yield f"/dev/shm has {free >> 20} MiB free, {MIN_SHM_BYTES >> 20} are needed"
    yield from _storage_faults(directory)
    check = os.environ.get("FORGE_HEALTH_COMMAND")
    if check:
        done = subprocess.run(["bash", "-c", check], capture_output=True, text=True, check=False)
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())[:200]
            yield f"FORGE_HEALTH_COMMAND ended with status {done.returncode} {said}".rstrip()


def _gpu_faults() -> Iterator[str]:
    expected = os.environ.get("SLURM_GPUS_ON_NODE", "0")
    lines, problem = _gpus()
    if expected.isdecimal() and int(expected) > len(lines):
        yield f"Slurm gave {expected} GPUs, nvidia-smi shows {len(lines)} {problem}".rstrip()
    for line in lines:
        index, errors, failure, *_ = [part.strip() for part in line.split(",")]
        if errors.isdecimal() and int(errors):
            yield f"GPU {index} has {errors} uncorrected memory errors"
        if failure.lower() in ("yes", "1"):
            yield f"GPU {index} could not remap a bad row of its memory"


def _gpus() -> tuple[list[str], str]:
    """Return a line for each GPU, and why there is none."""
    command = ["nvidia-smi", f"--query-gpu={GPU_QUERY}", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
        )
    except FileNotFoundError:
        return [], "(there is no nvidia-smi)"
    except subprocess.TimeoutExpired:
        return [], f"(it did not answer in {COMMAND_SECONDS} s)"
    if done.returncode:
        return [], f"({' '.join((done.stderr or done.stdout).split())[:200]})"
    return done.stdout.strip().splitlines(), ""


def _storage_faults(directory: Path) -> Iterator[str]:
    """Write, rename and read a file as a checkpoint does."""
    path = directory / f".preflight-{node_name()}-{os.getpid()}"
    content = os.urandom(WRITE_BYTES)
    started = time.monotonic()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".tmp").open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".tmp").replace(path)
        if path.read_bytes() != content:
            yield f"{directory} gave other bytes than were written"
    except OSError as error:
        yield f"{directory}: {error.strerror}"
    else:
        rate = WRITE_BYTES / (time.monotonic() - started)
        if rate < MIN_WRITE_BYTES_PER_SECOND:
            yield f"{directory} took {rate / 1e6:.2f} MB/s"
    finally:
        for each in (path, path.with_suffix(".tmp")):
            each.unlink(missing_ok=True)


def versions() -> str:
    """Return what has to be the same on all nodes, as one word."""
    found = [f"python={platform.python_version()}"]
    for package in ("torch", "megatron-core", "transformer-engine", "nvidia-nccl-cu12"):
        try:
            found.append(f"{package}={importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    lines, _ = _gpus()
    found += sorted({f"driver={line.split(',')[-1].strip()}" for line in lines})
    return ";".join(found)


def check_node(directory: Path, *, with_versions: bool) -> str:
    """Return this node's line."""
    faults = list(node_faults(directory))
    if faults:
        return f"{node_name()} bad {'; '.join(faults)}"
    facts = f" clock={time.time():.3f} {versions()}" if with_versions else ""
    return f"{node_name()} ok{facts}"


def groups(scope: str, num_nodes: int) -> list[list[int]]:
    """Return which nodes meet, by their numbers; in an odd number one is left out of each round.

    >>> groups("pair", 5), groups("next", 5)
    ([[0, 1], [2, 3]], [[1, 2], [3, 4]])
    >>> groups("next", 4)
    [[1, 2], [3, 0]]
    """
    if scope == "node":
        return [[node] for node in range(num_nodes)]
    if scope == "all":
        return [list(range(num_nodes))]
    first = 0 if scope == "pair" else 1
    last = num_nodes if first == 0 or num_nodes % 2 == 0 else num_nodes - 1
    starts = range(first, last, 2) if first else range(0, num_nodes - 1, 2)
    return [[start, (start + 1) % num_nodes] for start in starts]


def bandwidth(scope: str, mebibytes: int) -> str | None:
    """Meet with the other processes of this one's group; return rank 0's line, else None.

    The figure is that of NCCL's own tests, the traffic of each process in a ring: 2 (n - 1) / n of
    the bytes in the time of one all-reduce, the least of several.
    """
    import torch
    import torch.distributed

    nodes = os.environ["FORGE_NODES"].split()
    mine = int(os.environ["SLURM_NODEID"])
    numbered = {node: group for group in groups(scope, len(nodes)) for node in group}
    if mine not in numbered:
        return None
    group = numbered[mine]
    local, per_node = int(os.environ["SLURM_LOCALID"]), _tasks_per_node()
    rank, size = group.index(mine) * per_node + local, len(group) * per_node
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    port = int(os.environ["FORGE_PORT"]) + group[0]
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"tcp://{nodes[group[0]]}:{port}",
        rank=rank,
        world_size=size,
        timeout=datetime.timedelta(seconds=120),
    )
    values = torch.ones(mebibytes << 18, dtype=torch.float32, device=device)
    seconds = []
    for _ in range(5):
        started = time.monotonic()
        torch.distributed.all_reduce(values)
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - started)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    if rank:
        return None
    rate = 2 * (size - 1) / size * (mebibytes << 20) / min(seconds) / 1e9
    return f"{scope} {','.join(nodes[node] for node in group)} {rate:.3f}"


def _tasks_per_node() -> int:
    return int(os.environ["SLURM_NTASKS"]) // int(os.environ["SLURM_NNODES"])


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What is known of the nodes together."""

    nodes: list[str]
    bad: dict[str, str] = field(default_factory=dict)
    """Node -> why."""
    notes: list[str] = field(default_factory=list)
    """Figures, and what cannot be blamed on one node."""


def judge(nodes: list[str], said: list[str], rates: list[str]) -> Verdict:
    """Return which nodes are bad.

    Args:
        nodes: All that were asked.
        said: The lines of `node`.
        rates: The lines of `bandwidth`, of all scopes.
    """
    verdict = Verdict(nodes=nodes)
    facts = {}
    for line in said:
        name, _, rest = line.partition(" ")
        state, _, about = rest.partition(" ")
        facts[name] = about
        if state != "ok":
            verdict.bad[name] = about
    for name in nodes:
        if name not in facts:
            verdict.bad[name] = "did not answer"
    _judge_facts({name: about for name, about in facts.items() if name not in verdict.bad}, verdict)
    for scope in SCOPES:
        found = {}
        for line in rates:
            if line.startswith(f"{scope} "):
                _, names, rate = line.split()
                found[names] = float(rate)
        _judge_rates(scope, found, verdict)
    return verdict


def _judge_facts(facts: dict[str, str], verdict: Verdict) -> None:
    """Compare clocks and versions; the odd one out is bad."""
    parts = {name: about.split(" ", 1) for name, about in facts.items() if " " in about}
    if not parts:
        return
    clocks = {name: float(clock.removeprefix("clock=")) for name, (clock, _) in parts.items()}
    middle = statistics.median(clocks.values())
    for name, clock in clocks.items():
        # The processes start some seconds apart at most, `srun` starts them together.
        if abs(clock - middle) > MAX_CLOCK_SECONDS:
            verdict.bad[name] = f"its clock is {clock - middle:+.1f} s off"
    usual, _ = Counter(version for _, version in parts.values()).most_common(1)[0]
    verdict.notes.append(usual.replace(";", ", "))
    for name, (_, version) in parts.items():
        if version != usual:
            verdict.bad[name] = f"has {version.replace(';', ', ')}"


def _judge_rates(scope: str, found: dict[str, float], verdict: Verdict) -> None:
    expected = [
        [verdict.nodes[node] for node in group] for group in groups(scope, len(verdict.nodes))
    ]
    measured = [rate for rate in found.values() if rate > 0]
    median = statistics.median(measured) if measured else 0.0
    if measured:
        verdict.notes.append(
            f"all-reduce, {scope}: {median:.1f} GB/s, least {min(measured):.1f}, "
            f"{len(found)} of {len(expected)} groups"
        )
    for names in expected:
        rate = found.get(",".join(names))
        if rate is not None and rate >= SLOW * median:
            continue
        what = "did not finish" if rate is None else f"{rate:.1f} GB/s, the median is {median:.1f}"
        problem = f"all-reduce, {scope} {','.join(names)}: {what}"
        suspects = [name for name in names if name not in verdict.bad]
        if len(suspects) < len(names) and len(names) > 1:
            continue  # one that is known to be bad explains it
        earlier = [name for name in suspects if any(_is_of(name, note) for note in verdict.notes)]
        if len(names) == 1:
            verdict.bad[names[0]] = problem
        elif len(earlier) == 1:  # slow with its other neighbour, too
            verdict.bad[earlier[0]] = problem
        else:
            verdict.notes.append(f"SLOW {problem}")


def _is_of(name: str, note: str) -> bool:
    return note.startswith("SLOW all-reduce, pair ") and name in note.split()[3].rstrip(":").split(
        ","
    )


def report(verdict: Verdict, exclude: Path | None) -> int:
    """Print the verdict, add bad nodes to the file, and return the exit status."""
    for name in verdict.nodes:
        print(f"{name}: {'BAD: ' + verdict.bad[name] if name in verdict.bad else 'good'}")
    for note in verdict.notes:
        print(note)
    if verdict.bad and exclude:
        today = datetime.datetime.now(datetime.UTC).date()
        known = exclude.read_text(encoding="utf-8") if exclude.exists() else ""
        added = [
            f"{name}  # {today}: {reason}\n"
            for name, reason in verdict.bad.items()
            if name not in {line.split()[0] for line in known.splitlines() if line.strip()}
        ]
        with exclude.open("a", encoding="utf-8") as file:
            file.writelines(added)
        print(f"excluded from now on, by {exclude}: {','.join(verdict.bad)}")
    slow = any(note.startswith("SLOW") for note in verdict.notes)
    return 1 if verdict.bad or slow else 0


def main(arguments: list[str]) -> int:
    """Run one part; see the head of this module."""
    parser = argparse.ArgumentParser(prog="megatron_recipes.preflight")
    parts = parser.add_subparsers(dest="part", required=True)
    node = parts.add_parser("node")
    node.add_argument("--directory", type=Path, required=True)
    node.add_argument("--versions", action="store_true")
    measure = parts.add_parser("bandwidth")
    measure.add_argument("--scope", choices=SCOPES, required=True)
    measure.add_argument("--mib", type=int, default=256)
    verdict = parts.add_parser("judge")
    verdict.add_argument("found", type=Path)
    verdict.add_argument("--exclude", type=Path)
    given = parser.parse_args(arguments)
    if given.part == "node":
        print(check_node(given.directory, with_versions=given.versions), flush=True)
        return 0
    if given.part == "bandwidth":
        line = bandwidth(given.scope, given.mib)
        if line:
            print(line, flush=True)
        return 0
    said = (given.found / "nodes").read_text(encoding="utf-8").splitlines()
    rates = [
        line
        for scope in SCOPES
        for line in (given.found / scope).read_text(encoding="utf-8").splitlines()
    ]
    return report(judge(os.environ["FORGE_NODES"].split(), said, rates), given.exclude)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
