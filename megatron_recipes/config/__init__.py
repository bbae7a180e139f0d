"""What a training is: one frozen config of six sections, checked when it is made.

Nothing here imports torch or Megatron-Core, so `show` runs anywhere and a wrong setting is refused
before any process starts. Names are Megatron-Core's where it has one.
"""

from megatron_recipes.config.network import LayoutConfig, ModelConfig, PrecisionConfig
from megatron_recipes.config.regime import BatchConfig, OptimizationConfig, ScheduleConfig
from megatron_recipes.config.training import TrainingConfig

__all__ = [
    "BatchConfig",
    "LayoutConfig",
    "ModelConfig",
    "OptimizationConfig",
    "PrecisionConfig",
    "ScheduleConfig",
    "TrainingConfig",
]
