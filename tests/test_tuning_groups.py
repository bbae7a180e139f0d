"""Groups of conversations: how often each is shown, what is held out, what a resume keeps."""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from blend_files import EOD, write_masked_blend, write_masked_part
from checkpoint_runs import small_job, train
from forked_world import run_world
from test_tuning import PACKED

from megatron_recipes.blend import read_blend
from megatron_recipes.config import TrainingConfig
from megatron_recipes.guards.loss_guard import LossGuard
from megatron_recipes.job import Job
from megatron_recipes.limits import check_limits
from megatron_recipes.recipes import find_recipe
from megatron_recipes.run_directory import Checkpoint
from megatron_recipes.settings import apply_settings
from megatron_recipes.show import describe
from megatron_recipes.tuning.groups import MULTIPLE, kept_multiple, open_conversations

TUNED = (*PACKED, "max_epochs=50", "micro_batch_size=1", "evaluation_sequences=64")
"""Evaluated on everything that is held out."""


def loss_of_each_alone(job: Job) -> dict[str, tuple[float, int]]:
    """Return the loss of each held-out group on freshly drawn weights, unpacked, and its tokens."""
    import numpy
    import torch

    from megatron_recipes.model import build_model
    from megatron_recipes.tuning.masked_documents import MaskedDocuments
    from megatron_recipes.world import join_world

    world = join_world(job.config.layout, job.config.schedule.seed)
    [model] = build_model(job.config, world)
    found = {}
    for group in job.blend.valid:
        documents = MaskedDocuments([str(part.prefix) for part in group.parts])
        total, count = 0.0, 0
        for number in range(len(documents)):
            tokens = torch.tensor(documents.tokens(number).astype(numpy.int64))[None]
            mask = torch.tensor(documents.mask(number).astype(numpy.float32))[None, 1:]
            positions = torch.arange(tokens.size(1) - 1)[None]
            with torch.no_grad():
                losses = model(tokens[:, :-1], positions, None, labels=tokens[:, 1:])
            total += float((losses.double() * mask).sum())
            count += int(mask.sum())
        found[group.name] = (total / count, count)
    return found


def entries(job: Job, kind: str) -> list[dict[str, Any]]:
    lines = (job.run.path / "metrics.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_held_out_conversations_have_the_loss_of_each_alone_at_any_layout(tmp_path: Path) -> None:
    blend = write_masked_blend(tmp_path / "data")
    base = small_job(blend, tmp_path / "base", *TUNED, "stop_at_step=0")
    [alone] = run_world(loss_of_each_alone, 1, base)
    assert sorted(alone) == ["agent", "tools"]
    for name, layout in (("DP1", ()), ("DP2", ("data_parallel_size=2",))):
        job = small_job(blend, tmp_path / name, *TUNED, "stop_at_step=0", *layout)
        lines = train(job)
        assert [line.split(":")[0] for line in lines if line.startswith("conversations of")] == [
            "conversations of agent",
            "conversations of tools",
            "conversations of agent, held out",
            "conversations of tools, held out",
        ]
        found = entries(job, "evaluation")
        assert [entry["group"] for entry in found] == ["agent", "tools"]
        for entry in found:
            loss, tokens = alone[entry["group"]]
            assert entry["tokens"] == tokens
            assert entry["loss"] == pytest.approx(loss, rel=1e-5)
    assert abs(alone["agent"][0] - alone["tools"][0]) > 1e-4, "or either would do for both"


def resolved(tmp_path: Path, *settings: str) -> tuple[TrainingConfig, Any]:
    job = small_job(tmp_path / "data/blend.json", tmp_path / "run", *TUNED, *settings)
    return job.config, job.blend


def test_epochs_are_those_of_packed_sequences(tmp_path: Path) -> None:
    write_masked_blend(tmp_path / "data")
    config, blend = resolved(tmp_path)
    packed = open_conversations(config, blend, 1)
    shown = 100 * config.batch.global_batch_size
    assert [packed.train.samples_of(group) for group in (0, 1)] == pytest.approx(
        [0.7 * shown, 0.3 * shown], abs=1
    )
    [count, tools] = [len(group.packing) for group in packed.train.groups]
    epochs = packed.train.samples_of(0) / count
    assert f" in {count:,} sequences, read {epochs:.2f} times, filled " in packed.notices[0]
    # What is trained on for a while only, or never, is told.
    few = apply_settings(config, ["num_steps=6", "global_batch_size=1", "lr_warmup_steps=1"])
    assert ", read 0." in open_conversations(few, blend, 1).notices[1]
    assert epochs > packed.train.samples_of(1) / tools
    open_conversations(apply_settings(config, [f"max_epochs={epochs}"]), blend, 1)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        open_conversations(apply_settings(config, [f"max_epochs={epochs - 0.01}"]), blend, 1)
    assert str(caught.value) == (
        f"group agent would be read {epochs:.2f} times: of {shown} sequences (num_steps (100) x "
        f"global_batch_size ({config.batch.global_batch_size})) {packed.train.samples_of(0)} are "
        f"from its {count}, more than max_epochs ({epochs - 0.01:g}); lower num_steps or the "
        "group's weight, or raise max_epochs"
    )


def test_dropped_conversations_are_shown_in_no_epoch(tmp_path: Path) -> None:
    write_masked_blend(tmp_path / "data")
    config, blend = resolved(tmp_path, "sequence_length=32", "split_long_conversations=false")
    packed = open_conversations(apply_settings(config, ["max_epochs=1000"]), blend, 1)
    [agent, _] = packed.train.groups
    assert agent.pieces.num_dropped > 20
    epochs = packed.train.samples_of(0) / len(agent.packing)
    by_tokens = 0.7 * 100 * config.batch.tokens_per_step / blend.train[0].tokens
    assert epochs > 1.3 * by_tokens
    between = apply_settings(config, [f"max_epochs={(epochs + by_tokens) / 2}"])
    check_limits(between, blend)  # which cannot know
    assert f" in 1 part = about {by_tokens:.2f} epochs\n" in describe(between, blend)
    with pytest.raises(ValueError, match="group agent would be read"):
        open_conversations(between, blend, 1)


def test_what_is_too_often_however_it_is_packed_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    write_masked_blend(tmp_path / "data")
    config, blend = resolved(tmp_path)
    # A packing with gaps makes fewer epochs than the tokens would, which refuse nothing.
    exact = open_conversations(config, blend, 1)
    epochs = exact.train.samples_of(0) / len(exact.train.groups[0].packing)
    check_limits(apply_settings(config, [f"max_epochs={epochs}"]), blend)
    with pytest.raises(ValueError, match="group agent would be read at least"):
        check_limits(apply_settings(config, [f"max_epochs={epochs / 3}"]), blend)


def test_held_out_groups_that_cannot_be_evaluated_are_named(tmp_path: Path) -> None:
    path = write_masked_blend(tmp_path / "data")
    content = json.loads(path.read_text())
    for name, number in (("agent", 3), ("empty", 0)):
        (tmp_path / "data" / name).mkdir(exist_ok=True)
        prefix = tmp_path / f"data/{name}/long-00000"
        write_masked_part(prefix, num_documents=number, turn_lengths=(20, 30))
    content["valid"] = [
        {"group": "agent", "prefixes": ["agent/long-00000"]},
        {"group": "empty", "prefixes": ["empty/long-00000"]},
        {"group": "tools", "prefixes": ["tools/valid-00000"]},
    ]
    path.write_text(json.dumps(content))
    config, _ = resolved(tmp_path, "split_long_conversations=false")
    blend = read_blend(path)
    packed = open_conversations(config, blend, 1)
    assert list(packed.valid) == ["tools"]
    agent, empty, tools = packed.notices[2:]
    assert agent == (
        f"held-out group agent is not evaluated: {tmp_path}/data/agent/long-00000: expected "
        "conversations whose loss counts somewhere and that fit sequence_length (64), found none "
        "in 3 documents"
    )
    assert empty == "held-out group empty is not evaluated: it has no tokens"
    assert tools.startswith("conversations of tools, held out: 26 in ")
    content["train"][0]["prefixes"] = content["valid"][0]["prefixes"]
    content["valid"] = content["valid"][2:]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="expected conversations whose loss counts somewhere"):
        open_conversations(config, read_blend(path), 1)


@pytest.mark.parametrize("first", [0, 300])
def test_a_mask_that_lost_something_on_its_way_is_refused(tmp_path: Path, first: int) -> None:
    """As by a copy that was cut short and whose file has its length all the same."""
    write_masked_blend(tmp_path / "data")
    config, blend = resolved(tmp_path)
    for kind in ("part", "valid"):
        mask = tmp_path / f"data/tools/{kind}-00000_mask.bin"
        whole = mask.read_bytes()
        mask.write_bytes(whole[:first] + bytes(len(whole) - first))
        with pytest.raises(
            ValueError, match=rf"{kind}-00000_mask\.bin: expected a mask that trains"
        ):
            open_conversations(config, blend, 1)
        mask.write_bytes(whole)
    open_conversations(config, blend, 1)


def train_without_a_model(job: Job) -> str:
    """Return what ends a training whose model must not be built."""
    from megatron_recipes import train as training
    from megatron_recipes.stop import StopRequest

    def built(*_: Any, **__: Any) -> Any:
        raise AssertionError("built")

    training.build_model = built
    with pytest.raises((ValueError, AssertionError)) as caught:
        training.train(job, StopRequest(), 1, lambda _: None)
    return str(caught.value)


def test_masks_are_refused_before_a_model_is_built(tmp_path: Path) -> None:
    """On many machines that, and reading its weights, takes long."""
    blend = write_masked_blend(tmp_path / "data")
    prefix = tmp_path / "data/tools/part-00000"
    sidecar = json.loads(Path(f"{prefix}.json").read_text())
    ends = [token == EOD for token in numpy.fromfile(f"{prefix}.bin", numpy.uint16)]
    mask = bytes(
        not (is_end or was_end) for is_end, was_end in zip(ends, [True, *ends[:-1]], strict=True)
    )
    Path(f"{prefix}_mask.bin").write_bytes(mask)
    Path(f"{prefix}.json").write_text(json.dumps({**sidecar, "trained_tokens": sum(mask)}))
    job = small_job(blend, tmp_path / "run", *TUNED)
    [line] = run_world(train_without_a_model, 1, job)
    assert f"{prefix}_mask: expected a mask that trains the assistant's turns, found" in line


CP2 = "context_parallel_size=2"


def losses(job: Job) -> list[float]:
    return [entry["loss"] for entry in entries(job, "step")]


def test_a_resume_at_another_layout_keeps_the_packing(tmp_path: Path) -> None:
    blend = write_masked_blend(tmp_path / "data")
    unbroken = small_job(blend, tmp_path / "unbroken", *TUNED, CP2, "stop_at_step=6")
    train(unbroken)
    first = small_job(blend, tmp_path / "run", *TUNED, CP2, "stop_at_step=3")
    train(first)
    # Rooms of what one process needs would make other sequences.
    assert open_conversations(first.config, first.blend, 1).notices != (
        open_conversations(first.config, first.blend, 4).notices
    )
    second = small_job(blend, tmp_path / "run", *TUNED, "stop_at_step=6")
    train(second)
    assert losses(second) == pytest.approx(losses(unbroken), abs=5e-6)
    assert len(losses(second)) == 6
    checkpoint, _ = second.run.newest_checkpoint()
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.state[MULTIPLE]) == (6, 4)


def test_a_resume_that_would_pack_anew_is_refused(tmp_path: Path) -> None:
    blend = write_masked_blend(tmp_path / "data")
    train(small_job(blend, tmp_path / "run", *TUNED, "stop_at_step=1"))
    job = small_job(blend, tmp_path / "run", *TUNED, CP2, "stop_at_step=2")
    with pytest.raises(AssertionError) as caught:
        train(job)
    assert (
        f"{tmp_path}/run/step_0000001: expected conversations packed in multiples of 4 tokens, "
        "which context_parallel_size (2) needs, found 1: packed anew they would come in another "
        "order; resume with a context_parallel_size that needs no more, or begin another training "
        f"--from {tmp_path}/run/step_0000001"
    ) in str(caught.value)


def test_pre_training_may_be_resumed_at_any_context_parallel_size(tmp_path: Path) -> None:
    blend = write_masked_blend(tmp_path / "data")
    job = small_job(blend, tmp_path / "run", *TUNED, CP2)
    before = {"step": 1, "consumed_samples": 4, "layout": {"context_parallel_size": 1}}
    checkpoint = Checkpoint(path=tmp_path, step=1, consumed_samples=4, state=before)
    whole = apply_settings(
        job.config, ["pack_conversations=false", "document_bounded_attention=false"]
    )
    assert kept_multiple(whole, checkpoint) == 4
    # Of a checkpoint that does not say, rooms are what its layout needed.
    with pytest.raises(ValueError, match=r"in multiples of 4 tokens, .*, found 1:"):
        kept_multiple(job.config, checkpoint)
    before["layout"] = {"context_parallel_size": 4}
    assert kept_multiple(job.config, checkpoint) == 8


def test_a_step_of_a_recipe_that_is_twice_as_hard_does_not_end_its_tuning() -> None:
    for recipe, factor in (("llama3_8b", 2.0), ("llama3_8b_stage3", 4.0)):
        guard = LossGuard(find_recipe(recipe).schedule.loss_spike_factor, [0.5] * 100)
        assert not guard.badness(0.49 * factor, 1.0)
        assert guard.badness(0.55 * factor, 1.0)
