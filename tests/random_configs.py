"""Random recipes with settings, as users may type them; most of them make sense.

Half of the draws would train on this machine if they are accepted: `accepted_layouts` gives those
to the tests that do. All of it follows from the seed.
"""

import dataclasses
import itertools
import random
from collections.abc import Iterator
from typing import Any

from megatron_recipes.config import TrainingConfig
from megatron_recipes.job import resolve_with_data
from megatron_recipes.recipes import RECIPES
from megatron_recipes.show import describe

MOST_PROCESSES = 8
DRAWS = 5000
PUBLISHED = tuple(name for name in RECIPES if name != "tiny")


@dataclasses.dataclass(frozen=True)
class Draw:
    """What somebody typed."""

    recipe: str
    settings: tuple[str, ...]

    def resolve(self) -> TrainingConfig:
        """Return the config as `show` resolves and prints it, or raise its refusal."""
        config, _ = resolve_with_data(self.recipe, self.settings, None)
        assert describe(config)
        return config


def draws(seed: int, count: int = DRAWS) -> Iterator[Draw]:
    """Yield as many recipes with settings."""
    for number in range(count):
        chance = random.Random(f"{seed} {number}")  # text: two numbers are no seed
        if chance.random() < 0.25:
            yield _published(chance)
        else:
            yield Draw("tiny", _typed(_small(chance)))


def accepted_layouts(seed: int, count: int, *, among: int = DRAWS) -> list[TrainingConfig]:
    """Return accepted configs of small models on at most 8 processes, stratified.

    Strata are which of tensor, pipeline, interleaved pipeline, context and data parallelism are
    used; they take turns, in the order in which they were first drawn.

    Args:
        seed: Of the draws.
        count: How many.
        among: The draws that are looked at: those of the same seed that `show` is tested with.
    """
    strata: dict[tuple[bool, ...], list[TrainingConfig]] = {}
    for draw in draws(seed, among):
        if draw.recipe != "tiny":
            continue
        try:
            config = draw.resolve()
        except ValueError:
            continue
        if config.layout.world_size <= MOST_PROCESSES:
            strata.setdefault(stratum(config), []).append(config)
    rounds = itertools.zip_longest(*strata.values())
    turns = (config for turn in rounds for config in turn if config is not None)
    found = list(itertools.islice(turns, count))
    assert len(found) == count, f"{len(found)} of {count} layouts among {among} draws"
    return found


def stratum(config: TrainingConfig) -> tuple[bool, ...]:
    """Return which kinds of parallelism a config uses: TP, PP, interleaving, CP, DP."""
    layout = config.layout
    return (
        layout.tensor_model_parallel_size > 1,
        layout.pipeline_model_parallel_size > 1,
        layout.virtual_pipeline_model_parallel_size > 1,
        layout.context_parallel_size > 1,
        layout.data_parallel_size > 1,
    )


def _typed(fields: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in fields.items()
    )


def _published(chance: random.Random) -> Draw:
    """A recipe of a published model with another layout or batch."""
    fields: dict[str, Any] = {}
    options: dict[str, tuple[Any, ...]] = {
        "tensor_model_parallel_size": (1, 2, 4, 8),
        "pipeline_model_parallel_size": (1, 2, 4),
        "context_parallel_size": (1, 2, 3, 4),
        "data_parallel_size": (2, 4, 8, 16),
        "micro_batch_size": (1, 2, 4),
        "sequence_length": (4096, 8192, 16384),
        "global_batch_size": (64, 512, 1000),
        "use_precision_aware_optimizer": (True,),
        "grad_reduce_in_fp32": (False,),
        "attention_backend": ("fused", "unfused", "local"),
        "gpu": ("cpu", "h200"),
        "num_steps": (1000, 100),
    }
    for name in chance.sample(sorted(options), chance.choice((0, 1, 2, 3))):
        fields[name] = chance.choice(options[name])
    return Draw(chance.choice(PUBLISHED), _typed(fields))


def _small(chance: random.Random) -> dict[str, Any]:
    """Fields of a small model at a layout, most of which fit each other."""
    fields = _small_layout(chance)
    fields |= _small_model(chance, fields)
    fields |= _small_batch(chance, fields)
    fields |= _small_precision(chance, fields)
    fields |= _small_execution(chance, fields)
    fields |= _small_regime(chance)
    if chance.random() < 0.2:
        fields |= _mistake(chance)
    # In the order of fields a user might type, not of how they were drawn.
    return dict(sorted(fields.items()))


def _small_layout(chance: random.Random) -> dict[str, Any]:
    kinds = {"tensor": 0.5, "pipeline": 0.6, "context": 0.4, "data": 0.4}
    used = [kind for kind, share in kinds.items() if chance.random() < share]
    chance.shuffle(used)
    sizes = dict.fromkeys(kinds, 1)
    for kind in used:
        room = MOST_PROCESSES
        for size in sizes.values():
            room //= size
        choices = [size for size in (2, 2, 2, 4, 3, 8) if size <= room]
        sizes[kind] = chance.choice(choices) if choices else 1
    fields: dict[str, Any] = {
        "tensor_model_parallel_size": sizes["tensor"],
        "pipeline_model_parallel_size": sizes["pipeline"],
        "context_parallel_size": sizes["context"],
        "data_parallel_size": sizes["data"],
    }
    if sizes["pipeline"] > 1 and chance.random() < 0.5:
        fields["virtual_pipeline_model_parallel_size"] = chance.choice((2, 2, 3))
    if sizes["tensor"] > 1:
        fields["sequence_parallel"] = chance.random() < 0.5
    if sizes["data"] * sizes["context"] > 1:
        fields["overlap_grad_reduce"] = chance.random() < 0.5
        if fields["overlap_grad_reduce"]:
            fields["overlap_param_gather"] = chance.random() < 0.5
    elif chance.random() < 0.3:
        fields["use_distributed_optimizer"] = False
    return fields


def _small_model(chance: random.Random, layout: dict[str, Any]) -> dict[str, Any]:
    stages = layout["pipeline_model_parallel_size"]
    chunks = layout.get("virtual_pipeline_model_parallel_size", 1)
    first = last = per_stage = chunks * chance.choice((1, 1, 2))
    fields: dict[str, Any] = {}
    if stages > 1 and chance.random() < 0.3:
        first = fields["num_layers_in_first_pipeline_stage"] = chunks
    if stages > 1 and chance.random() < 0.3:
        last = fields["num_layers_in_last_pipeline_stage"] = chunks
    layers = per_stage if stages == 1 else first + last + (stages - 2) * per_stage
    tensor = layout["tensor_model_parallel_size"]
    groups = tensor if tensor > 2 else chance.choice((2, 4))
    return fields | {
        "num_layers": layers if chance.random() < 0.95 else layers + 1,
        "hidden_size": chance.choice((32, 64)),
        "ffn_hidden_size": 16 * chance.choice((2, 4)) * (tensor if tensor == 3 else 8),
        "num_query_groups": groups,
        "num_attention_heads": groups * chance.choice((1, 2)),
        "kv_channels": 16,
        "vocab_size": chance.choice((512, 500)),
        "make_vocab_size_divisible_by": 3 * 64 if tensor == 3 else 128,
        "add_qkv_bias": chance.random() < 0.3,
        "share_embeddings_and_output_weights": chance.random() < 0.2,
        "rotary_scaling_factor": chance.choice((1.0, 1.0, 8.0)),
        "max_position_embeddings": chance.choice((0, 64, 48 if chance.random() < 0.2 else 128)),
    }


def _small_batch(chance: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    stages = fields["pipeline_model_parallel_size"]
    size = chance.choice((1, 2))
    passes = stages * chance.choice((1, 2)) if chance.random() < 0.9 else stages + 1
    shares = fields["tensor_model_parallel_size"] * fields["context_parallel_size"]
    return {
        "sequence_length": 48 if shares % 3 == 0 else chance.choice((32, 64)),
        "micro_batch_size": size,
        "global_batch_size": size * passes * fields["data_parallel_size"],
        "document_bounded_attention": chance.random() < 0.2,
    }


def _small_precision(chance: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    precision: dict[str, Any] = {}
    if chance.random() < 0.5:
        precision["params_dtype"] = "bfloat16"
        precision["grad_reduce_in_fp32"] = chance.random() < 0.7
    if chance.random() < 0.5:
        return precision
    precision["gpu"] = chance.choice(("h100", "h200"))
    if "params_dtype" in precision and chance.random() < 0.6:
        precision |= {"fp8": chance.choice(("e4m3", "hybrid"))}
        precision["fp8_recipe"] = chance.choice(
            ("tensorwise", "tensorwise", "delayed", "blockwise")
        )
        if precision["fp8_recipe"] == "delayed":
            precision |= {"fp8_amax_history_len": 1024, "fp8_amax_compute_algo": "max"}
        if precision["fp8_recipe"] == "tensorwise" and fields["num_layers"] > 2:
            precision["num_layers_at_start_in_bf16"] = chance.choice((0, 1))
        precision["fp8_param_gather"] = chance.random() < 0.3
    if "params_dtype" in precision and chance.random() < 0.4:
        precision["use_precision_aware_optimizer"] = True
        reduced = precision["grad_reduce_in_fp32"]
        precision["main_grads_dtype"] = "float32" if reduced else "bfloat16"
        precision["exp_avg_dtype"] = chance.choice(("float32", "bfloat16"))
    return precision


def _small_execution(chance: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    execution: dict[str, Any] = {"cross_entropy": chance.choice(("none", "native"))}
    if fields.get("gpu", "cpu") != "cpu":
        execution["cross_entropy"] = chance.choice(("none", "native", "te"))
        execution["gradient_accumulation_fusion"] = chance.random() < 0.5
        execution["attention_backend"] = chance.choice(("auto", "auto", "fused", "flash", "local"))
        if fields.get("sequence_parallel"):
            execution["tp_comm_overlap"] = chance.random() < 0.5
    kind = chance.choice(("none", "none", "full", "selective"))
    execution["recompute_granularity"] = kind
    if kind == "full":
        execution["recompute_method"] = chance.choice(("uniform", "block"))
        execution["recompute_num_layers"] = 1
    if kind == "selective":
        execution["recompute_modules"] = chance.choice(("core_attn", "mlp", "core_attn,mlp"))
    return execution


def _small_regime(chance: random.Random) -> dict[str, Any]:
    regime: dict[str, Any] = {
        "num_steps": chance.choice((4, 8)),
        "lr_warmup_steps": chance.choice((0, 1, 2)),
        "lr_decay_style": chance.choice(("cosine", "linear", "WSD")),
        "checkpoint_interval": 2,
        "keep_every": chance.choice((0, 2, 4)),
        "async_save": chance.random() < 0.5,
        "clip_grad": chance.choice((0.5, 1.0)),
    }
    if regime["lr_decay_style"] == "WSD":
        regime["lr_wsd_decay_steps"] = 1
        regime["lr_wsd_decay_style"] = chance.choice(("exponential", "linear", "minus_sqrt"))
    return regime


MISTAKES: tuple[dict[str, Any], ...] = (
    {"tensor_model_parallel_size": 3},
    {"sequence_parallel": True, "tensor_model_parallel_size": 1},
    {"tp_comm_overlap": True},
    {"overlap_param_gather": True, "overlap_grad_reduce": False},
    {"num_layers_in_first_pipeline_stage": 7},
    {"virtual_pipeline_model_parallel_size": 5},
    {"fp8": "hybrid", "gpu": "cpu"},
    {"fp8_amax_history_len": 16},
    {"num_layers_at_end_in_bf16": 1, "fp8_recipe": "delayed"},
    {"cross_entropy": "te", "gpu": "cpu"},
    {"recompute_modules": "layernorm", "recompute_granularity": "selective"},
    {"recompute_num_layers": 9},
    {"recompute_method": "block"},
    {"main_grads_dtype": "bfloat16"},
    {"exp_avg_sq_dtype": "int8"},
    {"sequence_length": 63},
    {"sequence_length": 4096, "max_position_embeddings": 2048},
    {"lr_warmup_init": 1.0},
    {"lr_wsd_decay_style": "cosine", "lr_decay_style": "linear", "lr_wsd_decay_steps": 0},
    {"keep_every": 3},
    {"loss_spike_factor": 0.5},
    {"gpus_per_node": 3},
    {"global_batch_size": 7},
    {"micro_batch_size": 0},
    {"hang_timeout_seconds": 0.0},
    {"seed": 2**32},
    {"adam_beta1": 1.0},
    {"rotary_scaling_factor": 0.5},
    {"attention_backend": "cudnn"},
    {"gpu": "a100"},
)


def _mistake(chance: random.Random) -> dict[str, Any]:
    return chance.choice(MISTAKES)
