"""The GPUs that recipes are written for."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """What one GPU holds and computes; NVIDIA's data sheets of the SXM boards, dense."""

    name: str
    """As NVIDIA calls it."""

    memory_bytes: int
    """What CUDA reports as total, rounded down: the data sheet's 80 and 141 GB are not all there
    for a program."""

    bf16_flops: float
    """Floating-point operations per second in BF16."""

    fp8_flops: float
    """The same in FP8."""

    def flops(self, *, is_fp8: bool) -> float:
        """Return the operations per second that utilization is a share of."""
        return self.fp8_flops if is_fp8 else self.bf16_flops


H100 = Gpu(name="H100 SXM", memory_bytes=79 * 1024**3, bf16_flops=989e12, fp8_flops=1979e12)
H200 = Gpu(name="H200 SXM", memory_bytes=139 * 1024**3, bf16_flops=989e12, fp8_flops=1979e12)

GPUS = {"h100": H100, "h200": H200}
