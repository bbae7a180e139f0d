"""What surrounds the writing of gigabytes: whether there is room, and how far it is."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from megatron_recipes.checkpoints.writer import failure_reason
from megatron_recipes.convert.tensors import TensorSource, num_bytes

GIGA = 1e9
PROGRESS_SECONDS = 30.0


def check_room(path: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        OSError: It names both sizes.
    """
    existing = next(place for place in (path, *path.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise OSError(f"{path}: needs {needed:,} bytes, {free:,} are free there")


@contextlib.contextmanager
def told_with_place(path: Path) -> Iterator[None]:
    """Tell where writing failed, and why: a full disk names no file, or is an error of torch's.

    Raises:
        OSError: It names the path, the reason, what is free there and what to do.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise OSError(
            f"{path}: cannot be finished: {failure_reason(error)}; "
            f"{shutil.disk_usage(path).free:,} bytes are free there now; make room, the same "
            "command begins anew"
        ) from error


@contextlib.contextmanager
def progress(source: TensorSource, tell: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Tell now and then how much of a source is written; yields what is called with each name."""
    begin = last = time.monotonic()
    total, so_far = num_bytes(source), 0

    def count(name: str) -> None:
        nonlocal so_far, last
        so_far += source.specs[name].num_bytes
        now = time.monotonic()
        if now - last > PROGRESS_SECONDS:
            left = (now - begin) * (total - so_far) / so_far
            tell(f"{so_far / GIGA:.1f} of {total / GIGA:.1f} GB written, {left:.0f} s left")
            last = now

    yield count
    tell(f"{total / GIGA:.3f} GB written in {time.monotonic() - begin:.1f} s")
