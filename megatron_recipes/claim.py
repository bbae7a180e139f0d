"""The claim of a training on its checkpoint directory: of two at once the second is refused.

It is a lock, which the kernel takes back when the last process that holds it has ended, however
it ended; NFS passes it on to the server. Some cluster file systems know no locks: there a line
says so, and that only one training writes is left to the user.
"""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

LOCK_FILE = ".lock"
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


@contextlib.contextmanager
def claimed(directory: Path, tell: Callable[[str], None]) -> Iterator[int]:
    """Hold the claim on a directory; yields the descriptor that processes may inherit it by.

    Raises:
        ValueError: Another training holds it; the message says which.
    """
    path = directory / LOCK_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor, directory, tell)
        with contextlib.suppress(OSError):  # who holds it is a help; a full disk is no reason
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path, tell: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "a process"
        raise ValueError(
            f"{directory}: expected no other training in it, but {holder} trains there; "
            "wait for it, end it, or give another --checkpoint-dir"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        tell(f"{directory} is on a file system without locks: start no second training in it")
