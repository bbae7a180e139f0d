"""One process's part of a checkpoint, written while the training goes on.

The part is first copied into host memory, which is kept and used by every save: as much as the
part has bytes, pinned where there is a GPU. Then a thread writes the copy. A thread, since a
forked process would share the locks and device contexts that other threads of this one hold, and
could outlive it. Torch's serialisation, the digest and the file release the interpreter.
"""

import hashlib
import io
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch.distributed.checkpoint.filesystem import (
    SerializationFormat,
    _StorageWriterTransforms,
    _write_item,
)

from megatron_recipes.run_directory import FileContent

ALIGNMENT_BYTES = 64
FILE_BUFFER_BYTES = 1 << 20

Bucket = tuple[str, str, tuple[list[Any], list[Any]]]
"""A file as Megatron-Core plans it: path, name, and its objects and tensors with their items."""


class Snapshot:
    """Host memory for one copy of what this process saves."""

    def __init__(self) -> None:
        self._memory = torch.empty(0, dtype=torch.uint8)
        self._is_copied: torch.cuda.Event | None = None

    def take(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return copies of the tensors, in the memory of the copies that were taken before.

        On a GPU they are whole after `wait`; what is computed next there runs after the copying.
        """
        offsets, total = [], 0
        for tensor in tensors:
            offsets.append(total)
            num_bytes = tensor.numel() * tensor.element_size()
            total += -(-num_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        on_gpu = torch.cuda.is_available()
        if total > self._memory.numel():
            self._memory = torch.empty(total, dtype=torch.uint8, pin_memory=on_gpu)
        copies = [
            self._place(tensor, offset).copy_(tensor, non_blocking=True)
            for tensor, offset in zip(tensors, offsets, strict=True)
        ]
        if on_gpu:
            self._is_copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._is_copied.record()
        return copies

    def _place(self, tensor: torch.Tensor, offset: int) -> torch.Tensor:
        # Not a slice of the memory: torch.save writes all of the storage that a tensor is in.
        if not tensor.numel():
            return torch.empty(tensor.shape, dtype=tensor.dtype)
        flat = torch.frombuffer(
            self._memory.numpy(), dtype=tensor.dtype, count=tensor.numel(), offset=offset
        )
        return flat.view(tensor.shape)

    def wait(self) -> None:
        """Wait until the copies are whole."""
        if self._is_copied is not None:
            self._is_copied.synchronize()


class BackgroundWriter:
    """Writes the files of one process."""

    def __init__(self, buckets: Sequence[Bucket], snapshot: Snapshot | None) -> None:
        """Begin to write.

        Args:
            buckets: What Megatron-Core planned for this process.
            snapshot: Takes a copy, which a thread then writes; without one it is written here.
        """
        self._buckets, self._snapshot = buckets, snapshot
        self.results: dict[int, list[Any]] = {}
        """What Megatron-Core wants to know of the written items, for each file."""
        self.contents: dict[str, FileContent] = {}
        """Of each file written."""
        self.error = ""
        """Why a file could not be written."""
        self._thread: threading.Thread | None = None
        if snapshot is None:
            self._write()
            return
        self._buckets = _copied(buckets, snapshot)
        # A daemon: a process that fails does not first write its checkpoint.
        self._thread = threading.Thread(target=self._write, name="checkpoint", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether all is written, or could not be."""
        return self._thread is None or not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until `is_done`."""
        if self._thread is not None:
            self._thread.join()

    def _write(self) -> None:
        try:
            if self._snapshot is not None:
                self._snapshot.wait()
            for number, bucket in enumerate(self._buckets):
                self.results[number] = self._write_file(*bucket)
        except Exception as error:  # of a thread: told by whoever waits for it
            self.error = failure_reason(error)

    def _write_file(self, path: str, name: str, content: tuple[list[Any], list[Any]]) -> list[Any]:
        objects, tensors = content
        with Path(path).open("wb", buffering=FILE_BUFFER_BYTES) as file:
            stream = _DigestingStream(file)
            transforms = _StorageWriterTransforms()
            results = [
                _write_item(
                    transforms,
                    stream,
                    data.cpu() if isinstance(data, torch.Tensor) else data,
                    item,
                    name,
                    SerializationFormat.TORCH_SAVE,
                )
                for item, data in (*objects, *tensors)
            ]
            file.flush()
            os.fsync(file.fileno())
        self.contents[name] = stream.content()
        return results


class _DigestingStream(io.RawIOBase):
    """Passes on what is written, and takes its digest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest, self._num_bytes = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._file.write(view)
        self._digest.update(view)
        self._num_bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._num_bytes

    def content(self) -> FileContent:
        return FileContent(num_bytes=self._num_bytes, sha256=self._digest.hexdigest())


def failure_reason(error: BaseException) -> str:
    """Return what an error says, or the error of a file that it hides.

    Torch makes a full disk a RuntimeError about positions in its own format.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return " ".join(f"{type(error).__name__}: {error}".split())


def _copied(buckets: Sequence[Bucket], snapshot: Snapshot) -> list[Bucket]:
    copies = iter(snapshot.take([tensor for *_, (_, tensors) in buckets for _, tensor in tensors]))
    return [
        (path, name, (objects, [(item, next(copies)) for item, _ in tensors]))
        for path, name, (objects, tensors) in buckets
    ]
