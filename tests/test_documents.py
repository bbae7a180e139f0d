"""Document-bounded attention: bounds are the index's, and no gradient crosses one."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_world import run_world
from training_world import MadeSequences, build, small

from megatron_recipes.config import TrainingConfig

BOUNDED = ("document_bounded_attention=true",)
LENGTH = 64
CUTS = ((20, 37), (41,))
"""Where documents begin inside the two sequences of a micro batch, none at a chunk of CP2."""


class TwoSequences(MadeSequences):
    """The same two sequences with the same documents, again and again."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        cuts = CUTS[index % 2]
        bounds = torch.full((LENGTH + 1,), LENGTH, dtype=torch.int32)
        bounds[: len(cuts) + 1] = torch.tensor([0, *cuts])
        return super().__getitem__(index) | {"cu_seqlens": bounds}


def embedding_gradients(
    config: TrainingConfig, sequence: int, low: int, high: int
) -> tuple[list[int], torch.Tensor, float]:
    """The gradients of one document's loss at the embeddings of both sequences.

    Returns the positions this process holds, the largest gradient at each, `[2, positions]`, and
    the loss.
    """
    from megatron.core import parallel_state

    from megatron_recipes.attention import held_positions
    from megatron_recipes.data import training_batches
    from megatron_recipes.documents import packed_parameters

    world, chunks, _ = build(config)
    model = chunks[0].module
    embeddings = []
    model.embedding.register_forward_hook(
        lambda _module, _inputs, output: embeddings.append(output) or output.retain_grad()
    )
    batch = next(training_batches(TwoSequences(config), config, world, 0))
    losses = model(
        batch["tokens"],
        batch["position_ids"],
        batch.get("attention_mask"),
        labels=batch["labels"],
        packed_seq_params=packed_parameters(batch),
    )
    size = parallel_state.get_context_parallel_world_size()
    rank = parallel_state.get_context_parallel_rank()
    positions = held_positions(LENGTH, rank, size) if size > 1 else torch.arange(LENGTH)
    loss = losses[sequence, (positions >= low) & (positions < high)].sum()
    loss.backward()
    found = embeddings[0].grad.abs().amax(dim=2).T  # [2, positions]
    return positions.tolist(), found, loss.item()


def gradients(*settings: str, document: tuple[int, int, int]) -> tuple[torch.Tensor, float]:
    """The largest gradient at each token, `[2, 64]`, and the loss of the document."""
    config = small(*settings, "global_batch_size=2")
    whole, total = torch.full((2, LENGTH), float("nan")), 0.0
    for positions, found, loss in run_world(
        embedding_gradients, config.layout.world_size, config, *document
    ):
        whole[:, positions] = found
        total += loss
    return whole, total


@pytest.mark.parametrize("settings", [(), ("context_parallel_size=2",)], ids=["CP1", "CP2"])
@pytest.mark.parametrize("document", [(0, 20, 37), (1, 41, 64)], ids=["middle", "last"])
def test_no_gradient_crosses_a_document(
    settings: tuple[str, ...], document: tuple[int, int, int]
) -> None:
    sequence, low, high = document
    found, _ = gradients(*BOUNDED, *settings, document=document)
    inside = torch.zeros(2, LENGTH, dtype=torch.bool)
    inside[sequence, low:high] = True
    assert (found[inside] > 0).all()
    assert (found[~inside] == 0).all()


def test_without_the_option_gradients_do_cross() -> None:
    found, _ = gradients(document=(0, 20, 37))
    assert (found[0, :37] > 0).all()
    assert (found[0, 37:] == 0).all()


def loss_of_document_alone(config: TrainingConfig, sequence: int, low: int, high: int) -> float:
    _, chunks, _ = build(config)
    item = TwoSequences(config)[sequence]
    losses = chunks[0].module(
        item["tokens"][None, low:high],
        torch.arange(high - low)[None],
        None,
        labels=item["labels"][None, low:high],
    )
    return float(losses.sum())


def test_document_has_the_loss_it_has_as_a_sequence_of_its_own() -> None:
    # Positions restart in one and go on in the other: rotary attention sees differences alone.
    document = (0, 20, 37)
    _, bounded = gradients(*BOUNDED, document=document)
    alone = run_world(loss_of_document_alone, 1, small(*BOUNDED), *document)[0]
    assert bounded == pytest.approx(alone, abs=2e-5)


def sequences_of_index(prefix: str, num_samples: int) -> list[dict[str, list[int]]]:
    """What the product's dataset gives, each sequence as lists."""
    from megatron_recipes.blend import read_blend
    from megatron_recipes.data import build_datasets
    from megatron_recipes.world import join_world

    config = small(*BOUNDED, f"num_steps={num_samples // 8}")
    join_world(config.layout, 1)
    blend = read_blend(Path(prefix))
    train = build_datasets(config, blend, Path(prefix).parent / "cache").train
    return [
        {key: train[index][key].tolist() for key in ("tokens", "cu_seqlens", "position_ids")}
        for index in range(num_samples)
    ]


def test_bounds_are_those_of_the_index_and_not_where_a_token_has_a_value(tmp_path: Path) -> None:
    # Documents of 7 to 90 tokens without an end-of-document token, whose value is inside of some.
    from blend_files import EOD, write_documents

    lengths = [7 + 13 * number % 84 for number in range(60)]
    documents = [[100 + number] + [EOD] * (length - 1) for number, length in enumerate(lengths)]
    write_documents(tmp_path / "part-00000", documents)
    blend = tmp_path / "blend.json"
    entry = {"group": "text", "weight": 1.0, "prefixes": ["part-00000"]}
    blend.write_text(json.dumps({"train": [entry], "valid": [], "test": []}))
    sequences = run_world(sequences_of_index, 1, str(blend), 24)[0]
    assert len(sequences) == 24
    for sequence in sequences:
        tokens, bounds = sequence["tokens"], sequence["cu_seqlens"]
        inner = bounds[1 : bounds.index(LENGTH)]
        assert inner == [place for place in range(1, LENGTH) if tokens[place] != EOD]
        starts = [0, *inner, LENGTH]
        restarting = [place for a, b in itertools.pairwise(starts) for place in range(b - a)]
        assert sequence["position_ids"] == restarting
    assert sum(sequence["cu_seqlens"].index(LENGTH) for sequence in sequences) > 40


def packed() -> tuple[dict[str, list[Any]], int]:
    from megatron_recipes.documents import packed_parameters, with_bounds

    tokens = torch.arange(8).view(2, 4)
    bounds = torch.tensor([[0, 1, 4, 4, 4], [0, 4, 4, 4, 4]], dtype=torch.int32)
    batch = {"tokens": tokens, "cu_seqlens": bounds, "max_seqlen": torch.tensor([3, 4])}
    made = with_bounds(batch, 1, packs=True)
    parameters = packed_parameters(made)
    assert parameters is not None
    assert parameters.cu_seqlens_q is parameters.cu_seqlens_kv
    lists = {"tokens": made["tokens"].tolist(), "bounds": parameters.cu_seqlens_q.tolist()}
    return lists, parameters.max_seqlen_q


def test_sequences_of_a_micro_batch_are_packed_into_one_with_all_bounds() -> None:
    assert run_world(packed, 1) == [
        ({"tokens": [[0, 1, 2, 3, 4, 5, 6, 7]], "bounds": [0, 1, 4, 8]}, 4)
    ]
