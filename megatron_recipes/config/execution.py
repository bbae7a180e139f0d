"""How it is computed: what is kept for the backward pass, which kernels, on which GPU."""

from dataclasses import dataclass

from megatron_recipes.config.checks import (
    named,
    require_default,
    require_not_negative,
    require_one_of,
    require_positive,
)
from megatron_recipes.config.gpus import GPUS

RECOMPUTE_GRANULARITIES = ("none", "selective", "full")
RECOMPUTE_METHODS = ("none", "uniform", "block")
RECOMPUTE_MODULES = ("core_attn", "mlp")
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
    """Of `selective`: `core_attn`, `mlp`, or both joined by a comma. Megatron-Core's `layernorm` is
    none of them: norms of a dense layer are inside Transformer Engine's products, where it would
    have no effect."""

    cross_entropy: str = "none"
    """Fused cross entropy: `none`, `native` (it rounds the gradient of the logits to BF16, in
    float32 too), or `te` (Transformer Engine: no float32 copy of the logits; Megatron-LM 0.19
    refuses it for lack of stability, so no recipe takes it)."""

    gradient_accumulation_fusion: bool = False
    """Add weight gradients to the main gradients inside the matrix product."""

    attention_backend: str = "auto"
    """Whose attention: `auto`, `flash`, `fused`, `unfused` (Transformer Engine), or `local`."""

    garbage_collection_interval: int = 100
    """Steps from one collection of Python's cycles to the next, on all processes at once; 0: when
    Python likes, which lets processes wait for each other."""

    def __post_init__(self) -> None:
        require_positive(self, "gpus_per_node")
        require_not_negative(self, "recompute_num_layers", "garbage_collection_interval")
        require_one_of("gpu", self.gpu, ("cpu", *GPUS))
        require_one_of("recompute_granularity", self.recompute_granularity, RECOMPUTE_GRANULARITIES)
        require_one_of("recompute_method", self.recompute_method, RECOMPUTE_METHODS)
        require_one_of("cross_entropy", self.cross_entropy, CROSS_ENTROPIES)
        require_one_of("attention_backend", self.attention_backend, ATTENTION_BACKENDS)
        self._check_recomputation()
        if self.gpu == "cpu":
            self._check_cpu()

    def _check_recomputation(self) -> None:
        without_effect = {
            "none": ("recompute_method", "recompute_num_layers", "recompute_modules"),
            "selective": ("recompute_method", "recompute_num_layers"),
            "full": ("recompute_modules",),
        }[self.recompute_granularity]
        reason = f"with recompute_granularity ({self.recompute_granularity})"
        require_default(self, reason, *without_effect)
        if self.recompute_granularity == "selective":
            self._check_modules()
        if self.recompute_granularity == "full" and (
            self.recompute_method == "none" or self.recompute_num_layers == 0
        ):
            raise ValueError(
                f"recompute_granularity (full) needs recompute_method uniform or block and "
                f"recompute_num_layers above 0, not "
                f"{named(self, 'recompute_method', 'recompute_num_layers')}"
            )

    def _check_modules(self) -> None:
        modules = self.recompute_modules.split(",")
        for module in modules:
            if module not in RECOMPUTE_MODULES or modules.count(module) > 1:
                raise ValueError(
                    f"{named(self, 'recompute_modules')} must be core_attn, mlp or core_attn,mlp "
                    "with recompute_granularity (selective)"
                )

    def _check_cpu(self) -> None:
        if self.cross_entropy == "te":
            setting = "cross_entropy (te)"
        elif self.gradient_accumulation_fusion:
            setting = "gradient_accumulation_fusion (true)"
        elif self.attention_backend not in ("auto", "local"):
            setting = f"attention_backend ({self.attention_backend})"
        else:
            return
        raise ValueError(f"{setting} needs a GPU and Transformer Engine, not gpu (cpu)")
