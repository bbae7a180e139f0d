"""Masks that train another thing than the assistant's turns are refused; a sample shows what is."""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from test_conversations import packed, write
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

from megatron_recipes.tuning import mask_survey
from megatron_recipes.tuning.checks import check_masks
from megatron_recipes.tuning.mask_survey import survey_parts
from megatron_recipes.tuning.masked_documents import MaskedDocuments
from megatron_recipes.tuning.sample import describe_sample
from megatron_recipes.tuning.stop_tokens import NOTHING_KNOWN, Stops, read_stops
from megatron_recipes.tuning.words import Words

STOP, PAD, EOD, EOT, LINE = 8, 9, 7, 6, 30
HEADER, ANSWER = [1, 2, 3, 4], [1, 2, 5, 4]
"""What a template writes in front of a question, and of an answer."""

type Masked = tuple[list[int], str]
"""Tokens, and for each whether it counts."""


def join(*parts: Masked) -> Masked:
    tokens = [token for part, _ in parts for token in part]
    return tokens, "".join(mask for _, mask in parts)


def ask(number: int) -> Masked:
    """Return a question that nobody else asks, and the header of its answer."""
    asked = [1000 + 10 * number + place for place in range(6)]
    return [*HEADER, *asked, STOP, *ANSWER], "0" * 15


def say(number: int, *end: int, counts: str = "", behind: Sequence[int] = (EOD,)) -> Masked:
    """Return an answer with its end, and what stands masked behind it."""
    tokens = [500 + number % 400, 501 + number % 400, *end]
    counts = counts or "1" * len(tokens)
    return [*tokens, *behind], counts + "0" * len(behind)


def conversations(count: int, *end: int, **more: Any) -> list[Masked]:
    return [join(ask(number), say(number, *end, **more)) for number in range(count)]


def documents(directory: Path, *parts: list[Masked]) -> MaskedDocuments:
    """Write each list of documents as a part of its own: part0, part1, ..."""
    for number, pairs in enumerate(parts):
        prefix = directory / f"part{number}"
        write(prefix, numpy.int32, [tokens for tokens, _ in pairs])
        masks = [[int(bit) for bit in mask] for _, mask in pairs]
        write(Path(f"{prefix}_mask"), numpy.uint8, masks)
    return MaskedDocuments([str(directory / f"part{number}") for number in range(len(parts))])


def stops(*ids: int, pad: int | None = PAD) -> Stops:
    return Stops(ids=frozenset(ids), pad_id=pad, path=Path("hf/generation_config.json"))


def check(found: MaskedDocuments, ending: Stops, directory: Path | None = None) -> list[str]:
    return check_masks(found, ending, eod_id=EOD, words=Words(directory))


def refusal(found: MaskedDocuments, ending: Stops, directory: Path | None = None) -> str:
    with pytest.raises(ValueError, match=r"_mask: expected ") as caught:
        check(found, ending, directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def save_tokenizer(directory: Path) -> Path:
    words = ["<s>", "ask", "answer", "end", "more", "five", "<|eot|>", "<|eod|>"]
    tokenizer = Tokenizer(WordLevel(dict(zip(words, range(8), strict=True)), unk_token="<s>"))
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in words[6:]])
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def test_turns_that_end_in_a_stop_token_pass(tmp_path: Path) -> None:
    two = [join(ask(n), say(n, STOP, behind=()), ask(n + 50), say(n, STOP)) for n in range(40)]
    found = documents(tmp_path, two, [join(ask(3), say(3, EOD, behind=()))])
    assert check(found, stops(STOP, EOD, 99)) == []


def test_a_stop_token_whose_loss_is_masked_is_refused(tmp_path: Path) -> None:
    untrained = conversations(3, STOP, counts="110")
    said = "stop token to count, found that {} at the end of trained turns are masked"
    assert said.format("3 of 3") in refusal(documents(tmp_path, untrained), stops(STOP))
    # One kind of turn that is trained to its end does not make up for the others.
    mixed = untrained + conversations(3, STOP)
    assert said.format("3 of 6") in refusal(documents(tmp_path, mixed), stops(STOP))


def test_a_bad_part_is_found_among_good_ones(tmp_path: Path) -> None:
    good, ending = conversations(300, STOP), stops(STOP)
    untrained = conversations(3, STOP, counts="110")
    for bad, said in (
        (untrained, "of the stop token to count, found that 3 of 3"),
        (conversations(40, EOT), "end in a stop token of the model, [8] ("),
        (conversations(39, EOT) + conversations(1, STOP), "found 1 of 40 that do; 39 end in 6"),
        (conversations(39, EOT) + untrained[:1], "found 0 of 40 that do; 39 end in 6"),
        (
            [join(ask(1), say(1, STOP))] + [(tokens, "1" * 18 + "0") for tokens, _ in good[:5]],
            "5 of",
        ),
    ):
        line = refusal(documents(tmp_path, good, bad, good), ending)
        assert line.startswith(f"{tmp_path}/part1_mask: expected ")
        assert said in line


def test_turns_that_end_otherwise_now_and_then_are_told_with_their_share(tmp_path: Path) -> None:
    cut = conversations(2, behind=())
    for number_good, expected in ((30, 1), (198, 0)):  # 6.3 %, and 1.0 %
        good = conversations(number_good, STOP)
        lines = check(documents(tmp_path, good, good + cut), stops(STOP))
        assert len(lines) == expected
    lines = check(documents(tmp_path, cut + good[:98], cut + good[:30]), stops(STOP))
    assert len(lines) == 1
    assert lines[0].startswith(f"{tmp_path}/part1_mask: 6.2% of 32 trained turns looked at end in ")
    assert "(as in 1 other parts, fewer), mostly in 50" in lines[0]


def test_a_base_model_s_end_of_documents_is_no_masked_stop_token(tmp_path: Path) -> None:
    """As Llama 3.1's: it stops at the token that `tokenize` appends, masked behind <|eot_id|>."""
    found = documents(tmp_path, conversations(20, EOT))
    line = refusal(found, stops(EOD), save_tokenizer(tmp_path))
    assert "is masked" not in line
    assert "marks the end" not in line
    assert (
        "in a stop token of the model, [7] (hf/generation_config.json), found 0 of 20 that do; 20 "
        "end in 6 ('<|eot|>'), which hf/generation_config.json does not name: add it to "
        "eos_token_id there if the tuned model shall stop at it, or use the chat template"
    ) in line
    assert "20 end in 6, which" in refusal(found, stops(EOD))  # where no tokenizer is known
    assert check(found, stops(EOD, EOT)) == []


def test_a_masked_end_behind_text_is_said_to_be_masked(tmp_path: Path) -> None:
    """Inside documents the token that ends them is an end of turn, as in Mistral's format."""
    turns = [join(ask(n), say(n, EOD, counts="110"), ask(n + 50), say(n, EOD)) for n in range(20)]
    line = refusal(documents(tmp_path, turns), stops(EOD))
    assert "found that 20 of 40 at the end of trained turns are masked" in line
    # At the end of documents it may be the document's: what turns end in tells.
    line = refusal(documents(tmp_path, conversations(20)), stops(EOD))
    assert "they end in no token of their own (the commonest last one, 501, ends 1); the" in line
    assert "the end of the document is masked behind 20 of them; tokenize with a templ" in line
    same = [join(ask(number), ([7000, 5, EOD], "110")) for number in range(20)]  # as `}` of calls
    line = refusal(documents(tmp_path, same), stops(EOD), save_tokenizer(tmp_path))
    assert "they end in no token of their own (the commonest last one, 5 ('five'), ends 20)" in line


def test_a_template_without_the_stop_token_is_refused(tmp_path: Path) -> None:
    found = documents(tmp_path, conversations(5))
    assert "found 0 of 5 that do; they end in no token of their own" in refusal(found, stops(STOP))
    none = documents(tmp_path, [(tokens, "0" * len(tokens)) for tokens, _ in conversations(5)])
    assert "found 0 of 0 that do; nothing is trained in the" in refusal(none, stops(STOP))


def spoken(number: int, header: str) -> Masked:
    """Return a conversation in which what both say is trained; masks are of ids 1 to 4."""
    asked, said = [1000 + number, 1001 + number, STOP], [500 + number, STOP]
    tokens = [0, *HEADER, *asked, *ANSWER, *said, LINE, EOD]
    return tokens, f"0{header}111{header}1100"


@pytest.mark.parametrize("header", ["1111", "0000"])
def test_masks_that_train_whoever_speaks_are_refused(tmp_path: Path, header: str) -> None:
    good, bad = conversations(300, STOP), [spoken(number, header) for number in range(30)]
    found = documents(tmp_path, good, bad + good[:20], good)
    (tmp_path / "manifest.json").write_text('{"config": {"train_roles": ["assistant", "tool"]}}')
    for ending in (stops(STOP), NOTHING_KNOWN):
        line = refusal(found, ending)
        assert line.startswith(
            f"{tmp_path}/part1_mask: expected a mask that trains the assistant's"
        )
        assert "found that 30 of 50 documents mask nothing that anybody says, only " in line
        shown = "only single tokens;" if header == "1111" else "'1 2 5 4'"
        assert shown in line
        trained = (13 if header == "1111" else 5) * 30 + 20 * 3
        assert f"{trained:,} of {16 * 30 + 19 * 20:,} tokens looked at are trained;" in line
        assert "{% generation %} stands around the assistant's turns alone" in line


def test_short_questions_that_many_ask_in_a_template_of_its_own_are_only_told(
    tmp_path: Path,
) -> None:
    """As in Mistral's format, where the end of a question is no end of an answer."""
    game = join(([0, 1, 700, 4], "0000"), say(1, STOP, behind=()), ([1, 701, 4], "000"))
    good = [join(game, say(number, STOP, behind=())) for number in range(60)]
    found = documents(tmp_path, good, good, good)
    config = {"train_roles": ["assistant"], "chat_template": "mistral_v3"}
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"config": config | {"chat_template_sha256": None}}))
    [line] = check(found, stops(STOP))
    assert "60 of 60 documents mask nothing that anybody says, only '0 1 700 4', '1 701 4'" in line
    assert "the template marks the assistant's turns alone" in line
    assert line.endswith("(as for 2 other parts)")
    manifest.write_text(json.dumps({"config": config | {"chat_template_sha256": "a"}}))
    assert "60 of 60 documents mask nothing" in refusal(found, stops(STOP))


def test_some_documents_that_train_whoever_speaks_are_told(tmp_path: Path) -> None:
    """As where a dataset was merged from several, or whose template marks one kind of record."""
    good = conversations(97, STOP)
    (tmp_path / "manifest.json").write_text('{"config": {"train_roles": ["assistant"]}}')
    for header in ("1111", "0000"):
        for number_bad, expected in ((10, 1), (3, 0)):
            bad = [spoken(number, header) for number in range(number_bad)]
            lines = check(documents(tmp_path, good + bad), stops(STOP))
            assert len(lines) == expected
            assert all("10 of 107 documents mask nothing that anybody" in line for line in lines)


def test_roles_that_were_asked_for_are_trained(tmp_path: Path) -> None:
    found = documents(tmp_path, [spoken(number, "0000") for number in range(30)])
    [line] = check(found, stops(STOP))
    assert "documents mask nothing that anybody says, only " in line
    assert "right only if it was asked for (--train-roles)" in line
    (tmp_path / "manifest.json").write_text('{"config": {"train_roles": ["user", "assistant"]}}')
    assert check(found, stops(STOP)) == []


def test_questions_that_many_ask_are_no_headers(tmp_path: Path) -> None:
    """A short question, with its header and that of the answer, is as short as a long header."""
    asked = [*HEADER, 1000, STOP, *ANSWER], "0" * 10
    again = [*HEADER, 1001, STOP, *ANSWER], "0" * 10
    # The same conversation over and over, as somebody has who tries this out.
    pairs = [join(asked, say(1, STOP, behind=()), again, say(2, STOP))] * 60
    assert check(documents(tmp_path, pairs), stops(STOP)) == []
    # Turns whose end cannot be known from those of others, asked once in a document.
    pairs = [([1, 40, 4, 500 + number, STOP, EOD], "000110") for number in range(60)]
    assert check(documents(tmp_path, pairs), stops(STOP)) == []
    # Or short ones of which each document has its own.
    pairs = [([1, n, 4, 500, STOP, n + 1, 4, 500, STOP, EOD], "0001100110") for n in range(60)]
    assert check(documents(tmp_path, pairs), stops(STOP)) == []


def test_a_survey_costs_the_same_for_any_number_of_documents_and_sees_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_survey, "LOOKED_AT", 30)
    monkeypatch.setattr(mask_survey, "LOOKED_AT_TOGETHER", 60)
    monkeypatch.setattr(mask_survey, "LOOKED_AT_LEAST", 5)
    part = conversations(40, STOP)
    found = survey_parts(documents(tmp_path, part, part[:2], part), eod_id=EOD)
    assert [(Path(each.prefix).name, each.num_documents) for each in found] == [
        ("part0", 20), ("part1", 2), ("part2", 20),
    ]  # fmt: skip
    found = survey_parts(documents(tmp_path, *[part] * 30), eod_id=EOD)
    assert {each.num_documents for each in found} == {5}
    assert survey_parts(documents(tmp_path, part), eod_id=EOD)[0].num_documents == 30


def test_a_million_documents_are_surveyed_in_less_than_a_second(tmp_path: Path) -> None:
    part = documents(tmp_path, conversations(10_000, STOP)).prefixes[0]
    found = MaskedDocuments([part] * 100)
    assert len(found) == 1_000_000
    began = time.process_time()
    assert check(found, stops(STOP)) == []
    assert time.process_time() - began < 1


def test_equal_ids_of_padding_and_end_are_only_a_warning(tmp_path: Path) -> None:
    found = documents(tmp_path, conversations(3, STOP))
    assert ["9" in line for line in check(found, stops(STOP, PAD))] == [True]
    assert ["7" in line for line in check(found, stops(STOP, pad=EOD))] == [True]
    assert check(found, stops(STOP, pad=None)) == []


def test_unknown_stop_tokens_are_said(tmp_path: Path) -> None:
    [line] = check(documents(tmp_path, conversations(3)), NOTHING_KNOWN)
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


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # The end stands in one file, the padding in another.
        ({"generation_config.json": {"eos_token_id": 5}, "config.json": {"pad_token_id": 3}}, 3),
        ({"generation_config.json": {"pad_token_id": 4}, "config.json": {"eos_token_id": 3}}, 4),
        ({"config.json": {"eos_token_id": 3, "pad_token_id": -1}}, None),
        ({"tokenizer_config.json": {"pad_token": None}}, None),
        ({"tokenizer_config.json": {"pad_token": "<|end|>"}}, None),
        (
            {
                "config.json": {"eos_token_id": 5, "pad_token_id": None},
                "tokenizer_config.json": {
                    "pad_token": {"content": "<|end|>"},
                    "added_tokens_decoder": {"5": {"content": "a"}, "6": {"content": "<|end|>"}},
                },
            },
            6,
        ),
    ],
)
def test_the_padding_token_is_looked_for_in_every_file(
    tmp_path: Path, files: dict[str, Any], expected: int | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert read_stops(tmp_path).pad_id == expected


@pytest.mark.shared
def test_the_padding_token_of_a_published_tokenizer_is_found(tmp_path: Path, shared: Path) -> None:
    shutil.copy(shared / "tokenizers/qwen2_5/tokenizer_config.json", tmp_path)
    (tmp_path / "config.json").write_text('{"eos_token_id": 151645}')
    assert read_stops(tmp_path).pad_id == 151_643


@pytest.mark.parametrize("wrong", ["<|im_end|>", 2.5, True, [1, "2"], {"id": 2}])
@pytest.mark.parametrize("key", ["eos_token_id", "pad_token_id"])
def test_tokens_that_are_no_ids_are_named_with_their_file(
    tmp_path: Path, key: str, wrong: Any
) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({key: wrong}))
    message = rf"generation_config\.json: expected {key} to be a token id or a list of them, found "
    with pytest.raises(ValueError, match=message):
        read_stops(tmp_path)


def test_files_that_are_no_json_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(ValueError, match=r"config\.json: expected a JSON object"):
        read_stops(tmp_path)


def test_files_that_are_no_objects_are_named(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config\.json: expected a JSON object, found \[1\]"):
        read_stops(tmp_path)


def test_a_sample_shows_what_is_trained(tmp_path: Path) -> None:
    found = documents(tmp_path, [([0, 1, 2, 3, 4, 2, 3], "0011011"), ([0, 1, 2], "001")])
    sample = packed(found, 8)[0]
    assert describe_sample(sample, Words(save_tokenizer(tmp_path))) == [
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


def test_a_sample_shows_where_documents_begin_that_are_trained_at_once_and_where_padding_does(
    tmp_path: Path,
) -> None:
    found = documents(tmp_path, [([0, 1, 2, 3], "0111"), ([4, 1, 2], "011")])
    assert describe_sample(packed(found, 8)[0], Words(save_tokenizer(tmp_path)))[1:] == [
        "document at 0:",
        "  | <s>",
        "  > ask answer end",
        "document at 3:",
        "  | more",
        "  > ask answer",
        "padding at 5",
    ]


def sample_lines(directory: Path, tokens: list[int], mask: str, model: Path | None) -> list[str]:
    return describe_sample(packed(documents(directory, [(tokens, mask)]), 8)[0], Words(model))


@pytest.mark.shared
def test_a_sample_is_read_by_sentencepiece_where_that_is_the_tokenizer(
    tmp_path: Path, shared: Path
) -> None:
    from sentencepiece import SentencePieceProcessor

    directory = shared / "tokenizers/mistral_v3"
    assert not (directory / "tokenizer.json").exists()
    model = SentencePieceProcessor(model_file=str(directory / "tokenizer.model"))
    begin, ask_, answer_, end = map(model.piece_to_id, ("<s>", "[INST]", "[/INST]", "</s>"))
    added = model.vocab_size()
    tokens = [begin, ask_, *model.encode("hi"), answer_, *model.encode("hello"), added, end]
    assert len(tokens) == 8
    lines = sample_lines(tmp_path, tokens, "00001111", directory)
    assert lines[1:4] == ["document at 0:", "  | <s>[INST]hi[/INST]", f"  > hello<{added}></s>"]


@pytest.mark.parametrize("broken", [b"{", b"\xff\xfe", b'{"model": {"type": "BPE"}}', b""])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model"])
def test_a_tokenizer_that_cannot_be_read_is_one_line_and_ends_nothing(
    tmp_path: Path, name: str, broken: bytes
) -> None:
    (tmp_path / name).write_bytes(broken)
    lines = sample_lines(tmp_path, [0, 1, 2, 3], "0011", tmp_path)
    assert lines[1].startswith(f"tokens are shown as ids: {tmp_path / name} cannot be read: ")
    assert lines[2:5] == ["document at 0:", "  | 0 1", "  > 2 3"]
    assert not any("\n" in line for line in lines)


def test_why_a_sample_is_shown_as_ids_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model, reason in (
        (None, "no files of the model that the training began with are here"),
        (tmp_path, f"{tmp_path} has neither tokenizer.json nor tokenizer.model"),
    ):
        lines = sample_lines(tmp_path, [0, 1, 2, 3], "0011", model)
        assert lines[1] == f"tokens are shown as ids: {reason}"
        assert "  > 2 3" in lines
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    (tmp_path / "tokenizer.model").touch()
    lines = sample_lines(tmp_path, [0, 1, 2, 3], "0011", tmp_path)
    assert lines[1].endswith("tokenizer.model needs sentencepiece; pip install sentencepiece")
