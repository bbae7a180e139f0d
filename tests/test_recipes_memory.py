"""Memory by part, computed by hand for a small model; what does not fit, and what is said of it."""

import dataclasses

import pytest

from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.gpus import H100
from megatron_recipes.limits import check_limits
from megatron_recipes.memory import fullest, reserve_bytes, stage_memories
from megatron_recipes.recipes import RECIPES, find_recipe
from megatron_recipes.settings import apply_settings

# Width 64, heads of 4 x 16 with 2 groups, feed-forward 256, 4 layers, 512 tokens; on TP2 with
# sequence parallelism, PP2, DP2; 4 micro batches of 2 x 64 = 128 tokens.
SETTINGS = {
    "num_layers": 4,
    "hidden_size": 64,
    "ffn_hidden_size": 256,
    "num_attention_heads": 4,
    "num_query_groups": 2,
    "kv_channels": 16,
    "vocab_size": 512,
    "sequence_length": 64,
    "micro_batch_size": 2,
    "global_batch_size": 16,
    "tensor_model_parallel_size": 2,
    "sequence_parallel": "true",
    "pipeline_model_parallel_size": 2,
    "data_parallel_size": 2,
    "params_dtype": "bfloat16",
    "gpu": "h100",
}

# 2 layers of (12,288 of attention + 49,152 of feed-forward) / 2 and two norms of 64, and half of a
# table of 512 x 64; the last stage has a norm more.
FIRST, LAST = 2 * (6_144 + 24_576 + 128) + 16_384, 2 * (6_144 + 24_576 + 128) + 16_384 + 64

# Of a token and layer, in BF16, halved: norms 4 x 64 x 2, query, key and value 128 x 2, output of
# attention 64 x 2, feed-forward 3 x 256 x 2 bytes.
LAYER = (512 + 256 + 128 + 1536) // 2
ENTRY = 64  # the layer's input
FLOWING = (3 * 256 + 2 * 64) * 2 // 2  # gradients inside one layer
LOGITS = 128 * (2 * 64 * 2 // 2 + 512 // 2 * (2 + 4))


def small(*settings: str) -> TrainingConfig:
    typed = SETTINGS | dict(setting.split("=") for setting in settings)
    return apply_settings(find_recipe("tiny"), [f"{name}={value}" for name, value in typed.items()])


def parts(*settings: str) -> list[dict[str, float]]:
    return [dataclasses.asdict(stage) for stage in stage_memories(small(*settings))]


def test_every_part_of_both_stages() -> None:
    assert (FIRST, LAYER) == (78_080, 1_216)
    first, last = parts()
    assert first == {
        "stage": 0,
        "weights": 2 * FIRST,
        "fp8_copies": 0,
        "gradients": 4 * FIRST,
        "optimizer": 12 * FIRST / 2,
        "activations": 128 * (2 * 2 * LAYER + FLOWING),  # two micro batches in flight
        "logits": 0,
        "step": 0,
    }
    assert last == {
        "stage": 1,
        "weights": 2 * LAST,
        "fp8_copies": 0,
        "gradients": 4 * LAST,
        "optimizer": 12 * LAST / 2,
        "activations": 128 * (2 * LAYER + FLOWING),
        "logits": LOGITS,
        "step": 0,
    }
    stages = stage_memories(small())
    assert fullest(stages) is stages[0]
    assert stages[1].total == 12 * LAST + last["activations"] + LOGITS


@pytest.mark.parametrize(
    ("settings", "of_a_token"),
    [
        # Chunks of one layer: 2 x 1 + 1 x 2 before the first backward pass, and the one under way.
        (["virtual_pipeline_model_parallel_size=2"], 5 * LAYER),
        (["global_batch_size=4"], 2 * LAYER),  # one micro batch cannot fill two places
        (
            [
                "recompute_granularity=full",
                "recompute_method=uniform",
                "recompute_num_layers=1",
            ],
            2 * 2 * ENTRY + LAYER - ENTRY,
        ),
        (
            ["recompute_granularity=full", "recompute_method=uniform", "recompute_num_layers=2"],
            2 * ENTRY + 2 * LAYER - ENTRY,
        ),
        (
            ["recompute_granularity=full", "recompute_method=block", "recompute_num_layers=1"],
            2 * (ENTRY + LAYER),
        ),
        (
            ["recompute_granularity=selective", "recompute_modules=mlp"],
            # Kept without the feed-forward part and the norm before it; one of them again.
            4 * (LAYER - 768 - 64) + 768 + 64,
        ),
        (["attention_backend=unfused"], 4 * (LAYER + 64 * 4 // 2 * (4 + 2))),
        (
            [
                "attention_backend=unfused",
                "recompute_granularity=selective",
                "recompute_modules=core_attn",
            ],
            4 * LAYER + 64 * 4 // 2 * (4 + 2),
        ),
    ],
)
def test_activations_of_the_first_stage(settings: list[str], of_a_token: int) -> None:
    assert parts(*settings)[0]["activations"] == 128 * (of_a_token + FLOWING)


def test_sequence_and_context_parallelism_share_activations() -> None:
    whole = parts("sequence_parallel=false")[0]["activations"]
    # Norms and gradients of inputs are not halved, the rest is.
    assert whole == 128 * (4 * (LAYER + 256) + FLOWING + 128)
    assert parts("context_parallel_size=2")[0]["activations"] == 64 * (4 * LAYER + FLOWING)
    assert parts("context_parallel_size=2")[0]["optimizer"] == 12 * FIRST / 4


def test_fp8_weights_copies_and_activations() -> None:
    # The first layer stays in BF16; of the second the products are in FP8.
    settings = ["fp8=hybrid", "num_layers_at_start_in_bf16=1"]
    product, others = 30_720, FIRST - 30_720
    # In one byte: inputs of both products after norms, of `down`; a copy of attention's output.
    layer = LAYER - 64 - 128 + 32
    first = parts(*settings)[0]
    assert (first["weights"], first["fp8_copies"]) == (2 * FIRST, 2 * product)
    assert first["activations"] == 128 * (2 * (LAYER + layer) + FLOWING)
    gathered = parts(*settings, "fp8_param_gather=true")[0]
    assert (gathered["weights"], gathered["fp8_copies"]) == (product + 2 * others, product)
    assert gathered["optimizer"] == first["optimizer"] == 6 * FIRST


def test_state_of_the_precision_aware_optimizer_and_gradients_in_bf16() -> None:
    reduced = parts("grad_reduce_in_fp32=false")[0]
    assert (reduced["gradients"], reduced["step"]) == (2 * FIRST, 4 * FIRST / 2)
    settings = ("use_precision_aware_optimizer=true", "exp_avg_dtype=bfloat16")
    moments = "exp_avg_sq_dtype=bfloat16"
    aware = parts(*settings, moments, "grad_reduce_in_fp32=false", "main_grads_dtype=bfloat16")[0]
    # Half of the master weights, two moments: 10 bytes with weights and gradients on one replica.
    assert (aware["optimizer"], aware["step"]) == ((2 + 2 + 2) * FIRST / 2, 0)


def test_fp8_weights_need_whole_masters() -> None:
    aware = (
        "use_precision_aware_optimizer=true",
        "exp_avg_dtype=bfloat16",
        "exp_avg_sq_dtype=bfloat16",
        "grad_reduce_in_fp32=false",
        "main_grads_dtype=bfloat16",
        "fp8=hybrid",
    )
    products_alone = parts(*aware)[0]
    assert (products_alone["optimizer"], products_alone["step"]) == ((2 + 2 + 2) * FIRST / 2, 0)
    tensorwise = parts(*aware, "fp8_param_gather=true")[0]
    assert tensorwise["optimizer"] == (4 + 2 + 2) * FIRST / 2
    assert tensorwise["step"] == 4 * FIRST / 2


def test_float32_keeps_no_master_weights() -> None:
    first, last = parts("params_dtype=float32", "attention_backend=local")
    assert (first["weights"], first["optimizer"]) == (4 * FIRST, 8 * FIRST / 2)
    assert last["logits"] == 128 * (2 * 64 * 4 // 2 + 512 // 2 * 4)


def test_one_table_is_held_once_or_on_both_ends() -> None:
    shared = "share_embeddings_and_output_weights=true"
    assert parts(shared)[1]["weights"] == 2 * LAST
    one_stage = parts(shared, "pipeline_model_parallel_size=1")[0]
    assert one_stage["weights"] == 2 * (FIRST + LAST - 16_384)


def test_llama3_8b_has_34_bytes_a_token_layer_and_unit_of_width() -> None:
    settings = ["context_parallel_size=1", "data_parallel_size=8", "recompute_granularity=none",
                "recompute_method=none", "recompute_num_layers=0", "gpu=h200"]  # fmt: skip
    (stage,) = stage_memories(apply_settings(find_recipe("llama3_8b"), settings))
    flowing = 8192 * 2 * (3 * 14336 + 2 * 4096)
    assert stage.activations - flowing == 34 * 4096 * 32 * 8192
    assert stage.weights + stage.gradients + stage.optimizer * 8 == 18 * 8_030_261_248


def test_what_does_not_fit_is_refused_with_its_parts_and_what_to_change() -> None:
    config = apply_settings(find_recipe("llama3_8b"), ["micro_batch_size=4"])
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_limits(config, None)
    (stage,) = stage_memories(config)
    assert str(caught.value) == (
        f"gpu (h100) has 84.8 GB, of which 6.6 are reserved, but pipeline stage 0 needs "
        f"{stage.total / 1e9:.1f} (weights 16.1 + gradients 32.1 + optimizer 12.0 + activations "
        f"{stage.activations / 1e9:.1f} + logits 12.9); lower micro_batch_size (4)"
    )


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        (
            ["data_parallel_size=1"],
            "raise tensor_model_parallel_size (1), pipeline_model_parallel_size (1) or, for the "
            "optimizer, data_parallel_size (1)",
        ),
        (
            [
                "context_parallel_size=1",
                "data_parallel_size=8",
                "recompute_granularity=none",
                "recompute_method=none",
                "recompute_num_layers=0",
            ],
            "raise context_parallel_size (1) or set recompute_granularity (none) to full",
        ),
        (
            ["recompute_num_layers=2"],
            "raise context_parallel_size (2) or recompute_num_layers (2), which is block",
        ),
    ],
)
def test_advice_follows_from_what_is_too_large(settings: list[str], advice: str) -> None:
    with pytest.raises(ValueError, match="GB, of which") as caught:
        check_limits(apply_settings(find_recipe("llama3_8b"), settings), None)
    assert str(caught.value).endswith(advice)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_its_gpu(name: str) -> None:
    check_limits(find_recipe(name), None)


def test_a_reserve_is_left() -> None:
    assert reserve_bytes(H100) == 3 * 1024**3 + 0.04 * 79 * 1024**3
