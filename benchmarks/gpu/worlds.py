"""A world of this process alone, with the product's model and optimizer in it."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from megatron_recipes.rank import LISTENER, prepare_megatron

if TYPE_CHECKING:
    from collections.abc import Iterator

    from megatron_recipes.config import TrainingConfig

RANK_0 = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}


@contextlib.contextmanager
def world_of_one(config: TrainingConfig) -> Iterator[tuple[Any, list[Any], Any]]:
    """Yield world, chunks of the model and optimizer, ready for steps; leave the world after."""
    for name, value in config.process_environment:
        os.environ.setdefault(name, value)
    prepare_megatron()
    from megatron_recipes.forward import connect_schedule
    from megatron_recipes.model import build_model
    from megatron_recipes.optimizer import build_optimizer
    from megatron_recipes.world import join_world, leave_world

    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The system's choice of a port, held open, so that no other program takes it.
        port, handle = str(listener.getsockname()[1]), str(os.dup(listener.fileno()))
        os.environ |= RANK_0 | {"MASTER_PORT": port, LISTENER: handle}
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        world = join_world(config.layout, config.schedule.seed)
        try:
            chunks = build_model(config, world)
            optimizer = build_optimizer(config, chunks)
            connect_schedule(chunks, optimizer)
            yield world, chunks, optimizer
        finally:
            leave_world()
            for name in (*RANK_0, "MASTER_PORT", LISTENER):
                del os.environ[name]
