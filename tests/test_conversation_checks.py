"""Masks that train another thing than the assistant's turns are refused; a sample shows what is."""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from test_conversations import packed, write
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from megatron_recipes.conversation_checks import (
    NOTHING_KNOWN,
    Stops,
    check_masks,
    describe_sample,
    read_stops,
)
from megatron_recipes.masked_documents import MaskedDocuments

STOP, PAD, EOD = 8, 9, 7


def documents(directory: Path, pairs: list[tuple[list[int], str]]) -> MaskedDocuments:
    write(directory / "part", numpy.int32, [tokens for tokens, _ in pairs])
    write(directory / "part_mask", numpy.uint8, [[int(bit) for bit in mask] for _, mask in pairs])
    return MaskedDocuments([str(directory / "part")])


def stops(*ids: int, pad: int | None = PAD) -> Stops:
    return Stops(ids=frozenset(ids), pad_id=pad, path=Path("generation_config.json"))


def check(found: MaskedDocuments, ending: Stops) -> list[str]:
    return check_masks(found, ending, eod_id=EOD)


def test_turns_that_end_in_a_stop_token_pass(tmp_path: Path) -> None:
    found = documents(tmp_path, [([1, 2, STOP, 3, 4, STOP, EOD], "0110011"), ([1, 2, EOD], "011")])
    assert check(found, stops(STOP, 99)) == []


def test_a_stop_token_whose_loss_is_masked_is_refused(tmp_path: Path) -> None:
    found = documents(tmp_path, [([1, 2, 3, STOP, EOD], "01100")] * 3)
    message = "stop token to count, found that {} at the end of trained turns are masked"
    with pytest.raises(ValueError, match=message.format("3 of 3")):
        check(found, stops(STOP))
    # One kind of turn that is trained to its end does not make up for the others.
    (tmp_path / "mixed").mkdir()
    mixed = documents(tmp_path / "mixed", [([1, 2, 3, STOP], "0110"), ([1, STOP, EOD], "010")] * 2)
    with pytest.raises(ValueError, match=message.format("2 of 4")):
        check(mixed, stops(STOP))


def test_a_template_without_the_stop_token_is_refused(tmp_path: Path) -> None:
    found = documents(tmp_path, [([1, 2, 3, EOD], "0110")])
    with pytest.raises(
        ValueError, match=r"found none that does \(most end in 3\); use the model's"
    ):
        check(found, stops(STOP))


def test_equal_ids_of_padding_and_end_are_only_a_warning(tmp_path: Path) -> None:
    found = documents(tmp_path, [([1, 2, STOP, EOD], "0110")])
    assert ["9" in line for line in check(found, stops(STOP, PAD))] == [True]
    assert ["7" in line for line in check(found, stops(STOP, pad=EOD))] == [True]
    assert check(found, stops(STOP, pad=None)) == []


def test_unknown_stop_tokens_are_said(tmp_path: Path) -> None:
    found = documents(tmp_path, [([1, 2, 3], "010")])
    [line] = check(found, NOTHING_KNOWN)
    assert "not known" in line


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"generation_config.json": {"eos_token_id": [5, 6]}, "config.json": {}}, {5, 6}),
        ({"generation_config.json": {}, "config.json": {"eos_token_id": 2}}, {2}),
        ({"config.json": {"eos_token_id": None}}, set()),
        ({}, set()),
    ],
)
def test_stop_tokens_come_from_the_models_own_files(
    tmp_path: Path, files: dict[str, Any], expected: set[int]
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert read_stops(tmp_path).ids == expected


def test_files_that_are_no_json_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(ValueError, match=r"config\.json: expected a JSON object"):
        read_stops(tmp_path)


def test_a_sample_shows_what_is_trained(tmp_path: Path) -> None:
    words = ["<s>", "ask", "answer", "end", "more"]
    tokenizer = Tokenizer(WordLevel(dict(zip(words, range(5), strict=True)), unk_token="<s>"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = documents(tmp_path, [([0, 1, 2, 3, 4, 2, 3], "0011011"), ([0, 1, 2], "001")])
    lines = describe_sample(packed(found, 8)[0], tmp_path / "tokenizer.json")
    assert lines == [
        "a sample: 5 of 8 tokens are trained (>)",
        "document at 0:",
        "  | <s> ask",
        "  > answer end",
        "  | more",
        "  > answer end",
        "document at 6:",
        "  | <s> ask",
        "  > answer",
    ]
    assert "  > 2 3" in describe_sample(packed(found, 8)[0], None)
