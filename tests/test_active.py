"""A run says what is really active, and does not start without what was asked for."""

from typing import Any

import pytest
from forked_world import run_world
from training_world import build, small, unchecked

ASKED = {
    "fp8": ({"precision": {"fp8": "hybrid"}}, "fp8 (hybrid tensorwise)"),
    "fp8 weights": ({"precision": {"fp8_param_gather": True}}, "fp8_param_gather (true)"),
    "moments": (
        {
            "precision": {
                "use_precision_aware_optimizer": True,
                "exp_avg_dtype": "bfloat16",
            }
        },
        "use_precision_aware_optimizer (bfloat16 float32)",
    ),
    "Transformer Engine's cross entropy": (
        {"execution": {"cross_entropy": "te"}},
        "cross_entropy (te)",
    ),
    "attention": ({"execution": {"attention_backend": "flash"}}, "attention_backend (flash)"),
    "overlapped tensor parallelism": (
        {"layout": {"tp_comm_overlap": True}},
        "tp_comm_overlap (true)",
    ),
    "one optimizer for all": (
        {"layout": {"use_distributed_optimizer": False}},
        "use_distributed_optimizer (false)",
    ),
    "other type": ({"precision": {"params_dtype": "bfloat16"}}, "params_dtype (bfloat16)"),
    "overlapped reduction": (
        {"layout": {"overlap_grad_reduce": True}},
        "overlap_grad_reduce (true)",
    ),
    "overlapped gathering": (
        {"layout": {"overlap_grad_reduce": True, "overlap_param_gather": True}},
        "overlap_grad_reduce (true)",
    ),
    "sequence parallelism": (
        {"layout": {"tensor_model_parallel_size": 2, "sequence_parallel": True}},
        "sequence_parallel (true)",
    ),
    "interleaving": (
        {
            "layout": {
                "pipeline_model_parallel_size": 2,
                "virtual_pipeline_model_parallel_size": 2,
            }
        },
        "virtual_pipeline_model_parallel_size (2)",
    ),
    "context parallelism": (
        {"layout": {"context_parallel_size": 2}},
        "context_parallel_size (2)",
    ),
    "recompute": (
        {"execution": {"recompute_granularity": "selective", "recompute_modules": "mlp"}},
        "recompute_granularity (selective mlp)",
    ),
    "cross entropy": ({"execution": {"cross_entropy": "native"}}, "cross_entropy (native)"),
    "fused accumulation": (
        {"execution": {"gradient_accumulation_fusion": True}},
        "gradient_accumulation_fusion (true)",
    ),
}


def refusals_of_a_plain_model() -> dict[str, str]:
    """What is said when a feature is asked for of a model that was built without any."""
    from megatron_recipes.active import require_active

    config = small()
    _, chunks, optimizer = build(config)
    said = {}
    for name, (changes, _) in ASKED.items():
        try:
            require_active(unchecked(config, changes), chunks, optimizer)
            said[name] = "nothing"
        except ValueError as error:
            said[name] = str(error)
    return said


def refusal_of(settings: tuple[str, ...], changes: dict[str, dict[str, Any]]) -> str:
    """What is said of a model that was built with all that was asked for."""
    from megatron_recipes.active import require_active

    config = unchecked(small(*settings), changes)
    _, chunks, optimizer = build(config)
    try:
        return "\n".join(require_active(config, chunks, optimizer))
    except ValueError as error:
        return f"refused: {error}"


def test_each_feature_that_was_not_built_is_named_with_what_was_found() -> None:
    said = run_world(refusals_of_a_plain_model, 1)[0]
    for name, (_, expected) in ASKED.items():
        assert said[name].startswith(f"{expected} was requested"), name
        assert "\n" not in said[name]
    assert "what was built has float32" in said["other type"]
    assert "what was built has nothing of it" in said["recompute"]


def test_fp8_that_megatron_core_would_ignore_on_a_cpu_is_found_out() -> None:
    fp8 = {"precision": {"fp8": "hybrid", "params_dtype": "bfloat16"}}
    said = run_world(refusal_of, 1, (), fp8)[0]
    assert said.startswith("refused: fp8 (hybrid tensorwise) was requested, but what was built has")


def test_what_a_cpu_can_do_is_active_and_listed() -> None:
    settings = (
        "tensor_model_parallel_size=2",
        "sequence_parallel=true",
        "pipeline_model_parallel_size=2",
        "virtual_pipeline_model_parallel_size=2",
        "recompute_granularity=selective",
        "recompute_modules=core_attn,mlp",
        "cross_entropy=native",
        "document_bounded_attention=true",
    )
    fused = {"execution": {"gradient_accumulation_fusion": True}}
    for said in run_world(refusal_of, 4, settings, fused):
        assert said.splitlines() == [
            "layers: Megatron-Core's local ones",
            "params_dtype: float32",
            "grad_reduce_in_fp32: float32",
            "sequence_parallel: true",
            "virtual_pipeline_model_parallel_size: 2",
            "recompute_granularity: selective core_attn mlp",
            "cross_entropy: native",
            "gradient_accumulation_fusion: true",
            "attention_backend: local",
            "document_bounded_attention: a mask",
            "use_distributed_optimizer: true",
            "optimizer: DistributedOptimizer over FusedAdamLayout",
        ]


def test_context_parallelism_overlap_and_full_recomputation_are_read_off_the_model() -> None:
    settings = (
        "context_parallel_size=2",
        "overlap_grad_reduce=true",
        "overlap_param_gather=true",
        "recompute_granularity=full",
        "recompute_method=block",
        "recompute_num_layers=2",
    )
    for said in run_world(refusal_of, 2, settings, {}):
        assert "context_parallel_size: 2\n" in said
        assert "overlap_grad_reduce: true\noverlap_param_gather: true\n" in said
        assert "recompute_granularity: full block 2\n" in said
        assert "sequence_parallel" not in said


@pytest.mark.parametrize(
    ("kind", "backend", "expected"),
    [
        ("flash", "3.0", "active: attention kernel: flash 3.0"),
        ("fused", None, "active: attention kernel: fused"),
        ("unfused", None, "attention_backend (fused) was requested, but Transformer Engine chose"),
    ],
)
def test_attention_that_transformer_engine_chose_is_named_and_must_be_the_requested(
    kind: str, backend: str | None, expected: str
) -> None:
    choice = {f"use_{kind}_attention": True, f"{kind}_attention_backend": backend}
    requested = "auto" if kind == "flash" else "fused"
    assert run_world(chosen_from, 1, choice, requested)[0].startswith(expected)


def chosen_from(choice: dict[str, Any], requested: str) -> str:
    """What is said of what a module in Transformer Engine's place has chosen."""
    import sys
    import types

    from megatron_recipes import active

    attention = types.ModuleType("dot_product_attention")
    attention._attention_backends = choice  # type: ignore[attr-defined]
    package = types.ModuleType("transformer_engine.pytorch.attention")
    package.dot_product_attention = attention  # type: ignore[attr-defined]
    for name in ("transformer_engine", "transformer_engine.pytorch"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["transformer_engine.pytorch.attention"] = package
    active.uses_transformer_engine = lambda: True
    config = unchecked(small(), {"execution": {"attention_backend": requested}})
    try:
        return active.require_chosen_attention(config)[0]
    except ValueError as error:
        return str(error)
