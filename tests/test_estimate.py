"""What the estimate says, against published runs and against arithmetic by hand."""

import dataclasses
import statistics

import pytest

from benchmarks.scaling import PAGE, page
from megatron_recipes.config import BatchConfig, ExecutionConfig, LayoutConfig, PrecisionConfig
from megatron_recipes.estimate.fit import Prediction, predictions
from megatron_recipes.estimate.layouts import (
    MEDIAN_ERROR,
    not_told_apart,
    rank_layouts,
    recommended,
)
from megatron_recipes.estimate.published import MODELS, RUNS, PublishedRun
from megatron_recipes.estimate.rates import PUBLISHED, Rates, gpu_and_rates
from megatron_recipes.estimate.step_time import estimate, step_time
from megatron_recipes.estimate.update import replicas_link
from megatron_recipes.estimate.workload import Workload
from megatron_recipes.flops import flops_per_token
from megatron_recipes.memory import check_memory
from megatron_recipes.recipes import find_recipe
from megatron_recipes.show import describe


@pytest.fixture(scope="module")
def held_out() -> list[Prediction]:
    return predictions()


def test_published_runs_are_predicted_by_rates_fitted_without_them(
    held_out: list[Prediction],
) -> None:
    errors = [abs(prediction.error) for prediction in held_out]
    assert len(errors) == len(RUNS) >= 17
    assert statistics.median(errors) <= 0.10
    assert max(errors) <= 0.25
    assert MEDIAN_ERROR - 0.01 < statistics.median(errors) <= MEDIAN_ERROR


def test_no_run_of_a_family_enters_the_rates_that_predict_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[set[str]] = []

    def fit(runs: list[PublishedRun], start: Rates) -> Rates:
        given.append({run.family for run in runs})
        return start

    monkeypatch.setattr("megatron_recipes.estimate.fit.fit_rates", fit)
    predictions()
    families = list(dict.fromkeys(run.family for run in RUNS))
    assert given == [set(families) - {family} for family in families]


def workload(**sections: object) -> Workload:
    plain = Workload(
        model=MODELS["Llama-3-8B"],
        layout=LayoutConfig(),
        precision=PrecisionConfig(params_dtype="bfloat16"),
        execution=ExecutionConfig(gpu="h200"),
        batch=BatchConfig(sequence_length=8192, micro_batch_size=1, global_batch_size=8),
    )
    return dataclasses.replace(plain, **sections)  # type: ignore[arg-type]


def test_matrix_products_take_their_operations_over_their_rate() -> None:
    gpu, rates = gpu_and_rates("h200")
    seconds = step_time(workload(), gpu, rates).matrix_products
    layers = 32 * (2 * 4096 * (4096 + 1024) + 3 * 4096 * 14336)
    assert seconds == pytest.approx(8 * 8192 * 6 * layers / (989e12 * 0.70))


def test_parts_add_up_to_the_throughput() -> None:
    gpu, rates = gpu_and_rates("h200")
    found = estimate(workload(), gpu, rates)
    assert found.tokens_per_second_per_gpu == pytest.approx(8 * 8192 / found.step.seconds)
    assert found.model_flops_causal == pytest.approx(
        51.47e9 * found.tokens_per_second_per_gpu, rel=1e-4
    )
    assert found.model_flops_full > found.model_flops_causal


def test_fewer_micro_batches_leave_a_pipeline_idle() -> None:
    gpu, rates = gpu_and_rates("h100")
    layout = LayoutConfig(pipeline_model_parallel_size=4)
    chunks = dataclasses.replace(layout, virtual_pipeline_model_parallel_size=4)
    idle = step_time(workload(layout=layout), gpu, rates)
    less = step_time(workload(layout=chunks), gpu, rates)
    assert idle.pipeline_idle == pytest.approx(4 * less.pipeline_idle)


def test_what_is_off_costs_nothing() -> None:
    gpu, rates = gpu_and_rates("h100")
    step = step_time(workload(), gpu, rates)
    for part in ("recomputation", "tensor_parallel", "context_parallel", "pipeline_idle"):
        assert getattr(step, part) == 0
    assert step.pipeline_parallel == 0
    assert step.data_parallel == 0


def test_stages_send_activations_there_and_gradients_back() -> None:
    gpu, rates = gpu_and_rates("h100")
    sent = 2 * 4096 * 8192  # bytes of one micro batch at a boundary
    plain = LayoutConfig(pipeline_model_parallel_size=4)
    found = step_time(workload(layout=plain), gpu, rates).pipeline_parallel
    # 8 micro batches, and 3 boundaries on the way in and out; one machine, nothing hidden.
    assert found == pytest.approx(2 * sent * (8 + 3) / 360e9)
    apart = dataclasses.replace(plain, data_parallel_size=4)
    found = step_time(workload(layout=apart), gpu, rates).pipeline_parallel
    assert found == pytest.approx(2 * sent * (2 + 3) / 40e9)
    chunks = dataclasses.replace(plain, virtual_pipeline_model_parallel_size=4)
    found = step_time(workload(layout=chunks), gpu, rates).pipeline_parallel
    assert found == pytest.approx(2 * sent * (8 * 4 * rates.exposed_share + 3) / 360e9)
    shared = dataclasses.replace(
        plain, tensor_model_parallel_size=2, sequence_parallel=True, context_parallel_size=2
    )
    found = step_time(workload(layout=shared), gpu, rates).pipeline_parallel
    assert found == pytest.approx(2 * sent / 4 * (8 + 3) / 40e9)


@pytest.mark.parametrize(
    ("precision", "moved"),
    [
        # Zeroed 4; read for the norm 4, for the update 4; master and moments there and back 24,
        # weight 2.
        ({}, 4 + 8 + 24 + 2),
        # Zeroed 2; copied to float32 2 + 4, then as above.
        ({"grad_reduce_in_fp32": False}, 2 + 6 + 8 + 24 + 2),
        # Zeroed 2, read twice 4, half a master and two moments there and back 12, weight 4.
        (
            {
                "grad_reduce_in_fp32": False,
                "use_precision_aware_optimizer": True,
                "main_grads_dtype": "bfloat16",
                "exp_avg_dtype": "bfloat16",
                "exp_avg_sq_dtype": "bfloat16",
            },
            2 + 4 + 12 + 4,
        ),
        # Whole masters for weights in FP8: moments of 2 bytes each, masters of 4, there and back.
        (
            {
                "fp8": "hybrid",
                "fp8_param_gather": True,
                "grad_reduce_in_fp32": False,
                "use_precision_aware_optimizer": True,
                "main_grads_dtype": "bfloat16",
                "exp_avg_dtype": "bfloat16",
                "exp_avg_sq_dtype": "bfloat16",
            },
            2 + 6 + 8 + 16 + 2,
        ),
    ],
)
def test_the_optimizer_moves_gradients_in_the_type_they_were_reduced_in(
    precision: dict[str, object], moved: int
) -> None:
    gpu, rates = gpu_and_rates("h200")
    formats = PrecisionConfig(params_dtype="bfloat16", **precision)  # type: ignore[arg-type]
    found = step_time(workload(precision=formats), gpu, rates).optimizer
    layers = 32 * (2 * 4096 * (4096 + 1024) + 3 * 4096 * 14336)
    assert found == pytest.approx(moved * (layers + 2 * 128_256 * 4096) / 4.0e12)


def test_replicas_meet_over_the_ports_of_all_their_members_in_a_machine() -> None:
    rates = PUBLISHED["h100"]

    def link(**sizes: int) -> float:
        return replicas_link(workload(layout=LayoutConfig(**sizes)), rates)

    assert link(data_parallel_size=8) == 360e9
    # Stages are what lies apart: the replicas of each are in one machine.
    assert link(data_parallel_size=8, pipeline_model_parallel_size=4) == 360e9
    assert link(data_parallel_size=64, tensor_model_parallel_size=8) == 40e9
    assert link(data_parallel_size=64, tensor_model_parallel_size=2) == 4 * 40e9


def test_attention_of_documents_counts_their_own_pairs() -> None:
    gpu, rates = gpu_and_rates("h100")
    whole, bounded = workload(), workload(attended_tokens=1024.0)
    found = estimate(bounded, gpu, rates)
    flops = flops_per_token(bounded.model, 1024)
    assert found.model_flops_causal == pytest.approx(flops.causal * found.tokens_per_second_per_gpu)
    assert found.step.attention == pytest.approx(step_time(whole, gpu, rates).attention / 8)


def test_recomputation_of_whole_layers_costs_a_third_and_no_model_flops() -> None:
    gpu, rates = gpu_and_rates("h100")
    execution = ExecutionConfig(
        gpu="h100",
        recompute_granularity="full",
        recompute_method="uniform",
        recompute_num_layers=1,
    )
    plain, again = workload(), workload(execution=execution)
    step = step_time(again, gpu, rates)
    layers = step.matrix_products + step.attention + step.memory_traffic + step.weight_gradients
    assert step.recomputation == pytest.approx(layers / 3)
    slower = estimate(again, gpu, rates).model_flops_causal
    assert slower < estimate(plain, gpu, rates).model_flops_causal


def test_a_cpu_has_no_rates() -> None:
    with pytest.raises(ValueError, match=r"gpu \(cpu\) has no published rates"):
        gpu_and_rates("cpu")
    assert set(PUBLISHED) == {"h100", "h200"}


def test_the_study_is_what_the_module_computes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_ranked_layouts_fit_and_fill_the_gpus() -> None:
    ranked = rank_layouts(find_recipe("llama3_70b"), 64)
    speeds = [candidate.throughput.tokens_per_second_per_gpu for candidate in ranked]
    assert speeds == sorted(speeds, reverse=True)
    for candidate in ranked:
        assert candidate.config.layout.world_size == 64
        check_memory(candidate.config)
    assert rank_layouts(find_recipe("llama3_70b"), 8) == []


def test_layouts_closer_than_the_error_are_not_told_apart_and_the_simplest_is_recommended() -> None:
    for recipe, num_gpus in (("llama3_70b", 64), ("llama3_70b", 512), ("llama3_8b_fp8", 8)):
        ranked = rank_layouts(find_recipe(recipe), num_gpus)
        close, chosen = not_told_apart(ranked), recommended(ranked)
        best = ranked[0].throughput.tokens_per_second_per_gpu
        assert 1 < len(close) < len(ranked)
        assert close == ranked[: len(close)]
        assert close[-1].throughput.tokens_per_second_per_gpu >= 0.95 * best
        assert ranked[len(close)].throughput.tokens_per_second_per_gpu < 0.95 * best
        narrow = [each for each in close if each.config.layout.tensor_model_parallel_size <= 4]
        plain = [each for each in narrow if each.config.execution.recompute_granularity == "none"]
        assert chosen in plain
        assert chosen.config.layout.model_parallel_size == min(
            each.config.layout.model_parallel_size for each in plain
        )
    assert not_told_apart([]) == []


def test_show_estimates_the_recipe_and_names_faster_layouts() -> None:
    text = describe(find_recipe("llama3_8b_fp8"), estimates=True)
    assert "of 1,979 (FP8)" in text
    assert "\nfastest         TP2 DP4: " in text
    assert "\nrecommended     TP2 DP4, the simplest of " in text
    packed = describe(find_recipe("llama3_8b_stage3"), estimates=True)
    assert "attention over whole sequences" in " ".join(packed.split())
    with pytest.raises(ValueError, match="--estimate needs the vocabulary"):
        describe(find_recipe("tiny"), estimates=True)
