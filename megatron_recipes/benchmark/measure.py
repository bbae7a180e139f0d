"""One measurement, as each of its processes takes part in it."""

import datetime
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from megatron_recipes.active import require_active, require_chosen_attention
from megatron_recipes.benchmark.clock import StepClock, timed_steps
from megatron_recipes.benchmark.content import Content
from megatron_recipes.benchmark.energy import EnergyMeter
from megatron_recipes.benchmark.kernels import profiled
from megatron_recipes.benchmark.reading import content_of
from megatron_recipes.benchmark.synthetic import SyntheticSequences
from megatron_recipes.blend import Blend
from megatron_recipes.config import TrainingConfig
from megatron_recipes.data import build_datasets
from megatron_recipes.figures import peak_memory_bytes
from megatron_recipes.forward import connect_schedule
from megatron_recipes.guards.garbage import GarbageCollection
from megatron_recipes.guards.hang import Watchdog
from megatron_recipes.model import build_model
from megatron_recipes.optimizer import build_optimizer
from megatron_recipes.step import TrainStep
from megatron_recipes.whole_files import write_json
from megatron_recipes.world import World, gathered, join_world, leave_world

PATIENCE = datetime.timedelta(minutes=30)
PROFILED_STEPS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What is measured, and where it is written."""

    config: TrainingConfig
    """The training; its vocabulary is known."""

    blend: Blend | None
    """Real data; None: random tokens."""

    warm_up_steps: int
    """Steps before the measured ones: kernels are chosen and memory is found in them."""

    num_steps: int
    """Measured steps."""

    profile: bool
    """Whether two more steps are traced afterwards, on rank 0."""

    directory: Path
    """Takes `measured.json`, and the trace."""


def measure(wanted: Measurement, tell: Callable[[str], None]) -> None:
    """Measure as one of several processes; rank 0 writes `measured.json`."""
    config = wanted.config
    world = join_world(config.layout, config.schedule.seed, PATIENCE)
    hosts = gathered(socket.gethostname())
    timeout = config.schedule.hang_timeout_seconds
    watchdog = Watchdog(
        wanted.directory, world.rank, hosts, timeout, lambda line, _first: tell(line)
    )
    try:
        content = _measure(wanted, world, watchdog)
    finally:
        watchdog.close()
    if world.rank == 0:
        write_json(wanted.directory / "measured.json", content)
    leave_world()


def _measure(wanted: Measurement, world: World, watchdog: Watchdog) -> dict[str, Any]:
    config = wanted.config
    chunks = build_model(config, world)
    optimizer = build_optimizer(config, chunks)
    connect_schedule(chunks, optimizer)
    dataset = _dataset(wanted)
    step = TrainStep(config, world, dataset, chunks, optimizer, watchdog)
    with GarbageCollection(config.execution.garbage_collection_interval):
        losses = [
            step.run(number + 1, is_asked=False).loss for number in range(wanted.warm_up_steps)
        ]
        _synchronize()
        energy = EnergyMeter(world.device.index) if world.device.index is not None else None
        measured, seconds = timed_steps(
            lambda number: step.run(wanted.warm_up_steps + number + 1, is_asked=False).loss,
            wanted.num_steps,
            StepClock(world.device),
        )
        joules = sum_if_all(gathered(energy.joules() if energy else None))
    found = {
        "seconds": seconds,
        "losses": losses + measured,
        "peak_memory_bytes": _most(peak_memory_bytes(), world),
        "joules": joules,
        "active": [
            *require_active(config, chunks, optimizer),
            *require_chosen_attention(config),
        ],
        "device": torch.cuda.get_device_name() if world.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    if config.batch.document_bounded_attention and world.rank == 0:
        found["content"] = asdict(_content(wanted, dataset))
    if wanted.profile:
        first = wanted.warm_up_steps + wanted.num_steps + 1
        found["kernels"] = profiled(
            lambda number: step.run(first + number, is_asked=False),
            PROFILED_STEPS,
            wanted.directory if world.rank == 0 else None,
        )
    return found


def _dataset(wanted: Measurement) -> Any:
    if wanted.blend is None:
        return SyntheticSequences(wanted.config)
    return build_datasets(wanted.config, wanted.blend, wanted.directory / "cache").train


def _content(wanted: Measurement, dataset: Any) -> Content:
    """Return what all processes read in the measured steps; the order of samples is known."""
    batch = wanted.config.batch
    first = wanted.warm_up_steps * batch.global_batch_size
    indices = range(first, first + wanted.num_steps * batch.global_batch_size)
    return content_of(dataset, indices, batch.sequence_length)


def sum_if_all(values: list[float | None]) -> float | None:
    """Return the sum of what all processes have; None where one of them cannot say."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    torch.distributed.barrier()


def _most(value: int, world: World) -> int:
    most = torch.tensor([value], dtype=torch.int64, device=world.device)
    torch.distributed.all_reduce(most, op=torch.distributed.ReduceOp.MAX)
    return int(most.item())
