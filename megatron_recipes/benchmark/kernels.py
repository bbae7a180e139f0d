"""What a step's time goes to, kernel by kernel."""

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

NUM_KERNELS = 10
TRACE = "trace.json.gz"


def profiled(
    run: Callable[[int], Any], num_steps: int, directory: Path | None
) -> list[dict[str, Any]]:
    """Run steps under PyTorch's profiler; return the most expensive kernels.

    Args:
        run: Runs the step of a number from 0.
        num_steps: How many.
        directory: Takes `trace.json.gz`, for Perfetto or chrome://tracing; None: this process
            only takes part.

    Returns:
        `name`, `calls` and `milliseconds` a step, `share` of all kernels; on a CPU operators
        stand for kernels.
    """
    if directory is None:
        for number in range(num_steps):
            run(number)
        return []
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        for number in range(num_steps):
            run(number)
        if on_gpu:
            torch.cuda.synchronize()
    _write_trace(profiler, directory / TRACE)
    spent = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    wanted = DeviceType.CUDA if on_gpu else DeviceType.CPU
    events = [
        event
        for event in profiler.key_averages()
        # On a GPU operators report the time of their kernels, which are listed as well.
        if event.device_type == wanted and getattr(event, spent) > 0
    ]
    total = sum(getattr(event, spent) for event in events)
    events.sort(key=lambda event: -getattr(event, spent))
    return [
        {
            "name": event.key,
            "calls": event.count / num_steps,
            "milliseconds": getattr(event, spent) / 1000 / num_steps,
            "share": getattr(event, spent) / total,
        }
        for event in events[:NUM_KERNELS]
    ]


def _write_trace(profiler: Any, path: Path) -> None:
    with tempfile.NamedTemporaryFile(suffix=".json") as plain:
        profiler.export_chrome_trace(plain.name)
        with Path(plain.name).open("rb") as source, gzip.open(path, "wb") as target:
            shutil.copyfileobj(source, target)
