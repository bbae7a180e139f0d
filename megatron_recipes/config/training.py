"""One training, complete: its sections, checked against each other and the machine."""

from dataclasses import dataclass, field

from megatron_recipes.config.agreement import check_agreement
from megatron_recipes.config.environment import layout_environment
from megatron_recipes.config.execution import ExecutionConfig
from megatron_recipes.config.gpu_agreement import gpu_setting
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
    """Environment variables of the recipe's processes, unless the caller's environment has them;
    `process_environment` adds those that follow from the layout."""

    def __post_init__(self) -> None:
        check_agreement(self)

    @property
    def last_step(self) -> int:
        """The step after which this run ends: `stop_at_step`, or `num_steps`."""
        stop = self.schedule.stop_at_step
        return self.schedule.num_steps if stop < 0 else stop

    @property
    def process_environment(self) -> tuple[tuple[str, str], ...]:
        """The environment variables of the processes: those of the layout, and the recipe's."""
        of_layout = dict(layout_environment(self.layout, self.execution))
        return tuple((of_layout | dict(self.environment)).items())

    @property
    def needs_gpu(self) -> bool:
        """Whether it was made for a GPU."""
        return self.execution.gpu != "cpu"

    @property
    def has_quadratic_attention(self) -> bool:
        """Whether attention keeps a number for every pair of tokens: no fused kernel does it."""
        is_fused = self.execution.attention_backend in ("auto", "flash", "fused")
        return not (self.needs_gpu and is_fused and self.precision.params_dtype == "bfloat16")

    @property
    def needs_transformer_engine(self) -> str:
        """The setting that only Transformer Engine fulfils, as `name (value)`; or ""."""
        return gpu_setting(self)

    def check_machine(self, *, has_cuda: bool, has_transformer_engine: bool) -> None:
        """Refuse what this machine would ignore or fail at."""
        if self.needs_gpu and not has_cuda:
            raise ValueError(
                f"gpu ({self.execution.gpu}) needs a GPU; here CUDA is absent; "
                "train `tiny`, or go where the GPUs are"
            )
        setting = self.needs_transformer_engine
        if setting and not has_transformer_engine:
            raise ValueError(f"{setting} needs Transformer Engine, which is not installed here")
