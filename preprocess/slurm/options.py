"""The options of sbatch that say what a job needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.errors import UserError
from preprocess.slurm.site import slurm_directory, words

if TYPE_CHECKING:
    from preprocess.slurm.site import Site
    from preprocess.slurm.work import Work


def excluded_nodes(site: Site) -> list[str]:
    """Return the nodes that a pre-flight found bad: the first word of each line of its file."""
    given = site.excluded_nodes
    path = Path(given) if given else slurm_directory() / "excluded_nodes.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return sorted({line.split()[0] for line in lines if line.strip() and line[0] != "#"})


def job_options(work: Work, site: Site) -> list[str]:
    """Return what a job of a stage or training asks for."""
    options = [
        f"--{name}={value}"
        for name, value in (("account", site.account), ("qos", site.qos))
        if value
    ]
    options += words("FORGE_SBATCH_OPTIONS", site.sbatch_options)
    excluded = excluded_nodes(site)
    if excluded:
        options.append(f"--exclude={','.join(excluded)}")
    options += _training(work, site) if work.training else _stage(work)
    return [*options, *work.resources.options]


def _stage(work: Work) -> list[str]:
    asked = work.resources
    options = [f"--cpus-per-task={asked.cpus}", f"--mem={asked.memory}", f"--time={asked.time}"]
    return [*options, *([f"--partition={asked.partition}"] if asked.partition else [])]


def _training(work: Work, site: Site) -> list[str]:
    """Return nodes, processes and GPUs of a training, one process a GPU."""
    assert work.training is not None
    asked, processes = work.resources, work.training.num_processes
    nodes = asked.nodes or -(-processes // site.gpus_per_node)
    if processes % nodes:
        raise UserError(
            f"training {work.name}: expected its {processes} processes to fill whole nodes alike, "
            f"they do not on {nodes} of up to {site.gpus_per_node} (FORGE_GPUS_PER_NODE); change "
            "its layout or give nodes in [slurm]"
        )
    on_gpu = work.training.gpu != "cpu"
    partition = asked.partition or (site.gpu_partition if on_gpu else site.cpu_partition)
    options = [
        f"--nodes={nodes + site.spare_nodes}",
        f"--ntasks-per-node={processes // nodes}",
        f"--cpus-per-task={asked.cpus or site.cpus_per_gpu}",
        f"--mem={asked.memory or site.train_memory}",
        f"--time={asked.time or site.train_time}",
        f"--signal=B:USR2@{site.signal_seconds}",
        "--requeue" if site.requeue else "--no-requeue",
    ]
    if partition:
        options.append(f"--partition={partition}")
    if on_gpu:
        request = site.gpu_request.replace("{gpus}", str(processes // nodes))
        options += words("FORGE_GPU_REQUEST", request)
        options += words("FORGE_GPU_OPTIONS", site.gpu_options)
    return options
