"""SentencePiece ids equal to the library's where cuts, spaces and rare characters decide."""

from __future__ import annotations

import functools
import io
import random
from typing import TYPE_CHECKING

import pytest
import sentencepiece
from test_tokenizer import SHARED, SentencePiece, compare, documents, pair

from preprocess._rust_ext import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

NAME = "mistral_v3"
META = "\u2581"
SPACES = [" ", "  ", "   ", " " * 15, " " * 16, " " * 17, " " * 70, META, f" {META}", f"{META} "]
OTHER_WHITE = ["\n", "\n\n", "\t", "\r\n", "\u00a0", "\u2003", "\u200b", "\u3000", "\u2028"]
SPACED_WORDS = (
    "the The THE CommonParameters IAzureContext don't http://a.b/c?d=e x_y (a) [b] {c} <p> </p> "
    "```py ### ** -- --- == != <= => |-- \\_ .. ... \u2026 \u201cq\u201d na\u00efve \u0441\u043b"
    "\u043e\u0432\u043e \u03bb\u03cc\u03b3\u03bf\u03c2 \u0639\u0631\u0628\u064a \u0e44\u0e17\u0e22 "
    "\u6f22\u5b57 \u3072\u3089 \ud55c\uae00 \u1112\u1161 e\u0301 \u0301 \u1200 \U0001f600 "
    "\U0001f468\u200d\U0001f469 \U000e0041 1 42 0x1F 3.14 \u0664 \u00b2"
)
WORDS = SPACED_WORDS.split(" ")
PIECES = ["[REFERENCE_DOC_0]", "[REFERENCE_DOC_10]", "[REFERENCE_DOC_", "[INST]", "<s>", "</s>"]
PIECES += ["<unk>", "<0x0A>", "<0xE2>", "[control_8]"]
CONTROLS = [*map(chr, range(32)), "\x7f", "\x85", "\ufeff", "\ufffd", "\ufffe", "\U0010ffff"]


@functools.cache
def atoms() -> list[Callable[[random.Random], str]]:
    """Return what makes a part of a text, each as likely as the others."""
    vocabulary = sentencepiece.SentencePieceProcessor(
        model_file=str(SHARED / "tokenizers" / NAME / "tokenizer.model")
    )
    pieces = [vocabulary.id_to_piece(i) for i in range(vocabulary.vocab_size())]

    def run(chance: random.Random) -> str:
        return chance.choice([*SPACES[:1], *WORDS, "a", "-", "|"]) * chance.randint(2, 90)

    def letters(chance: random.Random) -> str:
        return "".join(chance.choices("etaoinETAOIN", k=chance.randint(1, 40)))

    def code_point(chance: random.Random) -> str:
        number = chance.randrange(0x110000 - 0x800)
        return chr(number if number < 0xD800 else number + 0x800)

    return [
        lambda chance: chance.choice(SPACES),
        lambda chance: chance.choice(SPACES),
        lambda chance: chance.choice(OTHER_WHITE),
        lambda chance: chance.choice(WORDS),
        lambda chance: chance.choice(WORDS),
        lambda chance: chance.choice(PIECES),
        lambda chance: chance.choice(CONTROLS),
        lambda chance: chance.choice(pieces),
        lambda chance: chance.choice(pieces).replace(META, " "),
        lambda chance: chr(chance.randint(32, 126)),
        lambda chance: chr(chance.randint(0xA0, 0x24F)),
        run,
        letters,
        code_point,
    ]


def generated(seed: int, count: int) -> list[str]:
    """Return texts of up to 24 parts, with and without spaces between them."""
    chance = random.Random(seed)

    def text() -> str:
        separator = chance.choice(["", "", " "])
        parts = chance.choices(atoms(), k=chance.randint(1, 24))
        return separator.join(part(chance) for part in parts)

    return [text() for _ in range(count)]


def text_files(step: int) -> list[str]:
    folder = SHARED / "data" / "agent"
    if not folder.exists():
        pytest.skip(f"{folder} is missing")
    files = sorted(path for path in folder.rglob("*") if path.is_file())[::step]
    return [path.read_text(encoding="utf-8", errors="replace") for path in files]


@pytest.mark.shared
def test_ids_of_documents_from_all_of_the_web_sample_equal_the_library() -> None:
    assert compare(*pair(NAME), list(documents(None))[::97]) > 800_000


@pytest.mark.shared
def test_ids_of_agent_data_equal_the_library() -> None:
    assert compare(*pair(NAME), text_files(40)) > 100_000


@pytest.mark.shared
@pytest.mark.slow
def test_ids_of_all_agent_data_equal_the_library() -> None:
    assert compare(*pair(NAME), text_files(1)) > 10_000_000


@pytest.mark.shared
def test_ids_of_generated_texts_equal_the_library() -> None:
    assert compare(*pair(NAME), generated(1, 5_000)) > 500_000


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_ids_of_many_generated_texts_equal_the_library(seed: int) -> None:
    assert compare(*pair(NAME), generated(seed, 25_000)) > 2_500_000


@pytest.mark.shared
@pytest.mark.parametrize(
    "text",
    ["", " ", "  ", META, f" {META} ", "[REFERENCE_DOC_1]", " [REFERENCE_DOC_1] x", "\0", "\ufffd"]
    + [f"{' ' * width}{behind}" for width in range(1, 40) for behind in ("", "a", "\u0301", "7")],
)
def test_ids_of_short_texts_equal_the_library(text: str) -> None:
    ours, reference = pair(NAME)
    assert ours.encode(text) == reference.encode([text], parse_special=False)[0]


RUNS_OF_SPACES: dict[str, Sequence[str]] = {
    "words of one space": ["  ", "    "],
    "words across spaces": ["  a", " the  cat"],
}


@pytest.mark.parametrize("what", list(RUNS_OF_SPACES))
def test_runs_of_spaces_and_words_merge_as_in_the_library(tmp_path: Path, what: str) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*RUNS_OF_SPACES[what], "the   cat    sat  on a  mat"] * 20),
        model_writer=model,
        minloglevel=2,
        model_type="bpe",
        vocab_size=290,
        byte_fallback=True,
        normalization_rule_name="identity",
        split_by_whitespace=what == "words of one space",
        allow_whitespace_only_pieces=True,
        remove_extra_whitespaces=False,
    )
    path = tmp_path / "tokenizer.model"
    path.write_bytes(model.getvalue())
    chance = random.Random(7)
    parts = ["the", "cat", "a", ",", " ", "  ", "    ", META, "\n", "\u4e2d", "mat"]
    texts = ["".join(chance.choices(parts, k=chance.randint(1, 30))) for _ in range(2_000)]
    assert compare(Tokenizer.load(path), SentencePiece(path), texts) > 20_000
