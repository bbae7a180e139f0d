"""Packing: against first-fit decreasing one document at a time."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_recipes.tuning.packing import pack


def one_at_a_time(lengths: list[int], sequence_length: int) -> list[list[int]]:
    free: list[int] = []
    packed: list[list[int]] = []
    for document in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        fitting = (number for number, room in enumerate(free) if room >= lengths[document])
        sequence = next(fitting, len(free))
        if sequence == len(free):
            free.append(sequence_length)
            packed.append([])
        free[sequence] -= lengths[document]
        packed[sequence].append(document)
    return packed


@given(st.lists(st.integers(1, 40), max_size=200), st.integers(40, 100))
def test_it_is_first_fit_decreasing(lengths: list[int], sequence_length: int) -> None:
    packing = pack(numpy.array(lengths, numpy.int64), sequence_length)
    found = [packing[number].tolist() for number in range(len(packing))]
    assert found == one_at_a_time(lengths, sequence_length)


@given(st.lists(st.integers(1, 61), min_size=1, max_size=100))
def test_every_document_has_room_rounded_up(lengths: list[int]) -> None:
    packing = pack(numpy.array(lengths, numpy.int64), 64, multiple=4)
    assert sorted(packing.documents.tolist()) == list(range(len(lengths)))
    for number in range(len(packing)):
        room = [-(-lengths[document] // 4) * 4 for document in packing[number].tolist()]
        assert sum(room) <= 64
    assert packing.fill_rate == pytest.approx(sum(lengths) / (len(packing) * 64))


def test_a_large_set_fills_its_sequences() -> None:
    generator = numpy.random.default_rng(7)
    lengths = numpy.clip(generator.lognormal(6.0, 0.9, 200_000).astype(numpy.int64), 1, 8192)
    packing = pack(lengths, 8192)
    assert packing.fill_rate > 0.999
    assert len(packing.documents) == len(lengths)


def test_a_document_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 8 tokens can be packed, found lengths from 2 to 9"):
        pack(numpy.array([2, 9]), 8)
    with pytest.raises(ValueError, match="from 0 to 3"):
        pack(numpy.array([0, 3]), 8)


def test_a_sequence_of_another_multiple_than_its_rooms_is_refused() -> None:
    # Else a document as long as it would have more room than there is.
    with pytest.raises(ValueError, match=r"in multiples of 4 need .* not of 30 tokens"):
        pack(numpy.array([30]), 30, multiple=4)


def test_no_documents_make_no_sequences() -> None:
    packing = pack(numpy.empty(0, numpy.int64), 8)
    assert len(packing) == 0
    assert packing.fill_rate == 0
