"""Layouts are no different trainings: the same losses from the same weights, to rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blend_files import write_blend
from forked_world import run_world
from random_configs import accepted_layouts
from training_world import drawn_weight, initial_weights, small, train_steps

from benchmarks.layouts import one_step

ROOT = Path(__file__).parents[1]
STEPS = 20
TOLERANCE = 5e-6

TP2 = ("tensor_model_parallel_size=2",)
SP2 = (*TP2, "sequence_parallel=true")
PP2 = ("pipeline_model_parallel_size=2",)
VPP2 = (*PP2, "virtual_pipeline_model_parallel_size=2")
CP2 = ("context_parallel_size=2",)
OVERLAPS = ("overlap_grad_reduce=true", "overlap_param_gather=true")
DP2 = ("data_parallel_size=2", *OVERLAPS)
DOCUMENTS = ("document_bounded_attention=true",)
TIED = ("share_embeddings_and_output_weights=true",)
QWEN = (*TIED, "add_qkv_bias=true")
LLAMA = ("rotary_scaling_factor=8",)
FUSED_LOSS = ("cross_entropy=native",)

EVERY_PUSH = {
    "TP2 SP": SP2,
    "PP2 interleaved": VPP2,
    "CP2": CP2,
    "DP2 overlapped": DP2,
    "PP2 tied, biased": (*PP2, *QWEN),
    "CP2 documents": (*CP2, *DOCUMENTS),
}
BENCH = {
    "TP2": TP2,
    "PP2": PP2,
    "PP2 uneven": (*PP2, "num_layers_in_first_pipeline_stage=1"),
    "PP3 uneven at both ends": (
        "pipeline_model_parallel_size=3",
        "num_layers_in_first_pipeline_stage=1",
        "num_layers_in_last_pipeline_stage=1",
    ),
    "TP2 PP2": (*TP2, *PP2),
    "TP2 SP PP2 interleaved": (*SP2, *VPP2),
    "CP2 TP2 SP": (*CP2, *SP2),
    "CP2 DP2": (*CP2, *DP2),
    "CP4": ("context_parallel_size=4",),
    "PP2 interleaved DP2": (*VPP2, *DP2),
    "PP2 interleaved tied": (*VPP2, *TIED),
    "TP2 SP biased, scaled": (*SP2, *QWEN, *LLAMA),
    "TP2 SP CP2 documents": (*SP2, *CP2, *DOCUMENTS),
    "one replica, plain optimizer": ("use_distributed_optimizer=false",),
    "full recompute": (
        *PP2,
        "recompute_granularity=full",
        "recompute_method=uniform",
        "recompute_num_layers=1",
    ),
    "some full recompute": (
        "recompute_granularity=full",
        "recompute_method=block",
        "recompute_num_layers=2",
    ),
    "selective recompute": (
        *CP2,
        "recompute_granularity=selective",
        "recompute_modules=core_attn,mlp",
    ),
    "fused cross entropy": (*TP2, *FUSED_LOSS),
    "eight processes on fewer cores": (*TP2, *PP2, *CP2),
}
OF_THE_TRAINING = (*DOCUMENTS, *QWEN, *LLAMA, *FUSED_LOSS)
"""Settings that change what is computed; all others may not. Megatron-Core's fused loss does: it
rounds the gradient of the logits to BF16."""

_bases: dict[tuple[str, ...], dict[str, list[float]]] = {}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, str]:
    """Distributed checkpoints of the weights after some steps: with untied, with tied ones."""
    directory = tmp_path_factory.mktemp("layouts")
    paths = {}
    for is_tied, settings in ((False, ()), (True, QWEN)):
        paths[is_tied] = str(directory / f"tied-{is_tied}")
        run_world(train_steps, 1, small(*settings), 3, "", paths[is_tied])
    return paths


def check_parity(checkpoint: dict[bool, str], settings: tuple[str, ...]) -> None:
    config = small(*settings)
    is_tied = config.model.share_embeddings_and_output_weights
    # A bias that the checkpoint lacks cannot be loaded from it: those start from the seed.
    start = checkpoint[is_tied] if config.model.add_qkv_bias == is_tied else ""
    same = tuple(setting for setting in settings if setting in OF_THE_TRAINING)
    if same not in _bases:
        _bases[same] = run_world(train_steps, 1, small(*same), STEPS, start)[0]
    found = run_world(train_steps, config.layout.world_size, config, STEPS, start)
    base = _bases[same]
    assert base["losses"][-1] < base["losses"][0] - 0.5
    assert all(result["losses"] == found[0]["losses"] for result in found)
    worst = max(abs(a - b) for a, b in zip(found[0]["losses"], base["losses"], strict=True))
    print(f"largest difference {worst:.1e}")
    assert worst < TOLERANCE
    assert found[0]["grad_norms"] == pytest.approx(base["grad_norms"], rel=1e-4)


@pytest.mark.parametrize("name", EVERY_PUSH)
def test_layout_has_the_losses_of_one_process(checkpoint: dict[bool, str], name: str) -> None:
    check_parity(checkpoint, EVERY_PUSH[name])


@pytest.mark.bench
@pytest.mark.parametrize("name", BENCH)
def test_more_layouts_have_the_losses_of_one_process(
    checkpoint: dict[bool, str], name: str
) -> None:
    check_parity(checkpoint, BENCH[name])


@pytest.mark.bench
@pytest.mark.parametrize("settings", [SP2, PP2, DP2], ids=["TP2 SP", "PP2", "DP2"])
def test_bfloat16_is_the_same_training_to_its_precision(settings: tuple[str, ...]) -> None:
    bf16 = "params_dtype=bfloat16"
    single = run_world(train_steps, 1, small(bf16), STEPS)[0]
    exact = run_world(train_steps, 1, small(), STEPS)[0]
    config = small(bf16, *settings)
    found = run_world(train_steps, config.layout.world_size, config, STEPS)[0]
    assert found["losses"][:3] == pytest.approx(single["losses"][:3], abs=5e-3)
    assert found["losses"] == pytest.approx(single["losses"], abs=5e-2)
    assert found["losses"] == pytest.approx(exact["losses"], abs=1e-1)
    assert found["losses"] != exact["losses"]


def test_initial_weights_are_the_same_in_every_layout() -> None:
    layout = small(*SP2, *VPP2)
    whole = run_world(initial_weights, 1, small())[0]
    parts = run_world(initial_weights, layout.layout.world_size, layout)
    assert sum(count for count, _, _ in whole.values()) == sum(
        count for part in parts for count, _, _ in part.values()
    )
    for name, (_, total, squares) in whole.items():
        held = [part[name] for part in parts if name in part]
        assert sum(part[1] for part in held) == pytest.approx(total, abs=1e-4), name
        assert sum(part[2] for part in held) == pytest.approx(squares, rel=1e-6), name


def test_stages_draw_other_weights_where_megatron_core_draws_them() -> None:
    first, second = run_world(drawn_weight, 2, small(*PP2))
    assert first != second


def test_initial_weights_have_the_spread_they_should_and_differ_by_seed() -> None:
    first = run_world(initial_weights, 1, small())[0]
    other = run_world(initial_weights, 1, small("seed=5"))[0]
    spread = {name: (squares / count) ** 0.5 for name, (count, _, squares) in first.items()}
    scaled = 0.02 / 8**0.5
    assert spread["embedding.word_embeddings.weight"] == pytest.approx(0.02, rel=0.03)
    assert spread["decoder.layers.3.mlp.linear_fc1.weight"] == pytest.approx(0.02, rel=0.03)
    assert spread["decoder.layers.0.mlp.linear_fc2.weight"] == pytest.approx(scaled, rel=0.03)
    layers = [first[f"decoder.layers.{i}.self_attention.linear_qkv.weight"] for i in range(4)]
    assert len(set(layers)) == 4
    assert all(first[name] != other[name] for name in spread if "norm" not in name)


def test_layouts_that_show_accepts_take_the_step_of_one_process() -> None:
    # A few that a push can wait for; `benchmarks.layouts` takes 100, of up to 8 processes.
    drawn = accepted_layouts(seed=7, count=40, among=500)
    few = [config for config in drawn if config.layout.world_size <= 4][:6]
    assert len(few) == 6
    for config in few:
        entry = one_step(config)
        assert entry["reason"] == "", entry["layout"]


@pytest.mark.bench
def test_command_resumes_over_three_layouts_with_the_losses_of_one_process(tmp_path: Path) -> None:
    # Interleaved, with shared sequences, bounded documents and weights gathered late; then others.
    blend = write_blend(tmp_path / "data")
    for stop, settings in ((2, (*VPP2, *CP2, *OVERLAPS)), (4, SP2), (6, PP2)):
        train(blend, tmp_path / "many", f"stop_at_step={stop}", *DOCUMENTS, *settings)
    train(blend, tmp_path / "one", "stop_at_step=6", *DOCUMENTS)
    found, expected = losses(tmp_path / "many"), losses(tmp_path / "one")
    assert list(found) == [1, 2, 3, 4, 5, 6]
    assert found == pytest.approx(expected, abs=TOLERANCE)


def train(blend: Path, directory: Path, *settings: str) -> None:
    chosen = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "megatron_recipes", "train", "tiny", "--blend", str(blend)]
    result = subprocess.run(
        [*command, "--checkpoint-dir", str(directory), *chosen],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def losses(directory: Path) -> dict[int, float]:
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    entries = [entry for entry in map(json.loads, lines) if entry["kind"] == "step"]
    return {entry["step"]: entry["loss"] for entry in entries}
