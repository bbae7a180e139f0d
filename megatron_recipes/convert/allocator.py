"""What glibc is told, so that a conversion's memory is what it holds."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's numbers of the parameters, `malloc.h`."""
LARGE_BYTES = 1 << 20


def give_large_blocks_back() -> None:
    """Have every freed block of 1 MiB or more leave the process at once.

    glibc raises its threshold with each large block freed and keeps later ones in its heaps: tens
    of blocks of weights, by the time a model has passed. Other C libraries lack the call.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)
