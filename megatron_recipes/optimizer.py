"""AdamW through Megatron-Core's optimizers, and what each step sets in it."""

from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer

from megatron_recipes.config import TrainingConfig
from megatron_recipes.learning_rate import learning_rate
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
            # Of the weights, not of the products: named for BF16 weights, current scaling would
            # have Megatron-Core keep whole master weights and, while it steps, float32 copies of
            # gradients, where the precision-aware optimizer needs neither.
            fp8_recipe=precision.fp8_recipe if precision.fp8_param_gather else None,
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
            if precision.use_precision_aware_optimizer:
                _allocate_state(part.optimizer)
            else:
                part.init_state_fn(part.optimizer, part.config)
            for group in part.optimizer.param_groups:
                group.setdefault("step", 0)
    return optimizer


def _allocate_state(optimizer: Any) -> None:
    """Allocate what Transformer Engine's FusedAdam keeps, as its first step would.

    Megatron-Core's own function asks for it without `store_param_remainders`, which is required.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            keeps_rest = optimizer.store_param_remainders and parameter.dtype is torch.bfloat16
            optimizer.initialize_state(parameter, keeps_rest)


def prepare_step(config: TrainingConfig, optimizer: Any, step: int) -> float:
    """Give every parameter group the learning rate and weight decay of a step; return the rate."""
    rate = learning_rate(config, step)
    for group in optimizer.param_groups:
        if hasattr(group.get("lr"), "fill_"):  # a tensor, where steps are captured as graphs
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
        group["weight_decay"] = config.optimization.weight_decay * group.get("wd_mult", 1.0)
    return rate
