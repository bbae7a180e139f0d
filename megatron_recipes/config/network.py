"""What is computed, on which processes, in which numbers."""

from dataclasses import dataclass

from megatron_recipes.config.checks import require_not_negative, require_one_of, require_positive

PARAMS_DTYPES = ("float32", "bfloat16")
FP8_FORMATS = ("none", "e4m3", "hybrid")
FP8_RECIPES = ("tensorwise", "delayed", "blockwise")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A decoder of the Llama family: RMSNorm, SwiGLU, rotary positions, grouped queries."""

    num_layers: int
    """Transformer layers."""

    hidden_size: int
    """Width of the residual stream."""

    ffn_hidden_size: int
    """Width of the gated feed-forward layer; it has three matrices of this by `hidden_size`."""

    num_attention_heads: int
    """Query heads."""

    num_query_groups: int
    """Key and value heads; each serves `num_attention_heads / num_query_groups` query heads."""

    kv_channels: int
    """Size of one head."""

    vocab_size: int = 0
    """Token ids the model knows. 0: as many as the tokenizer named by the blend's sidecars has."""

    make_vocab_size_divisible_by: int = 128
    """The embedding's rows are padded to a multiple of this. It does not depend on tensor
    parallelism, so that one checkpoint has one shape, and one loss, in every layout."""

    rotary_base: int = 10_000
    """Base period of the rotary positions."""

    layernorm_epsilon: float = 1e-5
    """Added to the mean square in RMSNorm."""

    init_method_std: float = 0.02
    """Standard deviation of the initial weights; the output projections of a layer are scaled by
    a further `1 / sqrt(2 num_layers)`."""

    share_embeddings_and_output_weights: bool = False
    """One matrix for embedding and output layer."""

    def __post_init__(self) -> None:
        require_positive(
            self,
            "num_layers",
            "hidden_size",
            "ffn_hidden_size",
            "num_attention_heads",
            "num_query_groups",
            "kv_channels",
            "make_vocab_size_divisible_by",
            "rotary_base",
            "layernorm_epsilon",
            "init_method_std",
        )
        require_not_negative(self, "vocab_size")
        if self.num_attention_heads % self.num_query_groups:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) must be a multiple of "
                f"num_query_groups ({self.num_query_groups})"
            )
        if self.kv_channels % 2:
            raise ValueError(f"kv_channels ({self.kv_channels}) must be even for rotary positions")

    @property
    def padded_vocab_size(self) -> int:
        """Rows of the embedding: `vocab_size` rounded up to the divisor. 0 while it is unknown."""
        divisor = self.make_vocab_size_divisible_by
        return -(-self.vocab_size // divisor) * divisor


@dataclass(frozen=True, kw_only=True, slots=True)
class LayoutConfig:
    """How the work is spread over processes. A resumed run may change all of it."""

    tensor_model_parallel_size: int = 1
    """Processes that share every matrix."""

    pipeline_model_parallel_size: int = 1
    """Groups of consecutive layers, each on its own processes."""

    context_parallel_size: int = 1
    """Processes that share every sequence. Needs Transformer Engine's attention."""

    data_parallel_size: int = 1
    """Replicas, each with its part of the batch."""

    sequence_parallel: bool = False
    """Split activations outside the matrices along the sequence; needs tensor parallelism."""

    use_distributed_optimizer: bool = True
    """Shard the optimizer's state over replicas; several need it. One replica saves the same form
    with it, so that several can resume. May not change on resume."""

    def __post_init__(self) -> None:
        require_positive(
            self,
            "tensor_model_parallel_size",
            "pipeline_model_parallel_size",
            "context_parallel_size",
            "data_parallel_size",
        )
        if self.sequence_parallel and self.tensor_model_parallel_size == 1:
            raise ValueError(
                "sequence_parallel (true) needs tensor_model_parallel_size (1) above 1; "
                "Megatron-Core would ignore it"
            )
        if self.num_replicas > 1 and not self.use_distributed_optimizer:
            raise ValueError(
                f"use_distributed_optimizer (false) needs one replica, but data_parallel_size "
                f"({self.data_parallel_size}) x context_parallel_size "
                f"({self.context_parallel_size}) is {self.num_replicas}"
            )

    @property
    def model_parallel_size(self) -> int:
        """Processes that hold one replica of the model."""
        return (
            self.tensor_model_parallel_size
            * self.pipeline_model_parallel_size
            * self.context_parallel_size
        )

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.model_parallel_size * self.data_parallel_size

    @property
    def num_replicas(self) -> int:
        """Processes that hold the same weights, over which gradients are summed."""
        return self.data_parallel_size * self.context_parallel_size

    def check_world_size(self, world_size: int) -> None:
        """Refuse a number of started processes that this layout does not fill exactly."""
        if world_size != self.world_size:
            raise ValueError(
                f"{world_size} processes were started, but tensor_model_parallel_size "
                f"({self.tensor_model_parallel_size}) x pipeline_model_parallel_size "
                f"({self.pipeline_model_parallel_size}) x context_parallel_size "
                f"({self.context_parallel_size}) x data_parallel_size "
                f"({self.data_parallel_size}) is {self.world_size}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionConfig:
    """In which numbers it is computed. Optimizer states and reductions are float32 always."""

    params_dtype: str = "float32"
    """`float32` or `bfloat16`; the latter keeps float32 master weights in the optimizer."""

    fp8: str = "none"
    """FP8 matrix products: `none`, `e4m3`, or `hybrid` (E5M2 gradients). Needs a GPU and
    Transformer Engine; without them Megatron-Core ignores it silently, so it is refused."""

    fp8_recipe: str = "tensorwise"
    """Scaling of FP8: `tensorwise` (current scaling), `delayed` or `blockwise`."""

    def __post_init__(self) -> None:
        require_one_of("params_dtype", self.params_dtype, PARAMS_DTYPES)
        require_one_of("fp8", self.fp8, FP8_FORMATS)
        require_one_of("fp8_recipe", self.fp8_recipe, FP8_RECIPES)
        if self.fp8 != "none" and self.params_dtype != "bfloat16":
            raise ValueError(f"fp8 ({self.fp8}) needs params_dtype bfloat16, not float32")
        if self.fp8 == "none" and self.fp8_recipe != FP8_RECIPES[0]:
            raise ValueError(f"fp8_recipe ({self.fp8_recipe}) has no effect while fp8 is none")
