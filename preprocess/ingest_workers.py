"""The processes that read native files, and the order in which their work comes back."""

from __future__ import annotations

import gc
import multiprocessing
import queue
import signal
import threading
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.errors import UserError
from preprocess.frame_builder import FrameBuilder
from preprocess.manifest import hash_file
from preprocess.readers import READERS
from preprocess.record_shards import Frame
from preprocess.records import TruncatedInput
from preprocess.run_options import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from preprocess.ingest import IngestConfig
    from preprocess.inputs import InputFile

_CONTAINERS_BEFORE_COLLECTION = 100_000
"""Records hold no cycles: to look for some every 700 objects, as Python does, takes a tenth of the
time of reading. What a parser leaves in cycles is still found, a little later."""

type BatchEnd = tuple[list[tuple[int, str]], list[str]]
"""Native records and hash of each file of a batch; what was truncated."""

_FRAME = b"F"
_END = b"E"
_FAILED = b"X"

_WAITING_FRAMES = 8
"""Frames of one worker that wait for their turn; more of them stop that worker."""


class WorkerPool:
    """Worker processes that turn batches of files into frames; a context manager."""

    def __init__(self, workers: int, config: IngestConfig, memory_bytes: int) -> None:
        context = multiprocessing.get_context("spawn")
        limit_bytes = min(memory_bytes // max(workers, 1), MAX_RECORD_BYTES)
        self._workers: list[tuple[BaseProcess, Connection[Any, Any]]] = []
        # Ctrl-C reaches the whole group, and an interpreter that is starting would answer with a
        # traceback. The tracker comes first: it lets the signal through once it has started.
        resource_tracker.ensure_running()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(max(workers, 1)):
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_serve, args=(theirs, config, limit_bytes), daemon=True
                )
                process.start()
                theirs.close()
                self._workers.append((process, ours))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker, connection in self._workers:
            connection.close()
            worker.terminate()
        for worker, _ in self._workers:
            worker.join()

    def frames(
        self, batches: Sequence[Sequence[InputFile]], skip: int
    ) -> Iterator[Frame | BatchEnd]:
        """Yield the frames of the batches in order but for the first `skip`, and each one's end.

        Raises:
            UserError: A worker died or failed.
        """
        numbers = iter(range(len(batches)))
        lock = threading.Lock()
        results = [queue.Queue[bytes](maxsize=_WAITING_FRAMES) for _ in batches]
        # A worker far ahead of its turn waits here, so that finished batches do not pile up.
        ahead = threading.Semaphore(4 * len(self._workers))
        stop = threading.Event()

        def feed(connection: Connection[Any, Any]) -> None:
            while not stop.is_set():
                ahead.acquire()
                with lock:
                    number = next(numbers, None)
                if number is None or stop.is_set():
                    return
                _relay(connection, batches[number], results[number], stop)

        threads = [
            threading.Thread(target=feed, args=(connection,), daemon=True)
            for _, connection in self._workers
        ]
        for thread in threads:
            thread.start()
        try:
            seen = 0
            for result in results:
                while (message := result.get())[:1] == _FRAME:
                    if seen >= skip:
                        yield msgspec.msgpack.decode(memoryview(message)[1:], type=Frame)
                    seen += 1
                if message[:1] == _FAILED:
                    raise UserError(message[1:].decode())
                yield msgspec.msgpack.decode(memoryview(message)[1:], type=BatchEnd.__value__)
                ahead.release()
        finally:
            stop.set()
            for _ in threads:
                ahead.release()


def _relay(
    connection: Connection[Any, Any],
    batch: Sequence[InputFile],
    result: queue.Queue[bytes],
    stop: threading.Event,
) -> None:
    try:
        connection.send([(str(file.path), file.relative) for file in batch])
        while not stop.is_set():
            message = connection.recv_bytes()
            result.put(message)
            if message[:1] != _FRAME:
                return
    except (EOFError, OSError):
        names = ", ".join(str(file.path) for file in batch[:3])
        result.put(
            _FAILED
            + f"expected a worker to read {names}{' ...' if len(batch) > 3 else ''}, it died "
            "(out of memory?); run again with fewer --workers".encode()
        )


def _serve(connection: Connection[Any, Any], config: IngestConfig, limit_bytes: int) -> None:
    """Read batches until the other side closes."""
    gc.freeze()  # what was imported stays
    gc.set_threshold(_CONTAINERS_BEFORE_COLLECTION)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what becomes of us
    while True:
        try:
            batch: list[tuple[str, str]] = connection.recv()
        except (EOFError, OSError):
            return
        try:
            _read_batch(connection, config, batch, limit_bytes)
        except BrokenPipeError:
            return  # the other side has ended, and told why
        except UserError as error:
            connection.send_bytes(_FAILED + str(error).encode())
        except OSError as error:
            name = error.filename or batch[0][0]
            reason = f"{name}: expected a readable file, but {error.strerror or error}"
            connection.send_bytes(_FAILED + reason.encode())
        except Exception as error:
            names = ", ".join(path for path, _ in batch[:3])
            reason = f"reader {config.dataset} failed on one of {names}: {error!r}; please report"
            connection.send_bytes(_FAILED + reason.encode())


def _read_batch(
    connection: Connection[Any, Any],
    config: IngestConfig,
    batch: list[tuple[str, str]],
    limit_bytes: int,
) -> None:
    reader = READERS[config.dataset]

    def send(frame: Frame) -> None:
        connection.send_bytes(_FRAME + msgspec.msgpack.encode(frame))

    builder = FrameBuilder(send, config)
    ends: list[tuple[int, str]] = []
    problems: list[str] = []
    for name, relative in batch:
        path = Path(name)
        native = 0
        try:
            for outcome in reader.outcomes(path, relative, config.options, limit_bytes):
                builder.add(outcome)
                native += 1
        except TruncatedInput as error:
            problems.append(str(error))  # it names the file
        ends.append((native, hash_file(path)[1]))
    builder.close()
    end: BatchEnd = (ends, problems)
    connection.send_bytes(_END + msgspec.msgpack.encode(end))
