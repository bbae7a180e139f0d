"""Instruction tuning: packed conversations train what each would train alone, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest
from blend_files import EOD, write_masked_blend
from forked_world import run_world
from test_training import command, losses, run, training
from training_world import build, small, step_through

from megatron_recipes.config import TrainingConfig

WHOLE = ("micro_batch_size=2", "global_batch_size=48")
"""A step over all conversations that `write_masked_blend` makes."""
PACKED = ("document_bounded_attention=true", "pack_conversations=true")


def gradients_of(chunks: list[Any]) -> dict[str, Any]:
    return {
        name: parameter.main_grad.detach().double().clone()
        for name, parameter in chunks[0].module.named_parameters()
    }


class Compared(NamedTuple):
    """Conversations packed, and each alone: on one process, without a step."""

    together: float
    """Summed loss."""

    alone: float

    difference: float
    """The largest of a gradient over the largest gradient of its parameter."""

    trained_tokens: int

    norm: float
    """Of the summed gradients of each alone."""


def packed_against_alone(config: TrainingConfig, prefix: str) -> Compared:
    import torch

    from megatron_recipes.documents import document_mask
    from megatron_recipes.tuning.conversations import PackedConversations
    from megatron_recipes.tuning.masked_documents import MaskedDocuments

    _, chunks, _ = build(config)
    model = chunks[0]
    documents = MaskedDocuments([prefix])
    packed = PackedConversations(documents, config.batch.sequence_length, seed=1)
    assert len(packed) < len(documents)

    def summed(samples: list[dict[str, Any]], *, bounded: bool) -> float:
        model.zero_grad_buffer()
        total = 0.0
        for sample in samples:
            mask = document_mask(sample["cu_seqlens"][None], 1) if bounded else None
            losses = model(
                sample["tokens"][None],
                sample["position_ids"][None],
                mask,
                labels=sample["labels"][None],
            )
            loss = (losses * sample["loss_mask"]).sum()
            loss.backward()
            total += float(loss.detach())
        return total

    together = summed([packed[index] for index in range(len(packed))], bounded=True)
    found = gradients_of(chunks)
    singles = []
    for number in range(len(documents)):
        tokens = torch.tensor(documents.tokens(number).astype(numpy.int64))
        mask = torch.tensor(documents.mask(number).astype(numpy.float32))
        singles.append(
            {
                "tokens": tokens[:-1],
                "labels": tokens[1:],
                "loss_mask": mask[1:],
                "position_ids": torch.arange(len(tokens) - 1),
            }
        )
    alone = summed(singles, bounded=False)
    differences = [
        float((found[name] - gradient).abs().max() / gradient.abs().max())
        for name, gradient in gradients_of(chunks).items()
    ]
    return Compared(
        together=together,
        alone=alone,
        difference=max(differences),
        trained_tokens=packed.pieces.trained_tokens,
        norm=sum(float(each.square().sum()) for each in gradients_of(chunks).values()) ** 0.5,
    )


def packed_steps(config: TrainingConfig, prefix: str) -> dict[str, Any]:
    """Return losses and gradient norms of two steps, each over all conversations once."""
    world, chunks, optimizer = build(config)
    from megatron_recipes.data import training_batches
    from megatron_recipes.tuning.conversations import PackedConversations
    from megatron_recipes.tuning.masked_documents import MaskedDocuments

    length, count = config.batch.sequence_length, config.batch.global_batch_size
    # Room in multiples of what two processes need, so that every layout packs the same.
    one = PackedConversations(MaskedDocuments([prefix]), length, seed=1, document_multiple=4)
    assert len(one) <= count
    # All of those are read by the second of two replicas, which has fewer tokens to train.
    order = numpy.argsort(numpy.argsort(numpy.arange(count) // 2 % 2, kind="stable")).tolist()

    class Repeated:
        def __len__(self) -> int:
            return 2 * count

        def __getitem__(self, index: int) -> Any:
            place = order[index % count]  # what is missing to a whole batch does not count
            if place < len(one):
                return one[place]
            return {**one[0], "loss_mask": one[0]["loss_mask"] * 0}

    mine = training_batches(Repeated(), config, world, 0)
    trained = sum(int(batch["loss_mask"].sum()) for batch in mine)
    result = step_through(config, world, chunks, optimizer, 2, Repeated())
    return {**result, "trained": trained}


LAYOUTS = {
    "CP2": ("context_parallel_size=2",),
    "TP2 SP": ("tensor_model_parallel_size=2", "sequence_parallel=true"),
    "DP2": ("data_parallel_size=2",),
}


@pytest.fixture(scope="module")
def conversations(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The prefix of masked conversations."""
    directory = tmp_path_factory.mktemp("conversations")
    write_masked_blend(directory, vocab_size=512)
    return str(directory / "agent/part-00000")


@pytest.fixture(scope="module")
def alone(conversations: str) -> Compared:
    config = small(*PACKED, "micro_batch_size=1")
    return run_world(packed_against_alone, 1, config, conversations)[0]


@pytest.fixture(scope="module")
def one_process(conversations: str) -> dict[str, Any]:
    return run_world(packed_steps, 1, small(*PACKED, *WHOLE), conversations)[0]


def test_packed_conversations_have_the_loss_and_gradients_of_each_alone(alone: Compared) -> None:
    assert alone.together == pytest.approx(alone.alone, rel=1e-5)
    assert alone.difference < 1e-5


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_have_the_loss_and_gradients_of_conversations_alone(
    conversations: str, alone: Compared, one_process: dict[str, Any], name: str
) -> None:
    config = small(*PACKED, *WHOLE, *LAYOUTS[name])
    found = run_world(packed_steps, 2, config, conversations)
    assert one_process["trained"] == alone.trained_tokens
    for result in found:
        # Per token over all processes: not the mean of the processes' means.
        assert result["losses"][0] == pytest.approx(alone.alone / alone.trained_tokens, rel=1e-6)
        norm = alone.norm / alone.trained_tokens
        assert result["grad_norms"][0] == pytest.approx(norm, rel=1e-5)
        assert result["losses"] == pytest.approx(one_process["losses"], rel=1e-6)
        assert result["grad_norms"] == pytest.approx(one_process["grad_norms"], rel=1e-5)
    if name == "DP2":
        first, second = (result["trained"] for result in found)
        assert first + second == alone.trained_tokens
        assert abs(first - second) > 0.05 * alone.trained_tokens, "as uneven as conversations are"


def test_a_model_is_tuned_and_resumes(tmp_path: Path) -> None:
    blend = write_masked_blend(tmp_path / "data", vocab_size=300)
    settings = [*PACKED, "sequence_length=128", "num_steps=6", "lr_warmup_steps=1", "max_epochs=50"]
    unbroken = run(training(blend, tmp_path / "unbroken", *settings))
    assert unbroken.returncode == 0, unbroken.stderr
    first = run(training(blend, tmp_path / "run", *settings, "stop_at_step=3"))
    assert first.returncode == 0, first.stderr
    lines = first.stderr.splitlines()
    [agent] = [line for line in lines if line.startswith("conversations of agent: ")]
    said = re.search(r": 60 in (\d+) sequences, read [\d.]+ times, filled ([\d.]+)%", agent)
    assert said is not None
    sidecar = json.loads((tmp_path / "data/agent/part-00000.json").read_text())
    inputs = sidecar["tokens"] - sidecar["documents"]
    assert float(said[2]) == pytest.approx(100 * inputs / (128 * int(said[1])), abs=0.05)
    assert float(said[2]) > 90
    assert any(line.startswith("a sample: ") for line in lines)
    assert any("stop tokens are not known" in line for line in lines)
    second = run(training(blend, tmp_path / "run", *settings))
    assert second.returncode == 0, second.stderr
    assert not any(line.startswith("a sample: ") for line in second.stderr.splitlines())
    found = losses(tmp_path / "run")
    assert found == losses(tmp_path / "unbroken"), "to the bit"
    steps = [loss for kind, _, _, loss in found if kind == "step"]
    assert len(steps) == 6
    assert steps[-1] < steps[0]


def test_masks_are_neither_ignored_nor_missing(tmp_path: Path) -> None:
    blend = write_masked_blend(tmp_path / "data", vocab_size=300)
    ignored = run(command("show", "tiny", "--blend", str(blend)))
    assert ignored.returncode == 1
    assert "found a mask that trains" in ignored.stderr
    assert "pack_conversations=true" in ignored.stderr
    sidecar = tmp_path / "data/agent/part-00000.json"
    content = json.loads(sidecar.read_text())
    for trained, message in (
        (None, "found a dataset without"),
        (content["tokens"], "trains all of"),
    ):
        changed = {**content, "trained_tokens": trained}
        sidecar.write_text(json.dumps({k: v for k, v in changed.items() if v is not None}))
        settings = [word for setting in PACKED for word in ("--set", setting)]
        refused = run(command("show", "tiny", "--blend", str(blend), *settings))
        assert refused.returncode == 1
        assert message in refused.stderr


def test_packing_needs_bounded_attention() -> None:
    refused = run(command("show", "tiny", "--set", "pack_conversations=true"))
    assert refused.returncode == 2
    assert "pack_conversations (true) needs document_bounded_attention (false)" in refused.stderr
    useless = run(command("show", "tiny", "--set", "split_long_conversations=false"))
    assert useless.returncode == 2
    assert "split_long_conversations (false) has no effect" in useless.stderr


def test_conversations_end_in_their_own_tokens(tmp_path: Path) -> None:
    write_masked_blend(tmp_path, vocab_size=300)
    from megatron_recipes.tuning.masked_documents import MaskedDocuments

    documents = MaskedDocuments([str(tmp_path / "agent/part-00000")])
    assert all(documents.tokens(number)[-1] == EOD for number in range(len(documents)))
