"""The processes of a training: who this one is, the groups it belongs to, the device it uses."""

import datetime
import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from megatron.core import parallel_state, tensor_parallel
from megatron.core.extensions.transformer_engine import HAVE_TE

from megatron_recipes.config import LayoutConfig
from megatron_recipes.rank import LISTENER

TIMEOUT = datetime.timedelta(minutes=30)
"""How long a collective waits unless it is told otherwise; the first one waits for the slowest
process to read its data."""


STAGE_SEEDS = 100
"""From the seed of a pipeline stage to that of the next: Megatron-LM's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """This process among the others."""

    rank: int
    """Of this process, from 0."""

    device: torch.device
    """Where its tensors are."""

    tensor_model_parallel_rank: int
    """Its share of every matrix."""

    pipeline_model_parallel_rank: int
    """Its stage."""

    data_parallel_rank: int
    """Its replica."""

    data_parallel_size: int
    """Replicas."""

    is_first_stage: bool
    """Whether it holds the embedding."""

    is_last_stage: bool
    """Whether it computes the loss."""

    @property
    def counts_loss(self) -> bool:
        """Whether this process adds its loss to the sum over all, so that each is counted once."""
        return self.is_last_stage and self.tensor_model_parallel_rank == 0


def join_world(layout: LayoutConfig, seed: int, timeout: datetime.timedelta = TIMEOUT) -> World:
    """Join the process group that the environment names and make the parallel groups.

    RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT are read, as torchrun sets them.
    Random states are seeded so that pipeline stages draw apart, and tensor parallel processes where
    they must.

    Raises:
        ValueError: There are more processes on this machine than GPUs.
    """
    if torch.cuda.is_available():
        number = int(os.environ.get("LOCAL_RANK", "0"))
        if number >= torch.cuda.device_count():
            raise ValueError(
                f"process {number} of this machine needs a GPU of its own, there are "
                f"{torch.cuda.device_count()}; start fewer processes here"
            )
        device = torch.device("cuda", number)
        torch.cuda.set_device(device)
        torch.distributed.init_process_group(
            "nccl", timeout=timeout, device_id=device, **_meeting_place()
        )
    else:
        device = torch.device("cpu")
        torch.distributed.init_process_group("gloo", timeout=timeout, **_meeting_place())
    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=layout.tensor_model_parallel_size,
        pipeline_model_parallel_size=layout.pipeline_model_parallel_size,
        virtual_pipeline_model_parallel_size=virtual_stages(layout),
        context_parallel_size=layout.context_parallel_size,
    )
    # Stages draw apart, too: where weights keep what Megatron-Core drew, no two layers are equal.
    seed += STAGE_SEEDS * parallel_state.get_pipeline_model_parallel_rank()
    torch.manual_seed(seed)
    tensor_parallel.model_parallel_cuda_manual_seed(seed)
    return World(
        rank=torch.distributed.get_rank(),
        device=device,
        tensor_model_parallel_rank=parallel_state.get_tensor_model_parallel_rank(),
        pipeline_model_parallel_rank=parallel_state.get_pipeline_model_parallel_rank(),
        data_parallel_rank=parallel_state.get_data_parallel_rank(),
        data_parallel_size=parallel_state.get_data_parallel_world_size(),
        is_first_stage=parallel_state.is_pipeline_first_stage(ignore_virtual=True),
        is_last_stage=parallel_state.is_pipeline_last_stage(ignore_virtual=True),
    )


def uses_transformer_engine() -> bool:
    """Whether layers come from Transformer Engine: it is there, and so is a GPU for it."""
    return bool(HAVE_TE) and torch.cuda.is_available()


def virtual_stages(layout: LayoutConfig) -> int | None:
    """Return the chunks each stage holds as Megatron-Core says it: None unless they interleave."""
    chunks = layout.virtual_pipeline_model_parallel_size
    return chunks if chunks > 1 else None


def _meeting_place() -> dict[str, Any]:
    """Return where processes of one machine meet: the socket that their launcher opened."""
    if LISTENER not in os.environ:
        return {}  # as the environment says
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        world_size,
        is_master=rank == 0,
        timeout=TIMEOUT,
        master_listen_fd=int(os.environ[LISTENER]) if rank == 0 else None,
    )
    return {"store": store, "rank": rank, "world_size": world_size}


def leave_world() -> None:
    """Leave the groups: nothing of them is left behind."""
    parallel_state.destroy_model_parallel()
    torch.distributed.destroy_process_group()


def gathered(mine: Any) -> list[Any]:
    """Return what every process has, by rank; all call this together."""
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, mine)
    return found


def sum_over_world(values: list[float], device: torch.device) -> list[float]:
    """Return the sums over all processes, in float64."""
    totals = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(totals)
    return [float(total) for total in totals.tolist()]
