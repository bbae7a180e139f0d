"""How it is computed: what is kept for the backward pass, which kernels, on which GPU."""

from dataclasses import dataclass

from megatron_recipes.config.checks import require_not_negative, require_one_of
from megatron_recipes.config.gpus import GPUS

RECOMPUTE_GRANULARITIES = ("none", "selective", "full")
RECOMPUTE_METHODS = ("none", "uniform", "block")
RECOMPUTE_MODULES = ("core_attn", "mlp", "layernorm")
CROSS_ENTROPIES = ("none", "native", "te")
ATTENTION_BACKENDS = ("auto", "flash", "fused", "unfused", "local")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionConfig:
    """How it is computed. None of it changes which tokens a step sees."""

    gpu: str = "cpu"
    """What it runs on: `h100` (80 GB), `h200` (141 GB), or `cpu`."""

    gpus_per_node: int = 8
    """Processes of one machine."""

    recompute_granularity: str = "none"
    """What the backward pass computes again: `none`, `selective` (`recompute_modules`) or `full`
    (whole layers)."""

    recompute_method: str = "none"
    """Of `full`: `uniform` (groups of `recompute_num_layers`) or `block` (the first
    `recompute_num_layers` of each stage or model chunk)."""

    recompute_num_layers: int = 0
    """Of `full`: see `recompute_method`."""

    recompute_modules: str = ""
    """Of `selective`: some of `core_attn`, `mlp` and `layernorm`, joined by commas."""

    cross_entropy: str = "none"
    """Fused cross entropy: `none`, `native`, or `te` (Transformer Engine: no float32 copy of the
    logits)."""

    gradient_accumulation_fusion: bool = False
    """Add weight gradients to the main gradients inside the matrix product."""

    attention_backend: str = "auto"
    """Whose attention: `auto`, `flash`, `fused`, `unfused` (Transformer Engine), or `local`."""

    garbage_collection_interval: int = 100
    """Steps from one collection of Python's cycles to the next, on all processes at once; 0: when
    Python likes, which lets processes wait for each other."""

    def __post_init__(self) -> None:
        require_not_negative(self, "recompute_num_layers", "garbage_collection_interval")
        require_one_of("gpu", self.gpu, ("cpu", *GPUS))
        require_one_of("recompute_granularity", self.recompute_granularity, RECOMPUTE_GRANULARITIES)
        require_one_of("recompute_method", self.recompute_method, RECOMPUTE_METHODS)
        require_one_of("cross_entropy", self.cross_entropy, CROSS_ENTROPIES)
        require_one_of("attention_backend", self.attention_backend, ATTENTION_BACKENDS)
