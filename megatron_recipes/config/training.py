"""One training, complete: its sections, checked against each other and the machine."""

from dataclasses import dataclass, field

from megatron_recipes.config.execution import ExecutionConfig
from megatron_recipes.config.layout import LayoutConfig
from megatron_recipes.config.network import ModelConfig
from megatron_recipes.config.precision import PrecisionConfig
from megatron_recipes.config.regime import BatchConfig, OptimizationConfig, ScheduleConfig


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

    layout: LayoutConfig = field(default_factory=LayoutConfig)
    """Processes."""

    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    """Number formats."""

    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    """Kernels, recomputation, the GPU."""

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
