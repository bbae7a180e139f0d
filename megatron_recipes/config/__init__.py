"""What a training is: one frozen config of seven sections, checked when it is made.

Nothing here imports torch or Megatron-Core, so `show` runs anywhere and a wrong setting is refused
before any process starts. Names are Megatron-Core's where it has one.
"""

from megatron_recipes.config.cpu_twin import cpu_twin
from megatron_recipes.config.execution import ExecutionConfig
from megatron_recipes.config.layout import LayoutConfig
from megatron_recipes.config.network import ModelConfig
from megatron_recipes.config.precision import PrecisionConfig
from megatron_recipes.config.regime import BatchConfig, OptimizationConfig, ScheduleConfig
from megatron_recipes.config.training import TrainingConfig

__all__ = [
    "BatchConfig",
    "ExecutionConfig",
    "LayoutConfig",
    "ModelConfig",
    "OptimizationConfig",
    "PrecisionConfig",
    "ScheduleConfig",
    "TrainingConfig",
    "cpu_twin",
]
