"""Distributed checkpoints: written while the training goes on, named when every part is there.

The format is Megatron-Core's `torch_dist`: one file per process, tensors by their global name and
place, so that any layout can read what any other wrote. A save is: a snapshot of what each process
holds, its file written under a temporary directory's name, and, once every process has its file on
the disk, `checkpoint.json` with the digests of all files and the directory's own name by rank 0.
"""

import contextlib
import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing.strategies import filesystem_async
from megatron.core.dist_checkpointing.strategies.fully_parallel import (
    FullyParallelSaveStrategyWrapper,
)
from megatron.core.dist_checkpointing.strategies.torch import TorchDistSaveShardedStrategy
from megatron.core.distributed import DistributedDataParallel
from torch.distributed.checkpoint.api import CheckpointException

from megatron_recipes.checkpoints.content import digest_file
from megatron_recipes.checkpoints.state import load_training, load_weights, saved_state
from megatron_recipes.checkpoints.writer import BackgroundWriter, Snapshot
from megatron_recipes.config import TrainingConfig
from megatron_recipes.forward import gather_weights
from megatron_recipes.run_directory import Checkpoint, FileContent, RunDirectory, write_state
from megatron_recipes.whole_files import sync_directory, sync_file
from megatron_recipes.world import World, gathered, sum_over_world

FAILED = "the checkpoint could not be written"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Save:
    """A save that has begun."""

    state: dict[str, Any]
    writer: BackgroundWriter
    finish: list[Callable[[], None]]
    """What Megatron-Core does when every process has written: its own metadata."""


class Checkpointer:
    """Saves and loads a training; every process calls each of its methods together."""

    def __init__(
        self,
        run: RunDirectory,
        config: TrainingConfig,
        chunks: list[DistributedDataParallel],
        optimizer: Any,
        world: World,
        tell: Callable[[str], None],
    ) -> None:
        """Clean up what earlier runs left, and prepare to save.

        Args:
            run: Where.
            config: The training.
            chunks: The weights.
            optimizer: Its state is allocated.
            world: This process.
            tell: Prints a line; only rank 0 calls it.
        """
        self._run, self._config, self._tell = run, config, tell
        self._chunks, self._optimizer, self._world = chunks, optimizer, world
        self._snapshot = Snapshot() if config.schedule.async_save else None
        self._pending: _Save | None = None
        self._removal: threading.Thread | None = None
        # Replicas share the writing of the weights, which each of them holds.
        self._strategy = FullyParallelSaveStrategyWrapper(
            TorchDistSaveShardedStrategy(),
            parallel_state.get_data_parallel_group(with_context_parallel=True),
            do_cache_distribution=True,
        )
        self._is_first = True
        self._on_rank_0(
            run.path, "what interrupted saves left cannot be removed", run.remove_unfinished
        )

    def save(self, state: dict[str, Any]) -> None:
        """Begin a save, after the one before it; without `async_save`, also finish it.

        It returns once all that this process saves is copied into host memory, of the size of its
        file; on a GPU, once the copying is queued there before whatever the next step does.

        Args:
            state: `step`, `consumed_samples` and what else goes into `checkpoint.json`.

        Raises:
            OSError: This save, or the one before it, could not be written.
        """
        self.wait()
        final = self._run.step_directory(state["step"])
        temporary = self._run.unfinished_directory(state["step"])
        self._on_rank_0(final, FAILED, temporary.mkdir)
        gather_weights(self._chunks)
        # Nothing writes the results but a thread of this process, yet Megatron-Core asks for a
        # queue in a manager process: seconds to start, and left behind by a kill.
        filesystem_async._results_queue = queue.Queue()
        request = dist_checkpointing.save(
            saved_state(self._config, self._chunks, self._optimizer),
            str(temporary),
            self._strategy,
            validate_access_integrity=self._is_first,
            async_sharded_save=True,
            async_strategy="mcore",
        )
        self._is_first = False
        buckets = request.async_fn_args[1] if request.async_fn_args else []
        writer = BackgroundWriter(buckets, self._snapshot)
        self._pending = _Save(state=state, writer=writer, finish=request.finalize_fns)
        if self._snapshot is None:
            self.wait()

    def poll(self) -> None:
        """Finish the save that is in flight, if every process has written its part.

        Between saves this is nothing; during one it is a sum over all processes.

        Raises:
            OSError: The save could not be written.
        """
        if self._pending is None:
            return
        writer = self._pending.writer
        is_done = writer.is_done
        values = [float(is_done), float(bool(writer.error))]
        num_done, num_failed = sum_over_world(values, self._world.device)
        if num_failed or num_done == torch.distributed.get_world_size():
            self._complete()

    def wait(self) -> None:
        """Wait for the save that is in flight, and for removals.

        Raises:
            OSError: The save could not be written; what there was of it is removed.
        """
        self._complete()
        if self._removal is not None:
            self._removal.join()
            self._removal = None

    def _complete(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.writer.wait()
            self._finish(pending)

    def _finish(self, save: _Save) -> None:
        step = save.state["step"]
        temporary, final = self._run.unfinished_directory(step), self._run.step_directory(step)
        written = gathered((save.writer.error, save.writer.contents))
        errors = [f"rank {rank}: {error}" for rank, (error, _) in enumerate(written) if error]
        if errors:
            with contextlib.suppress(OSError):
                self._on_rank_0(final, FAILED, lambda: shutil.rmtree(temporary))
            raise OSError(self._failure(final, FAILED, errors[0]))
        filesystem_async._results_queue.put(save.writer.results)
        try:
            for finish in save.finish:
                finish()
        except (CheckpointException, OSError) as error:
            raise OSError(self._failure(final, FAILED, str(error))) from error
        contents = {name: content for _, part in written for name, content in part.items()}
        self._on_rank_0(final, FAILED, lambda: self._name(save.state, contents))
        self._on_rank_0(self._run.path, "no checkpoint could be removed", self._retire)

    def _name(self, state: dict[str, Any], contents: dict[str, FileContent]) -> None:
        """Give a save of which all files are on the disk its name."""
        temporary = self._run.unfinished_directory(state["step"])
        final = self._run.step_directory(state["step"])
        for file in sorted(temporary.iterdir()):
            if file.name not in contents:  # Megatron-Core's, small
                sync_file(file)
                contents[file.name] = FileContent(
                    num_bytes=file.stat().st_size, sha256=digest_file(file)
                )
        write_state(temporary, state, contents)
        sync_directory(temporary)
        temporary.rename(final)
        sync_directory(self._run.path)
        self._tell(f"saved {final}")

    def _retire(self) -> None:
        schedule = self._config.schedule
        leaving = self._run.retire_superseded(schedule.keep_checkpoints, schedule.keep_every)
        # Minutes for a large one on a shared file system; what is left of it is cleaned up later.
        self._removal = threading.Thread(target=_remove, args=(leaving,), daemon=True)
        self._removal.start()

    def _on_rank_0(self, path: Path, what: str, act: Callable[[], Any]) -> None:
        """Let rank 0 act on files, and fail everywhere if it cannot."""
        error = ""
        if self._world.rank == 0:
            try:
                act()
            except OSError as problem:
                error = problem.strerror or str(problem)
        errors = [error]
        torch.distributed.broadcast_object_list(errors, src=0)
        if errors[0]:
            raise OSError(self._failure(path, what, errors[0]))

    def _failure(self, path: Path, what: str, reason: str) -> str:
        free = ""
        with contextlib.suppress(OSError):  # of a directory that is gone
            free = f"{shutil.disk_usage(self._run.path).free:,} bytes are free there now, "
        return (
            f"{path}: {what}: {reason}; {free}the checkpoints before it are unharmed, "
            "the same command resumes"
        )

    def load(self, checkpoint: Checkpoint) -> None:
        """Load a checkpoint of this training, saved at any layout: see `load_training`."""
        load_training(checkpoint, self._config, self._chunks, self._optimizer)

    def load_weights(self, checkpoint: Checkpoint) -> None:
        """Load the weights of another training, saved at any layout: see `load_weights`."""
        load_weights(checkpoint, self._chunks, self._optimizer)


def _remove(directories: list[Path]) -> None:
    for directory in directories:
        # What cannot be removed now is removed, or complained of, when the training next starts.
        shutil.rmtree(directory, ignore_errors=True)
