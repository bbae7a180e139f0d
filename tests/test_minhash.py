from __future__ import annotations

import hashlib
import re
import struct
from collections import defaultdict
from random import Random

import datasketch
import numpy as np
import pytest

from preprocess import _rust_ext


def words(text: str) -> list[str]:
    """Runs of word characters, but a Chinese character is a word of its own."""
    return [word.lower() for word in re.findall(r"[一-鿿]|[^\W一-鿿]+", text)]


def shingles(text: str, ngram_size: int = 5) -> set[tuple[str, ...]]:
    found = words(text)
    size = min(ngram_size, len(found))
    return {tuple(found[at : at + size]) for at in range(len(found) - size + 1)} if found else set()


def sha1_hash32(data: bytes) -> int:
    return int(struct.unpack("<I", hashlib.sha1(data).digest()[:4])[0])


def texts(seed: int, count: int) -> list[str]:
    """Texts that share passages, so that similarities of all sizes occur."""
    random = Random(seed)
    vocabulary = [f"w{number}" for number in range(5000)] + ["Straße", "ПРИВЕТ", "naïve", "東京"]
    base = [random.choice(vocabulary) for _ in range(300)]
    made = []
    for _ in range(count):
        edited = list(base)
        for _ in range(random.randrange(0, 60)):
            edited[random.randrange(len(edited))] = random.choice(vocabulary)
        made.append(" ".join(edited[: random.randrange(3, 300)]))
    return made


def test_sets_are_as_large_as_those_of_plain_python_and_overlap_alike() -> None:
    made = texts(1, 60)
    sets = _rust_ext.shingle_hashes(made, ngram_size=5)
    plain = [shingles(text) for text in made]
    for left in range(60):
        assert len(sets[left]) == len(plain[left])
        for right in range(left):
            common = len(np.intersect1d(sets[left], sets[right], assume_unique=True))
            assert common == len(plain[left] & plain[right])


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("...!", 0), ("one", 1), ("one two three four", 1), ("a b c d e f", 2)],
)
def test_short_texts_have_one_shingle_and_wordless_ones_none(text: str, count: int) -> None:
    (found,) = _rust_ext.shingle_hashes([text], ngram_size=5)
    assert len(found) == count
    signature = _rust_ext.minhash_signatures([text], ngram_size=5, num_permutations=9, seed=1)
    assert (signature == 0xFFFFFFFF).all() == (count == 0)


def test_signatures_estimate_the_true_jaccard_without_bias() -> None:
    pairs = []
    for seed in range(300):
        left, right = texts(seed, 2)
        one, other = shingles(left), shingles(right)
        pairs.append((left, right, len(one & other) / len(one | other)))
    errors = defaultdict(list)
    for seed in range(20):
        flat = [text for pair in pairs[seed * 15 : seed * 15 + 15] for text in pair[:2]]
        signed = _rust_ext.minhash_signatures(flat, ngram_size=5, num_permutations=112, seed=seed)
        assert signed.shape == (30, 112)
        assert signed.dtype == np.uint32
        for number in range(15):
            jaccard = pairs[seed * 15 + number][2]
            estimate = float((signed[2 * number] == signed[2 * number + 1]).mean())
            errors["error"].append(estimate - jaccard)
            errors["variance"].append(jaccard * (1 - jaccard) / 112)
    standard_error = float(np.sqrt(np.sum(errors["variance"]))) / 300
    assert abs(float(np.mean(errors["error"]))) < 4 * standard_error


@pytest.mark.parametrize("scheme", ["affine32", "legacy"])
@pytest.mark.parametrize(("num_perm", "seed"), [(128, 1), (112, 7), (1, 3)])
def test_signatures_equal_datasketch_slot_by_slot(scheme: str, num_perm: int, seed: int) -> None:
    made = [*texts(5, 20), "one", ""]
    hashed, expected = [], []
    for text in made:
        encoded = [" ".join(each).encode() for each in sorted(shingles(text))]
        minhash = datasketch.MinHash(num_perm=num_perm, seed=seed, scheme=scheme)
        if encoded:
            minhash.update_batch(encoded)
        hashed.append(np.array([sha1_hash32(each) for each in encoded], dtype=np.uint64))
        expected.append(minhash.hashvalues.astype(np.uint32))
    multipliers, offsets = datasketch.MinHash(
        num_perm=num_perm, seed=seed, scheme=scheme
    ).permutations.astype(np.uint64)
    found = _rust_ext.datasketch_signatures(hashed, multipliers, offsets, scheme=scheme)
    np.testing.assert_array_equal(found, np.array(expected))


def test_arguments_that_cannot_work_are_named() -> None:
    with pytest.raises(ValueError, match=r"ngram_size \(0\) must be between 1 and 1000"):
        _rust_ext.minhash_signatures(["a"], ngram_size=0, num_permutations=8, seed=1)
    with pytest.raises(ValueError, match=r"multipliers \(2\) as offsets \(1\)"):
        _rust_ext.datasketch_signatures(
            [np.zeros(1, np.uint64)],
            np.ones(2, np.uint64),
            np.ones(1, np.uint64),
            scheme="legacy",
        )
    with pytest.raises(ValueError, match="affine64"):
        _rust_ext.datasketch_signatures(
            [], np.ones(1, np.uint64), np.ones(1, np.uint64), scheme="affine64"
        )
