"""The energy a GPU has used, as its driver counts it."""

import ctypes
import os

NVML_SUCCESS = 0


class EnergyMeter:
    """Joules of this process's GPU since the meter was made; None where none can be read."""

    def __init__(self, device: int) -> None:
        """Begin to measure; `device` is CUDA's number of the GPU in this process."""
        self._library, self._handle = _open(device)
        self._begun = self._millijoules()

    def joules(self) -> float | None:
        """Return the energy used since the start, or None."""
        now = self._millijoules()
        return None if now is None or self._begun is None else (now - self._begun) / 1000

    def _millijoules(self) -> int | None:
        if self._library is None:
            return None
        used = ctypes.c_ulonglong()
        status = self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle, ctypes.byref(used))
        return used.value if status == NVML_SUCCESS else None


def _open(device: int) -> tuple[ctypes.CDLL | None, ctypes.c_void_p]:
    handle = ctypes.c_void_p()
    # NVML counts the machine's GPUs, CUDA those that this process may see.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    name = visible[device] if device < len(visible) and visible[device] else str(device)
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        if library.nvmlInit_v2() != NVML_SUCCESS:
            return None, handle
        if name.isdigit():
            found = library.nvmlDeviceGetHandleByIndex_v2(int(name), ctypes.byref(handle))
        else:
            found = library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
    except (OSError, AttributeError):  # no driver here, or one that lacks the function
        return None, handle
    return (library if found == NVML_SUCCESS else None), handle
