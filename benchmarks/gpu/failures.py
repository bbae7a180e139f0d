"""Why a program failed, by its exit status and by what it printed and logged."""

from __future__ import annotations

import re
from enum import StrEnum


class Cause(StrEnum):
    """What a failure was for lack of."""

    DEVICE_MEMORY = "the GPU's memory ran out"
    HOST_MEMORY = "the host's memory ran out"
    KILLED = "ended by SIGKILL, as where the host's memory runs out"
    TIME = "no time was left"
    OTHER = ""


_DEVICE_MEMORY = re.compile(
    r"torch\.(?:cuda\.)?OutOfMemoryError|\bOutOfMemoryError: CUDA|CUDA out of memory"
    r"|CUDA (?:driver )?error:? (?:\d+ )?\(?out of memory|CUDA_ERROR_OUT_OF_MEMORY"
    r"|cudaErrorMemoryAllocation|CUDA (?:runtime )?failure:? (?:\d+ )?'?out of memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED"
    r"|CUDNN_STATUS_\w*DEVICE_ALLOCATION_FAILED"
    # NCCL says on one line that it failed, on another why.
    r"|NCCL\b[^\n]{0,300}\bout of memory",
    re.IGNORECASE,
)
_HOST_MEMORY = re.compile(
    r"DefaultCPUAllocator: can't allocate memory|\bMemoryError\b|Cannot allocate memory"
    r"|CUDNN_STATUS_\w*HOST_ALLOCATION_FAILED"
)
_KILLED = re.compile(r"was ended by SIGKILL")
SIGKILL_STATUSES = (-9, 128 + 9)


def cause_of(status: int, said: str) -> Cause:
    """Return why a program failed.

    Args:
        status: Its exit status; of a signal the negative number.
        said: All that it and its processes printed and logged.
    """
    if status in SIGKILL_STATUSES or _KILLED.search(said):
        return Cause.KILLED
    if _DEVICE_MEMORY.search(said):
        return Cause.DEVICE_MEMORY
    return Cause.HOST_MEMORY if _HOST_MEMORY.search(said) else Cause.OTHER
