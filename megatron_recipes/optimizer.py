"""AdamW through Megatron-Core's optimizers, and the learning rate of each step."""

from typing import Any

from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer
from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler

from megatron_recipes.config import TrainingConfig
from megatron_recipes.transformer_config import DTYPES


def build_optimizer(config: TrainingConfig, chunks: list[DistributedDataParallel]) -> Any:
    """Return the optimizer; it shards its state where the layout says so."""
    optimization, precision = config.optimization, config.precision
    optimizer = get_megatron_optimizer(
        OptimizerConfig(
            optimizer="adam",
            lr=optimization.learning_rate,
            min_lr=optimization.min_learning_rate,
            weight_decay=optimization.weight_decay,
            adam_beta1=optimization.adam_beta1,
            adam_beta2=optimization.adam_beta2,
            adam_eps=optimization.adam_eps,
            clip_grad=optimization.clip_grad,
            params_dtype=DTYPES[precision.params_dtype],
            bf16=precision.params_dtype == "bfloat16",
            fp8_recipe=None if precision.fp8 == "none" else precision.fp8_recipe,
            use_distributed_optimizer=config.layout.use_distributed_optimizer,
            overlap_param_gather=config.layout.overlap_param_gather,
            use_precision_aware_optimizer=precision.use_precision_aware_optimizer,
            main_grads_dtype=DTYPES[precision.main_grads_dtype],
            exp_avg_dtype=DTYPES[precision.exp_avg_dtype],
            exp_avg_sq_dtype=DTYPES[precision.exp_avg_sq_dtype],
        ),
        chunks,
    )
    # The state is made by the first step otherwise, and a checkpoint of step 0 could not be saved.
    for part in optimizer.chained_optimizers:
        if part.optimizer is not None:
            part.init_state_fn(part.optimizer, part.config)
            for group in part.optimizer.param_groups:
                group.setdefault("step", 0)
    return optimizer


def build_scheduler(config: TrainingConfig, optimizer: Any, step: int) -> Any:
    """Return the learning-rate scheduler, standing where `step` steps are done.

    Its position is a function of the step, so no state of it is saved.
    """
    optimization, num_steps = config.optimization, config.schedule.num_steps
    scheduler = OptimizerParamScheduler(
        optimizer,
        init_lr=0.0,
        max_lr=optimization.learning_rate,
        min_lr=optimization.min_learning_rate,
        lr_warmup_steps=optimization.lr_warmup_steps,
        lr_decay_steps=num_steps,
        lr_decay_style=optimization.lr_decay_style,
        start_wd=optimization.weight_decay,
        end_wd=optimization.weight_decay,
        wd_incr_steps=num_steps,
        wd_incr_style="constant",
        wsd_decay_steps=optimization.lr_wsd_decay_steps,
        lr_wsd_decay_style="exponential",
    )
    scheduler.step(step)
    return scheduler
