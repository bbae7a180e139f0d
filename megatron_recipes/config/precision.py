"""In which numbers it is computed."""

from dataclasses import dataclass

from megatron_recipes.config.checks import require_one_of

PARAMS_DTYPES = ("float32", "bfloat16")
FP8_FORMATS = ("none", "e4m3", "hybrid")
FP8_RECIPES = ("tensorwise", "delayed", "blockwise")
AMAX_ALGORITHMS = ("most_recent", "max")
STATE_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionConfig:
    """In which numbers it is computed, reduced and kept."""

    params_dtype: str = "float32"
    """`float32` or `bfloat16`; the latter keeps float32 master weights in the optimizer."""

    fp8: str = "none"
    """FP8 matrix products: `none`, `e4m3`, or `hybrid` (E5M2 gradients). Needs a GPU and
    Transformer Engine; without them Megatron-Core ignores it silently, so it is refused."""

    fp8_recipe: str = "tensorwise"
    """Scaling of FP8: `tensorwise` (current scaling), `delayed` or `blockwise`."""

    fp8_param_gather: bool = False
    """Keep the weights of FP8 products in FP8 and gather them so: Megatron-Core's `fp8_param` and
    `fp8_param_gather`, two fields that only work together. Not with `blockwise`."""

    fp8_amax_history_len: int = 1
    """Steps that `delayed` scaling looks back."""

    fp8_amax_compute_algo: str = "most_recent"
    """What `delayed` scaling takes of them: `most_recent` or `max`."""

    num_layers_at_start_in_bf16: int = 0
    """First layers that stay in BF16 while the others are in FP8."""

    num_layers_at_end_in_bf16: int = 0
    """Last layers that stay in BF16 while the others are in FP8."""

    grad_reduce_in_fp32: bool = True
    """Accumulate and reduce gradients in float32; false: in `params_dtype`."""

    use_precision_aware_optimizer: bool = False
    """Keep master weights, gradients and moments in the types below, through Transformer Engine's
    FusedAdam; needs the distributed optimizer, BF16 and a GPU."""

    main_grads_dtype: str = "float32"
    """Gradients as the precision-aware optimizer reads them: `float32` or `bfloat16`."""

    exp_avg_dtype: str = "float32"
    """First moment of the precision-aware optimizer: `float32`, `bfloat16` or `float16`."""

    exp_avg_sq_dtype: str = "float32"
    """Second moment of the precision-aware optimizer: `float32`, `bfloat16` or `float16`."""

    def __post_init__(self) -> None:
        require_one_of("params_dtype", self.params_dtype, PARAMS_DTYPES)
        require_one_of("fp8", self.fp8, FP8_FORMATS)
        require_one_of("fp8_recipe", self.fp8_recipe, FP8_RECIPES)
        if self.fp8 != "none" and self.params_dtype != "bfloat16":
            raise ValueError(f"fp8 ({self.fp8}) needs params_dtype bfloat16, not float32")
        if self.fp8 == "none" and self.fp8_recipe != FP8_RECIPES[0]:
            raise ValueError(f"fp8_recipe ({self.fp8_recipe}) has no effect while fp8 is none")
