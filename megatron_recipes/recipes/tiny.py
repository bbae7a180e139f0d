"""The smallest recipe: a model that learns within a minute on two CPU cores."""

from megatron_recipes.config import (
    BatchConfig,
    ModelConfig,
    OptimizationConfig,
    ScheduleConfig,
    TrainingConfig,
)


def tiny() -> TrainingConfig:
    """Return four layers of width 128, 100 steps of 1,024 tokens, float32.

    Four layers divide by two pipeline stages, four heads and two query groups by two tensor
    parallel processes. With a vocabulary of 16,384 two thirds of the work is the output layer,
    so the batch, not the depth, sets the time: four sequences keep a step near 0.2 s on 2 cores.
    """
    return TrainingConfig(
        recipe="tiny",
        description="4 layers, hidden 128, sequence 256: 100 steps in under a minute on 2 cores",
        model=ModelConfig(
            num_layers=4,
            hidden_size=128,
            ffn_hidden_size=352,
            num_attention_heads=4,
            num_query_groups=2,
            kv_channels=32,
        ),
        batch=BatchConfig(sequence_length=256, micro_batch_size=2, global_batch_size=4),
        optimization=OptimizationConfig(
            learning_rate=2e-3,
            min_learning_rate=2e-4,
            lr_warmup_steps=10,
        ),
        schedule=ScheduleConfig(
            num_steps=100,
            checkpoint_interval=25,
            evaluation_sequences=16,
            log_interval=5,
        ),
    )
