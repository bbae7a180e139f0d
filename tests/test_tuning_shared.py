"""Packed conversations that processes share, on the way that a GPU takes."""

from typing import Any

import pytest
import torch
from forked_world import run_world
from packed_stand_in import install, partitioned_indices
from test_tuning import PACKED, WHOLE, Compared, alone, conversations, packed_steps
from training_world import MadeSequences, build, small

from megatron_recipes.config import TrainingConfig
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import apply_settings

__all__ = ["alone", "conversations"]

CP2 = "context_parallel_size=2"
LAYOUTS = {
    "one process": (),
    "CP2": (CP2,),
    "CP2 TP2 SP": (CP2, "tensor_model_parallel_size=2", "sequence_parallel=true"),
    "CP2 PP2": (CP2, "pipeline_model_parallel_size=2"),
}


def shared_steps(config: TrainingConfig, prefix: str) -> dict[str, Any]:
    install()
    return packed_steps(config, prefix)


@pytest.mark.parametrize("name", LAYOUTS)
def test_packed_sequences_have_the_loss_and_gradients_of_conversations_alone(
    conversations: str, alone: Compared, name: str
) -> None:
    config = small(*PACKED, *WHOLE, *LAYOUTS[name])
    for result in run_world(shared_steps, config.layout.world_size, config, conversations):
        assert result["losses"][0] == pytest.approx(alone.alone / alone.trained_tokens, rel=1e-6)
        norm = alone.norm / alone.trained_tokens
        assert result["grad_norms"][0] == pytest.approx(norm, rel=1e-5)


def batches(config: TrainingConfig, prefix: str) -> list[dict[str, list[int]]]:
    """Return what a process holds of the first two micro batches."""
    from megatron_recipes.data import KEYS, training_batches
    from megatron_recipes.documents import packed_parameters
    from megatron_recipes.tuning.conversations import PackedConversations
    from megatron_recipes.tuning.masked_documents import MaskedDocuments

    install()
    world, _, _ = build(config)
    length = config.batch.sequence_length
    dataset = PackedConversations(MaskedDocuments([prefix]), length, seed=1, document_multiple=4)
    found = []
    for batch in training_batches(dataset, config, world, 0):
        parameters = packed_parameters(batch)
        assert parameters is not None
        bounds = parameters.cu_seqlens_q.tolist()
        found.append({key: batch[key].squeeze(0).tolist() for key in KEYS} | {"bounds": bounds})
    whole = [dataset[index] for index in range(config.batch.global_batch_size)]
    joined = {key: torch.cat([sample[key] for sample in whole]).tolist() for key in KEYS}
    return [*found, joined]


def test_each_process_holds_two_pieces_of_every_document(conversations: str) -> None:
    config = small(*PACKED, CP2, "global_batch_size=4")
    first, second = run_world(batches, 2, config, conversations)
    whole, length = first[-1], 2 * config.batch.sequence_length
    for number, of_both in enumerate(zip(first[:-1], second[:-1], strict=True)):
        bounds = of_both[0]["bounds"]
        assert bounds == of_both[1]["bounds"]
        assert bounds[0] == 0
        assert bounds[-1] == length
        assert config.batch.sequence_length in bounds, "no document lies in two sequences"
        assert len(bounds) > 4
        held = [partitioned_indices(torch.tensor(bounds).int(), length, 2, rank) for rank in (0, 1)]
        assert sorted(torch.cat(held).tolist()) == list(range(length))
        for batch, places in zip(of_both, held, strict=True):
            for key in ("tokens", "labels", "loss_mask", "position_ids"):
                expected = whole[key][number * length : (number + 1) * length]
                assert batch[key] == [expected[place] for place in places.tolist()], key
        # Late tokens look at more: balanced, both look at as much.
        looks = [sum(batch["position_ids"]) for batch in of_both]
        assert abs(looks[0] - looks[1]) <= len(bounds) * 2
    assert sum(sum(batch["loss_mask"]) for of_rank in (first, second) for batch in of_rank[:-1]) > 0


def documents_of_any_length(config: TrainingConfig) -> str:
    from megatron_recipes.data import training_batches

    install()
    world, _, _ = build(config)
    try:
        next(training_batches(MadeSequences(config), config, world, 0))
    except ValueError as error:
        return str(error)
    return ""


def test_documents_of_any_length_are_not_shared_as_packed_sequences() -> None:
    bounded = "document_bounded_attention=true"
    for message in run_world(documents_of_any_length, 2, small(bounded, CP2)):
        assert message.startswith(
            "expected documents in multiples of 4 tokens, which context_parallel_size (2) needs of "
            "packed sequences, found one that ends at token "
        )
    assert run_world(documents_of_any_length, 1, small(bounded)) == [""]


def test_conversations_may_be_shared_on_a_gpu_and_texts_may_not() -> None:
    recipe = find_recipe("llama3_8b_stage3")
    config = apply_settings(recipe, [CP2])
    assert config.layout.context_parallel_size == 2
    with pytest.raises(ValueError, match="documents of any length cannot be shared"):
        apply_settings(config, ["pack_conversations=false"])
