"""What is estimated: the sections of a config that the time of a step follows from."""

from dataclasses import dataclass

from megatron_recipes.config import (
    BatchConfig,
    ExecutionConfig,
    LayoutConfig,
    ModelConfig,
    PrecisionConfig,
    TrainingConfig,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """One training step. The sections are not checked against each other, as a training's are."""

    model: ModelConfig
    """The network; `vocab_size` is known."""

    layout: LayoutConfig
    """Processes, one a GPU."""

    precision: PrecisionConfig
    """Number formats."""

    execution: ExecutionConfig
    """Recomputation and the GPU."""

    batch: BatchConfig
    """Tokens of a step."""

    attended_tokens: float = 0.0
    """Mean length of the documents that attention is bounded to; 0: whole sequences."""

    trains_weights: bool = True
    """False: adapters only, so that weight gradients and the optimizer cost nothing."""

    @property
    def num_gpus(self) -> int:
        """Processes in all."""
        return self.layout.world_size

    @property
    def num_microbatches(self) -> int:
        """Forward passes of a replica in one step."""
        return self.batch.num_microbatches(self.layout)

    @property
    def is_fp8(self) -> bool:
        """Whether the layers' matrix products are in FP8."""
        return self.precision.fp8 != "none"


def workload_of(config: TrainingConfig) -> Workload:
    """Return what a training does in one step."""
    return Workload(
        model=config.model,
        layout=config.layout,
        precision=config.precision,
        execution=config.execution,
        batch=config.batch,
    )
