"""What a config refuses, what `--set` takes, and the numbers that follow from a config."""

import dataclasses

import pytest

from megatron_recipes.batching import micro_batch_indices
from megatron_recipes.config import LayoutConfig, ModelConfig, TrainingConfig
from megatron_recipes.flops import count_parameters, flops_per_token
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import (
    apply_settings,
    field_sections,
    first_difference,
    with_vocabulary,
)

LLAMA3_8B = ModelConfig(
    num_layers=32,
    hidden_size=4096,
    ffn_hidden_size=14336,
    num_attention_heads=32,
    num_query_groups=8,
    kv_channels=128,
    vocab_size=128256,
)


def test_wrong_number_of_processes_names_all_sizes() -> None:
    layout = LayoutConfig(tensor_model_parallel_size=2, pipeline_model_parallel_size=2)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        layout.check_world_size(2)
    assert str(caught.value) == (
        "2 processes were started, but tensor_model_parallel_size (2) x "
        "pipeline_model_parallel_size (2) x context_parallel_size (1) x data_parallel_size (1) is 4"
    )


def test_a_recipe_for_a_gpu_is_refused_without_one() -> None:
    config = apply_settings(find_recipe("tiny"), ["gpu=h100"])
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        config.check_machine(has_cuda=False, has_transformer_engine=True)
    assert str(caught.value) == (
        "gpu (h100) needs a GPU; here CUDA is absent; train `tiny`, or go where the GPUs are"
    )
    config.check_machine(has_cuda=True, has_transformer_engine=False)


def test_what_only_transformer_engine_does_is_refused_without_it() -> None:
    settings = ["gpu=h100", "params_dtype=bfloat16", "fp8=hybrid"]
    config = apply_settings(find_recipe("tiny"), settings)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        config.check_machine(has_cuda=True, has_transformer_engine=False)
    assert str(caught.value) == (
        "fp8 (hybrid) needs Transformer Engine, which is not installed here"
    )
    config.check_machine(has_cuda=True, has_transformer_engine=True)


@pytest.mark.parametrize(("name", "hint"), [("big", ""), ("llama3-8b", "did you mean llama3_8b? ")])
def test_unknown_recipe_names_those_there_are(name: str, hint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        find_recipe(name)
    assert str(caught.value) == (
        f"there is no recipe {name!r}; {hint}expected tiny, or one of llama3_8b, llama3_70b, "
        "mistral_7b, qwen2_5_7b, which may end in _stage2 or _stage3, _h200, _fp8, in this order"
    )


def test_settings_change_their_fields_and_no_other() -> None:
    before = find_recipe("tiny")
    after = apply_settings(before, ["num_steps=20_0", "tensor_model_parallel_size=2", "fp8=none"])
    assert (after.schedule.num_steps, after.layout.tensor_model_parallel_size) == (200, 2)
    assert after.model == before.model
    assert after.optimization == before.optimization


def test_no_field_name_occurs_in_two_sections() -> None:
    names = [
        field.name
        for section in set(field_sections().values())
        for field in dataclasses.fields(getattr(find_recipe("tiny"), section))
    ]
    assert sorted(names) == sorted(field_sections())


def test_vocabulary_is_taken_from_the_data_and_padded_alike_for_every_layout() -> None:
    for size in (1, 2):
        config = apply_settings(find_recipe("tiny"), [f"tensor_model_parallel_size={size}"])
        assert with_vocabulary(config, 300).model.padded_vocab_size == 384


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (
            256,
            300,
            "the blend's tokenizer has 300 tokens, more than vocab_size (256) of the model; "
            "set vocab_size=300 for a model that is not trained yet, or leave it 0",
        ),
        (
            512,
            300,
            "the blend's tokenizer has 300 tokens, fewer than vocab_size (512) of the model; "
            "tokenize with the tokenizer of the model",
        ),
        (
            384,
            300,
            "the blend's tokenizer has 300 tokens, fewer than vocab_size (384) of the model; "
            "set vocab_size=300 if it is the model's: that pads to the same 384 rows",
        ),
    ],
)
def test_vocabulary_other_than_the_models_is_refused(model: int, data: int, message: str) -> None:
    config = apply_settings(find_recipe("tiny"), [f"vocab_size={model}"])
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        with_vocabulary(config, data)
    assert str(caught.value) == message
    assert with_vocabulary(config, model) == config


def test_first_difference_passes_over_what_may_change() -> None:
    def resolved(config: TrainingConfig) -> dict[str, object]:
        return dataclasses.asdict(config)

    saved = resolved(find_recipe("tiny"))
    allowed = ["stop_at_step=3", "tensor_model_parallel_size=2", "micro_batch_size=1"]
    assert first_difference(saved, resolved(apply_settings(find_recipe("tiny"), allowed))) == ""
    changed = resolved(apply_settings(find_recipe("tiny"), [*allowed, "weight_decay=0.2"]))
    assert first_difference(saved, changed) == "optimization.weight_decay (there 0.1, now 0.2)"


def test_llama3_8b_has_its_published_number_of_parameters() -> None:
    assert count_parameters(LLAMA3_8B) == 8_030_261_248


def test_flops_of_llama3_8b_at_8192_by_three_formulas() -> None:
    flops = flops_per_token(LLAMA3_8B, 8192)
    assert [round(flop / 1e9, 2) for flop in (flops.linear, flops.causal, flops.full)] == [
        45.03,
        51.47,
        57.91,
    ]


@pytest.mark.parametrize("data_parallel_size", [1, 2, 4])
def test_a_step_sees_the_same_samples_for_any_number_of_replicas(data_parallel_size: int) -> None:
    seen = [
        index
        for rank in range(data_parallel_size)
        for indices in micro_batch_indices(
            consumed_samples=24,
            global_batch_size=8,
            micro_batch_size=2,
            data_parallel_rank=rank,
            data_parallel_size=data_parallel_size,
        )
        for index in indices
    ]
    assert sorted(seen) == list(range(24, 32))
