"""In which numbers it is computed."""

from dataclasses import dataclass

from megatron_recipes.config.checks import (
    named,
    require_default,
    require_not_negative,
    require_one_of,
    require_positive,
)

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
        require_one_of("fp8_amax_compute_algo", self.fp8_amax_compute_algo, AMAX_ALGORITHMS)
        for name in ("main_grads_dtype", "exp_avg_dtype", "exp_avg_sq_dtype"):
            choices = PARAMS_DTYPES if name == "main_grads_dtype" else STATE_DTYPES
            require_one_of(name, getattr(self, name), choices)
        require_positive(self, "fp8_amax_history_len")
        require_not_negative(self, "num_layers_at_start_in_bf16", "num_layers_at_end_in_bf16")
        if self.params_dtype == "float32":
            self._check_float32()
        self._check_fp8()
        self._check_optimizer()

    def _check_float32(self) -> None:
        if self.fp8 != "none":
            raise ValueError(f"fp8 ({self.fp8}) needs params_dtype bfloat16, not float32")
        require_default(self, "with params_dtype (float32)", "grad_reduce_in_fp32")
        if self.use_precision_aware_optimizer:
            raise ValueError(
                "use_precision_aware_optimizer (true) needs params_dtype bfloat16, not "
                "params_dtype (float32)"
            )

    def _check_fp8(self) -> None:
        bf16_layers = ("num_layers_at_start_in_bf16", "num_layers_at_end_in_bf16")
        history = ("fp8_amax_history_len", "fp8_amax_compute_algo")
        if self.fp8 == "none":
            names = ("fp8_recipe", "fp8_param_gather", *history, *bf16_layers)
            require_default(self, "while fp8 is none", *names)
        elif self.fp8_recipe == "delayed":
            self._check_delayed_scaling(history, bf16_layers)
        else:
            require_default(self, f"with fp8_recipe ({self.fp8_recipe})", *history)
        if self.fp8_recipe == "blockwise" and self.fp8_param_gather:
            raise ValueError(
                "fp8_param_gather (true) does not go with fp8_recipe (blockwise); "
                "take tensorwise or delayed"
            )

    def _check_delayed_scaling(
        self, history: tuple[str, ...], bf16_layers: tuple[str, ...]
    ) -> None:
        for name in bf16_layers:
            if getattr(self, name):
                raise ValueError(
                    f"{named(self, name)} does not go with fp8_recipe (delayed): "
                    "Megatron-Core keeps no layer in BF16 there"
                )
        if self.fp8_param_gather and self.use_precision_aware_optimizer:
            # Its kernel for FP8 weights takes float32 masters; the optimizer, which sees weights
            # that say they are BF16, keeps 16 bits of each (Transformer Engine 2.14, FusedAdam).
            raise ValueError(
                "fp8_param_gather (true) and use_precision_aware_optimizer (true) do not go "
                "together with fp8_recipe (delayed); take tensorwise, or set one of them to false"
            )
        # The largest of one step is the latest; the latest of many looks at one.
        if (self.fp8_amax_compute_algo == "max") != (self.fp8_amax_history_len > 1):
            raise ValueError(
                f"{named(self, *history)}: max is of a history above 1, most_recent of 1; "
                "the other would be ignored"
            )

    def _check_optimizer(self) -> None:
        if not self.use_precision_aware_optimizer:
            dtypes = ("main_grads_dtype", "exp_avg_dtype", "exp_avg_sq_dtype")
            require_default(self, "with use_precision_aware_optimizer (false)", *dtypes)
        elif self.grad_reduce_in_fp32 != (self.main_grads_dtype == "float32"):
            raise ValueError(
                f"{named(self, 'main_grads_dtype', 'grad_reduce_in_fp32')}: the optimizer reads "
                "gradients as they were reduced, so float32 goes with true and bfloat16 with false"
            )

    @property
    def bytes_per_weight(self) -> int:
        """Bytes of one weight in `params_dtype`."""
        return 4 if self.params_dtype == "float32" else 2

    @property
    def bytes_per_gradient(self) -> int:
        """Bytes of one weight's gradient as it is accumulated and reduced."""
        return 4 if self.grad_reduce_in_fp32 else self.bytes_per_weight
