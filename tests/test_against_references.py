"""Ids and the libraries that define them: on generated texts, hostile texts, whole files."""

from __future__ import annotations

import functools
import os
import sysconfig
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks import corpora
from benchmarks.compare_files import compare_files, files_of
from benchmarks.fuzz_tokenizers import compare, fuzz
from benchmarks.grammar import texts
from benchmarks.models import FOLDERS, RANK_FILES, Model, find_models
from benchmarks.references import Reference, SentencePiece, load_reference
from preprocess._rust_ext import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = Path(__file__).resolve().parents[2] / "shared"
NAMES = [*FOLDERS, *RANK_FILES.values()]
PROCESSES = os.cpu_count() or 1


@functools.cache
def model_of(name: str) -> Model:
    found = {model.name: model for model in find_models(SHARED / "tokenizers")}
    if name not in found:
        pytest.skip(f"{SHARED / 'tokenizers'} has no {name}")
    return found[name]


@functools.cache
def pair(name: str) -> tuple[Tokenizer, Reference]:
    ours = Tokenizer.load(model_of(name).path)
    assert ours.fallback_reason is None
    return ours, load_reference(model_of(name))


def test_texts_are_the_same_for_the_same_seed_and_of_every_kind() -> None:
    generated = texts(7, 3_000)
    assert generated == texts(7, 3_000)
    assert generated != texts(8, 3_000)
    categories = {unicodedata.category(character) for text in generated for character in text}
    assert len(categories) == 29  # all but surrogates


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_generated_texts_have_the_ids_of_the_reference(name: str) -> None:
    tally = fuzz(model_of(name), 6_000, seed=1, processes=1)
    assert tally.different == 0, tally
    assert tally.strings == 6_000
    assert tally.ids > 60_000


@pytest.mark.shared
@pytest.mark.parametrize("name", ["gpt2", "mistral_v3", "cl100k"])
def test_a_reference_with_other_ids_is_noticed(name: str) -> None:
    ours, reference = pair(name)

    class Wrong:
        special_tokens = reference.special_tokens

        def encode(self, given: list[str], *, parse_special: bool) -> list[list[int]]:
            rows = reference.encode(given, parse_special=parse_special)
            rows[3][0] ^= 1
            return rows

    tally = compare(ours, Wrong(), texts(2, 50), parse=True)  # type: ignore[arg-type]
    assert tally.different == 1
    assert len(tally.examples) == 1


@pytest.mark.shared
@pytest.mark.parametrize("what", list(corpora.WORST))
@pytest.mark.parametrize("name", NAMES)
def test_hostile_texts_have_the_ids_of_the_reference(name: str, what: str) -> None:
    tally = compare(*pair(name), [corpora.WORST[what](100_000)], parse=False)
    assert tally.different == 0, tally
    assert tally.ids > 700


TEXTS = st.one_of(
    st.text(max_size=40),
    st.integers(0, 10**6).map(lambda seed: texts(seed, 1)[0]),
)


def spelled_back(name: str, text: str) -> str:
    """Return what ids of `text` stand for: the text, as the model normalizes it."""
    return unicodedata.normalize("NFC", text) if name == "qwen2_5" else text


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=80, deadline=None)
@given(text=TEXTS, parse_special=st.booleans())
def test_decode_of_encode_is_the_text(name: str, text: str, parse_special: bool) -> None:
    ours, reference = pair(name)
    expected = spelled_back(name, text)
    if name == "qwen2_5":  # its NFC is of an older Unicode than Python's
        assume(expected == text)
    ids = ours.encode_batch([text], parse_special=parse_special)[0].tolist()
    if isinstance(reference, SentencePiece):
        expected = expected.replace("\u2581", " ")  # its spelling of a space
        assert ours.decode(ids) == reference.model.decode(ids)
    assert ours.decode(ids) == expected


def _texts_of_shared() -> Iterator[Path]:
    yield SHARED / "data"
    yield Path(sysconfig.get_paths()["stdlib"])


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_files_of_the_machine_have_the_ids_of_the_reference(name: str) -> None:
    # One in twenty; `python -m benchmarks.compare_files` takes all, web_docs too.
    files = [path for path in files_of(list(_texts_of_shared())) if path.suffix != ".pyc"]
    chosen = [path for path in sorted(files)[::20] if "web_docs" not in path.name]
    tally = compare_files(model_of(name), chosen, PROCESSES)
    assert tally.different == 0, tally
    assert tally.strings > len(chosen) // 2 > 50
    assert tally.ids > 500_000
