"""The GPUs that recipes are written for."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """What one GPU holds and computes; NVIDIA's data sheets of the SXM boards, dense."""

    name: str
    """As NVIDIA calls it."""

    memory_bytes: int
    """What CUDA reports as total."""

    bf16_flops: float
    """Floating-point operations per second in BF16."""

    fp8_flops: float
    """The same in FP8."""


H100 = Gpu(name="H100 SXM", memory_bytes=80 * 1024**3, bf16_flops=989e12, fp8_flops=1979e12)
H200 = Gpu(name="H200 SXM", memory_bytes=139 * 1024**3, bf16_flops=989e12, fp8_flops=1979e12)

GPUS = {"h100": H100, "h200": H200}
