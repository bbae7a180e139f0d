"""How fast one GPU and its links are: rates of kernels, memory and network.

Published, but for three that nobody measured inside a training: they say "assumed".
"""

from dataclasses import dataclass, replace

from megatron_recipes.config.gpus import GPUS, Gpu


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Rates that the time of a step follows from."""

    bf16_share: float
    """Of the dense BF16 peak, by matrix products of transformer shapes."""

    fp8_share: float
    """Of the dense FP8 peak, by the same products in FP8, casts not counted."""

    attention_share: float
    """Of the dense BF16 peak, by fused causal attention, forward and backward together."""

    memory_bytes_per_second: float
    """By kernels that only read and write."""

    nvlink_bytes_per_second: float
    """Of one GPU to the others of its node, by a large collective (bus bandwidth)."""

    network_bytes_per_second: float
    """Of one GPU to another node, through its own port; a collective with several members in a node
    uses the ports of all of them."""

    exposed_share: float
    """Of communication between tensor parallel processes, and between the stages of an interleaved
    pipeline: what no computation hides."""


PUBLISHED = {
    "h100": Rates(
        # Assumed, below the 78 to 81 % that one square product of 8,192 reaches:
        # transformer shapes have one dimension of 4,096 or less, and the board is at its power
        # limit throughout a step.
        bf16_share=0.70,
        # 1,217 to 1,290 TFLOP/s by cuBLASLt for square products of 4,096 and 8,192, which is 0.61
        # to 0.65 (Azure AI benchmarking guide, ND H100 v5).
        fp8_share=0.62,
        # FlashAttention-3 and cuDNN at head size 128 and 8,192 tokens, causal: about 0.6 forward
        # and 0.5 backward, which has 2.5 of the 3.5 parts of the work (FlashAttention-3, 2024).
        attention_share=0.50,
        memory_bytes_per_second=2.90e12,  # copy, of 3.35 in the data sheet (the same guide)
        nvlink_bytes_per_second=360e9,  # all-reduce of 67 MB, about one layer's (the same guide)
        network_bytes_per_second=40e9,  # assumed: 80 % of one 400 Gbit/s port for each GPU
        # Assumed: overlap through user buffers hides about half; Megatron-Core's own figures vary
        # with the shape.
        exposed_share=0.5,
    )
}
# The same dies and links; only the memory is faster: copy 4.0 of 4.8 TB/s (the guide's ND H200 v5).
PUBLISHED["h200"] = replace(PUBLISHED["h100"], memory_bytes_per_second=4.0e12)


def gpu_and_rates(name: str) -> tuple[Gpu, Rates]:
    """Return a GPU and its published rates.

    Raises:
        ValueError: There are none for `cpu`.
    """
    if name not in PUBLISHED:
        raise ValueError(
            f"gpu ({name}) has no published rates to estimate from; set gpu to one of: "
            f"{', '.join(PUBLISHED)}"
        )
    return GPUS[name], PUBLISHED[name]
