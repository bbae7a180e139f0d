"""What a training is: one frozen config of five sections, checked when it is made.

Nothing here imports torch or Megatron-Core, so `show` runs anywhere and a wrong setting is refused
before any process starts. Names are Megatron-Core's where it has one.
"""

from dataclasses import dataclass

PARAMS_DTYPES = ("float32", "bfloat16")
LR_DECAY_STYLES = ("constant", "linear", "cosine", "WSD")
FP8_FORMATS = ("none", "e4m3", "hybrid")


def _require_positive(section: object, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        if value <= 0:
            raise ValueError(f"{name} ({value}) must be positive")


def _require_not_negative(section: object, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        if value < 0:
            raise ValueError(f"{name} ({value}) must not be negative")


def _require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} ({value}) must be one of {', '.join(choices)}")


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
        _require_positive(
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
        _require_not_negative(self, "vocab_size")
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
    """Shard the optimizer's state over replicas; done anyway when there is more than one. One
    replica saves the same form with it, so that several can resume. May not change on resume."""

    def __post_init__(self) -> None:
        _require_positive(
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
    def is_optimizer_distributed(self) -> bool:
        """Whether the distributed optimizer is used."""
        replicas = self.data_parallel_size * self.context_parallel_size
        return self.use_distributed_optimizer or replicas > 1

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
        _require_one_of("params_dtype", self.params_dtype, PARAMS_DTYPES)
        _require_one_of("fp8", self.fp8, FP8_FORMATS)
        _require_one_of("fp8_recipe", self.fp8_recipe, ("tensorwise", "delayed", "blockwise"))
        if self.fp8 != "none" and self.params_dtype != "bfloat16":
            raise ValueError(f"fp8 ({self.fp8}) needs params_dtype bfloat16, not float32")


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchConfig:
    """Tokens of one step."""

    sequence_length: int
    """Tokens of a sequence, documents joined; one more is read for the last label."""

    micro_batch_size: int
    """Sequences of one forward pass of a replica. A resumed run may change it."""

    global_batch_size: int
    """Sequences of one step, over all replicas."""

    def __post_init__(self) -> None:
        _require_positive(self, "sequence_length", "micro_batch_size", "global_batch_size")

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one step trains on."""
        return self.global_batch_size * self.sequence_length

    def num_microbatches(self, layout: LayoutConfig) -> int:
        """Forward passes of a replica in one step."""
        return self.global_batch_size // (self.micro_batch_size * layout.data_parallel_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizationConfig:
    """AdamW, its learning rate over the steps, and gradient clipping."""

    learning_rate: float
    """The highest learning rate, reached after the warm-up."""

    min_learning_rate: float = 0.0
    """Where the decay ends, at the last step."""

    lr_warmup_steps: int = 0
    """Steps over which the rate rises linearly from 0."""

    lr_decay_style: str = "cosine"
    """`constant`, `linear`, `cosine`, or `WSD` (constant, then exponential over
    `lr_wsd_decay_steps`)."""

    lr_wsd_decay_steps: int = 0
    """The steps at the end over which `WSD` decays."""

    weight_decay: float = 0.1
    """Of matrices; norms and biases have none."""

    adam_beta1: float = 0.9
    """Decay of the first moment."""

    adam_beta2: float = 0.95
    """Decay of the second moment."""

    adam_eps: float = 1e-8
    """Added to the root of the second moment."""

    clip_grad: float = 1.0
    """The greatest norm a step's gradient keeps."""

    def __post_init__(self) -> None:
        _require_positive(self, "learning_rate", "adam_eps", "clip_grad")
        _require_not_negative(
            self, "min_learning_rate", "lr_warmup_steps", "lr_wsd_decay_steps", "weight_decay"
        )
        _require_one_of("lr_decay_style", self.lr_decay_style, LR_DECAY_STYLES)
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate ({self.min_learning_rate}) must not exceed "
                f"learning_rate ({self.learning_rate})"
            )
        for name, beta in (("adam_beta1", self.adam_beta1), ("adam_beta2", self.adam_beta2)):
            if not 0 <= beta < 1:
                raise ValueError(f"{name} ({beta}) must be in [0, 1)")
        if (self.lr_decay_style == "WSD") != (self.lr_wsd_decay_steps > 0):
            raise ValueError(
                f"lr_wsd_decay_steps ({self.lr_wsd_decay_steps}) must be positive with "
                f"lr_decay_style WSD and 0 otherwise; the style is {self.lr_decay_style}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig:
    """How long, and what happens on the way."""

    num_steps: int
    """Steps of the whole training: the learning rate and the order of the data follow from it."""

    stop_at_step: int = -1
    """Save and end at this step as if by a signal; -1: never. May change on resume."""

    checkpoint_interval: int = 1000
    """Steps from one checkpoint to the next; the last step is always saved. May change."""

    keep_checkpoints: int = 2
    """Newest checkpoints that stay. May change."""

    evaluation_interval: int = 0
    """Steps from one evaluation to the next, beside those before the first step and after the
    last; 0: only those. May change."""

    evaluation_sequences: int = 64
    """Held-out sequences of each group an evaluation reads, always the same ones."""

    log_interval: int = 1
    """Steps from one printed line to the next; every step is in the metrics file. May change."""

    seed: int = 1234
    """Of the initial weights and of the order of the data."""

    def __post_init__(self) -> None:
        _require_positive(
            self,
            "num_steps",
            "checkpoint_interval",
            "keep_checkpoints",
            "evaluation_sequences",
            "log_interval",
        )
        _require_not_negative(self, "evaluation_interval", "seed")
        if not -1 <= self.stop_at_step <= self.num_steps:
            raise ValueError(
                f"stop_at_step ({self.stop_at_step}) must be -1 or in 0..num_steps "
                f"({self.num_steps})"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """One training, complete: what a recipe returns, `show` prints and a run saves."""

    recipe: str
    """The name of the recipe it came from."""

    description: str
    """One line for `list`."""

    model: ModelConfig
    """The network."""

    batch: BatchConfig
    """The tokens of one step."""

    optimization: OptimizationConfig
    """AdamW and the learning rate."""

    schedule: ScheduleConfig
    """Steps, checkpoints, evaluations."""

    layout: LayoutConfig = LayoutConfig()
    """Processes."""

    precision: PrecisionConfig = PrecisionConfig()
    """Number formats."""

    environment: tuple[tuple[str, str], ...] = ()
    """Environment variables of the processes, unless the caller's environment has them."""

    def __post_init__(self) -> None:
        self._check_model_against_layout()
        self._check_batch_against_layout()
        schedule, optimization = self.schedule, self.optimization
        settling = optimization.lr_warmup_steps + optimization.lr_wsd_decay_steps
        if settling >= schedule.num_steps:
            raise ValueError(
                f"lr_warmup_steps ({optimization.lr_warmup_steps}) plus lr_wsd_decay_steps "
                f"({optimization.lr_wsd_decay_steps}) must be below num_steps "
                f"({schedule.num_steps})"
            )

    def _check_model_against_layout(self) -> None:
        model, layout = self.model, self.layout
        tensor, pipeline = layout.tensor_model_parallel_size, layout.pipeline_model_parallel_size
        for name in ("num_attention_heads", "num_query_groups", "ffn_hidden_size"):
            if getattr(model, name) % tensor:
                raise ValueError(
                    f"{name} ({getattr(model, name)}) must be a multiple of "
                    f"tensor_model_parallel_size ({tensor})"
                )
        if model.padded_vocab_size % tensor:
            raise ValueError(
                f"the vocabulary of {model.vocab_size}, padded by make_vocab_size_divisible_by "
                f"({model.make_vocab_size_divisible_by}) to {model.padded_vocab_size}, must be a "
                f"multiple of tensor_model_parallel_size ({tensor})"
            )
        if model.num_layers % pipeline:
            raise ValueError(
                f"num_layers ({model.num_layers}) must be a multiple of "
                f"pipeline_model_parallel_size ({pipeline})"
            )

    def _check_batch_against_layout(self) -> None:
        batch, layout = self.batch, self.layout
        per_pass = batch.micro_batch_size * layout.data_parallel_size
        if batch.global_batch_size % per_pass:
            raise ValueError(
                f"global_batch_size ({batch.global_batch_size}) must be a multiple of "
                f"micro_batch_size ({batch.micro_batch_size}) x data_parallel_size "
                f"({layout.data_parallel_size}) = {per_pass}"
            )
        shares = layout.tensor_model_parallel_size if layout.sequence_parallel else 1
        if layout.context_parallel_size > 1:
            shares *= 2 * layout.context_parallel_size
        if batch.sequence_length % shares:
            raise ValueError(
                f"sequence_length ({batch.sequence_length}) must be a multiple of {shares}, for "
                f"tensor_model_parallel_size ({layout.tensor_model_parallel_size}) with "
                f"sequence_parallel ({layout.sequence_parallel}) and context_parallel_size "
                f"({layout.context_parallel_size})"
            )

    @property
    def last_step(self) -> int:
        """The step after which this run ends: `stop_at_step`, or `num_steps`."""
        stop = self.schedule.stop_at_step
        return self.schedule.num_steps if stop < 0 else stop

    @property
    def needs_transformer_engine(self) -> str:
        """The setting that only Transformer Engine on a GPU fulfils, as `name (value)`; or ""."""
        if self.precision.fp8 != "none":
            return f"fp8 ({self.precision.fp8})"
        if self.layout.context_parallel_size > 1:
            return f"context_parallel_size ({self.layout.context_parallel_size})"
        return ""

    def check_machine(self, *, has_cuda: bool, has_transformer_engine: bool) -> None:
        """Refuse what this machine would ignore or fail at."""
        setting = self.needs_transformer_engine
        if setting and not (has_cuda and has_transformer_engine):
            raise ValueError(
                f"{setting} needs a GPU and Transformer Engine; here CUDA is "
                f"{'present' if has_cuda else 'absent'} and Transformer Engine is "
                f"{'present' if has_transformer_engine else 'absent'}"
            )
