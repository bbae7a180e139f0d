"""Packed conversations: which tokens are trained, and that nothing else is."""

from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

from megatron_recipes.tuning import masked_documents
from megatron_recipes.tuning.conversations import MixedConversations, PackedConversations
from megatron_recipes.tuning.masked_documents import MaskedDocuments
from megatron_recipes.tuning.pieces import find_pieces


def write(prefix: Path, dtype: Any, documents: list[Any]) -> None:
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype)
    for document in documents:
        builder.add_document(numpy.array(document, dtype), [len(document)])
    builder.finalize(f"{prefix}.idx")


def masked(directory: Path, masks: list[str]) -> tuple[MaskedDocuments, list[list[int]]]:
    """Write a document for each mask; the tokens of document d are 1000 d + 1, 1000 d + 2, ..."""
    tokens = [[1000 * d + i + 1 for i in range(len(mask))] for d, mask in enumerate(masks)]
    write(directory / "part", numpy.int32, tokens)
    write(directory / "part_mask", numpy.uint8, [[int(bit) for bit in mask] for mask in masks])
    return MaskedDocuments([str(directory / "part")]), tokens


def packed(
    documents: MaskedDocuments,
    sequence_length: int,
    *,
    multiple: int = 1,
    samples: int | None = None,
) -> PackedConversations:
    return PackedConversations(
        documents, sequence_length, seed=3, document_multiple=multiple, num_samples=samples
    )


def trained(dataset: PackedConversations) -> list[tuple[int, int]]:
    """Return the pairs of input and label whose loss counts."""
    pairs = []
    for index in range(len(dataset)):
        sample = dataset[index]
        counts = sample["loss_mask"] == 1
        pairs += list(
            zip(sample["tokens"][counts].tolist(), sample["labels"][counts].tolist(), strict=True)
        )
    return sorted(pairs)


def test_exactly_the_tokens_of_the_mask_are_labels(tmp_path: Path) -> None:
    documents, _ = masked(tmp_path, ["0011001", "011", "00111100"])
    expected = [(2, 3), (3, 4), (6, 7), (1001, 1002), (1002, 1003)]
    expected += [(2000 + i, 2001 + i) for i in (2, 3, 4, 5)]
    assert trained(packed(documents, 16)) == expected


def test_documents_bound_attention_and_positions_begin_anew(tmp_path: Path) -> None:
    documents, _ = masked(tmp_path, ["00111", "011", "0111"])
    dataset = packed(documents, 12, multiple=2)
    assert len(dataset) == 1
    sample = dataset[0]
    assert sample["tokens"].tolist() == [1, 2, 3, 4, 2001, 2002, 2003, 0, 1001, 1002, 0, 0]
    assert sample["cu_seqlens"].tolist() == [0, 4, 8, 10] + [12] * 9
    assert sample["max_seqlen"] == 4
    assert sample["position_ids"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 0, 1]
    assert sample["loss_mask"].tolist() == [0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0]


def test_a_long_conversation_is_cut_behind_turns_and_loses_only_what_cannot_fit(
    tmp_path: Path,
) -> None:
    documents, _ = masked(tmp_path, ["0011001100000000110001"])
    pieces = find_pieces(documents, 8, splits_long=True)
    found = list(zip(pieces.starts.tolist(), pieces.lengths.tolist(), strict=True))
    assert found == [(0, 8), (18, 4)]
    assert (pieces.num_split, pieces.num_dropped) == (1, 0)
    assert (pieces.trained_tokens, pieces.dropped_tokens) == (5, 2)
    dropped = find_pieces(documents, 8, splits_long=False)
    assert (len(dropped.documents), dropped.num_dropped, dropped.dropped_tokens) == (0, 1, 7)


@given(
    st.lists(st.text("01", min_size=2, max_size=40), min_size=1, max_size=20),
    st.integers(8, 32),
    st.sampled_from([1, 2, 4]),
)
def test_no_token_is_trained_twice_and_all_are_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, masks: list[str], sequence_length: int, multiple: int
) -> None:
    sequence_length -= sequence_length % multiple
    masks = [*masks, "01"]
    documents, tokens = masked(tmp_path_factory.mktemp("c"), masks)
    dataset = packed(documents, sequence_length, multiple=multiple)
    labels = [label for _, label in trained(dataset)]
    counted = [
        token
        for document, mask in zip(tokens, masks, strict=True)
        for token, bit in zip(document, mask, strict=True)
        if bit == "1"
    ]
    assert len(labels) == len(set(labels)) == dataset.pieces.trained_tokens
    assert set(labels) <= set(counted)
    assert len(counted) - len(labels) == dataset.pieces.dropped_tokens
    assert all(token + 1 == label for token, label in trained(dataset))


def test_every_epoch_shows_all_sequences_in_another_order(tmp_path: Path) -> None:
    documents, _ = masked(tmp_path, ["01" * 4 for _ in range(20)])
    dataset = packed(documents, 7, samples=60)
    assert len(dataset) == 60
    epochs = [[dataset.sequence_of(20 * epoch + i) for i in range(20)] for epoch in range(3)]
    assert all(sorted(order) == list(range(20)) for order in epochs)
    assert len({tuple(order) for order in epochs}) == 3
    again = packed(documents, 7, samples=60)
    assert [again.sequence_of(i) for i in (59, 0, 30)] == [
        epochs[2][19],
        epochs[0][0],
        epochs[1][10],
    ]


def test_masks_of_other_documents_and_masks_without_loss_are_refused(tmp_path: Path) -> None:
    documents, _ = masked(tmp_path, ["0000", "000000000000011"])
    with pytest.raises(ValueError, match=r"expected conversations whose loss counts somewhere"):
        packed(documents, 8)
    write(tmp_path / "part_mask", numpy.uint8, [[1, 1]])
    with pytest.raises(ValueError, match=r"part_mask\.idx: expected a mask of the same documents"):
        MaskedDocuments([str(tmp_path / "part")])


def test_a_mask_file_of_another_length_is_refused(tmp_path: Path) -> None:
    masked(tmp_path, ["0011", "011"])
    path = tmp_path / "part_mask.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"part_mask\.bin: expected 7 bytes, .* found 6"):
        MaskedDocuments([str(tmp_path / "part")])


@given(st.lists(st.text("01", max_size=9), min_size=1, max_size=30), st.integers(1, 40))
def test_masks_are_summed_whatever_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, masks: list[str], block: int
) -> None:
    documents, _ = masked(tmp_path_factory.mktemp("c"), [*masks, "1"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masked_documents, "BLOCK_TOKENS", block)
        assert documents.trained_tokens.tolist() == [each.count("1") for each in [*masks, "1"]]
    assert documents.counting_starts().tolist() == [int(each[:1] == "1") for each in [*masks, "1"]]


def test_groups_are_interleaved_by_weight(tmp_path: Path) -> None:
    parts = []
    for name, letter in (("a", "011"), ("b", "0111")):
        (tmp_path / name).mkdir()
        documents, _ = masked(tmp_path / name, [letter] * 5)
        parts.append(packed(documents, 3, samples=100))
    mixed = MixedConversations(parts, [0.3, 0.7], 100)
    trained_tokens = [int(mixed[index]["loss_mask"].sum()) for index in range(100)]
    assert [trained_tokens[:n].count(2) for n in (10, 50, 100)] == [3, 15, 30]


def test_documents_of_several_prefixes_are_numbered_through(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    masked(tmp_path / "a", ["01", "011"])
    masked(tmp_path / "b", ["0111"])
    documents = MaskedDocuments([str(tmp_path / "a/part"), str(tmp_path / "b/part")])
    assert documents.lengths.tolist() == [2, 3, 4]
    assert [documents.place(number) for number in range(3)] == [(0, 0), (0, 1), (1, 0)]
    assert documents.tokens(2, 1, 2).tolist() == [2, 3]
    assert documents.mask(1).tolist() == [0, 1, 1]
    assert len(packed(documents, 6)) == 1
