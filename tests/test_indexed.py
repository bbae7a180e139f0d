"""Our datasets and Megatron-Core's reader, and the other way round."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import Preprocess, write_records

from preprocess import _rust_ext

with warnings.catch_warnings():
    # Theirs: optional packages that are missing, escapes in docstrings.
    warnings.simplefilter("ignore")
    from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["the fox", "", "a dog and the fox", "x", "ünïcödé 😀 <|endoftext|> inside"]


@pytest.fixture
def prefix(tmp_path: Path, preprocess: Preprocess, tokenizer: Path) -> Path:
    write_records(tmp_path / "in.jsonl", TEXTS)
    done = preprocess("tokenize", "in.jsonl", "out", "--tokenizer", tokenizer, "--holdout", "0")
    assert done.returncode == 0, done.stderr
    return tmp_path / "out" / "part-00000"


def test_megatron_opens_what_we_write(prefix: Path, tokenizer: Path) -> None:
    from tokenizers import Tokenizer

    reference = Tokenizer.from_file(str(tokenizer))
    reference.encode_special_tokens = True
    eod = reference.token_to_id("<|endoftext|>")
    dataset = IndexedDataset(str(prefix))
    texts = [text for text in TEXTS if text]
    assert len(dataset) == len(texts)
    assert dataset.index.dtype is np.uint16
    assert list(dataset.document_indices) == [0, 1, 2, 3, 4]
    for ids, text in zip(dataset, texts, strict=True):
        assert list(ids) == [*reference.encode(text, add_special_tokens=False).ids, eod]


def test_one_dataset_is_pinned_byte_by_byte(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(np.array([5, 6, 7, 8], dtype=np.uint16).tobytes())
    _rust_ext.rebuild_index(tmp_path / "a", np.array([1, 3], dtype=np.uint32), vocab_size=300)
    expected = (
        b"MMIDIDX\x00\x00"
        + bytes([1, 0, 0, 0, 0, 0, 0, 0])  # version
        + bytes([8])  # uint16
        + bytes([2, 0, 0, 0, 0, 0, 0, 0])  # sequences
        + bytes([3, 0, 0, 0, 0, 0, 0, 0])  # document boundaries
        + bytes([1, 0, 0, 0, 3, 0, 0, 0])  # lengths
        + bytes([0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0])  # pointers
        + bytes([0] * 8 + [1] + [0] * 7 + [2] + [0] * 7)  # document indices
    )
    assert (tmp_path / "a.idx").read_bytes() == expected


def test_we_write_the_bytes_that_megatron_writes(tmp_path: Path, prefix: Path) -> None:
    dataset = IndexedDataset(str(prefix))
    builder = IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=np.uint16)
    for ids in dataset:
        builder.add_document(ids, [len(ids)])
    builder.finalize(str(tmp_path / "theirs.idx"))
    for suffix in (".bin", ".idx"):
        ours = prefix.with_suffix(suffix).read_bytes()
        assert ours == (tmp_path / f"theirs{suffix}").read_bytes(), suffix


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint16, np.int64])
def test_we_open_what_megatron_writes(tmp_path: Path, dtype: type) -> None:
    documents = [[[1, 2], [3]], [[4]], [[5, 6, 7]]]  # the first has two sequences
    builder = IndexedDatasetBuilder(str(tmp_path / "a.bin"), dtype=dtype)
    for sequences in documents:
        flat = np.array([id for sequence in sequences for id in sequence], dtype=dtype)
        builder.add_document(flat, [len(sequence) for sequence in sequences])
    builder.finalize(str(tmp_path / "a.idx"))
    audit = json.loads(_rust_ext.audit_dataset(tmp_path / "a", vocab_size=8))
    assert (audit["sequences"], audit["documents"], audit["tokens"]) == (4, 3, 7)
    found = [_rust_ext.read_document(tmp_path / "a", number) for number in range(3)]
    assert found == [[1, 2, 3], [4], [5, 6, 7]]
    with pytest.raises(_rust_ext.CorruptDataError, match="token 7 of document 2 is not below"):
        _rust_ext.audit_dataset(tmp_path / "a", vocab_size=7)
    with pytest.raises(ValueError, match="expected a document below 3, got 3"):
        _rust_ext.read_document(tmp_path / "a", 3)


def test_more_than_4_gib_and_2_31_tokens(tmp_path: Path) -> None:
    lengths = np.array([2**30, 2**30 + 5, 7, 2**29], dtype=np.uint32)
    total = int(lengths.sum(dtype=np.int64))
    assert total > 2**31
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(total * 4)  # sparse: takes no disk
        file.seek((2**31 + 5) * 4)
        file.write(np.arange(7, dtype=np.int32).tobytes())
    _rust_ext.rebuild_index(tmp_path / "big", lengths, vocab_size=128_256)
    dataset = IndexedDataset(str(tmp_path / "big"))
    assert list(dataset[2]) == [0, 1, 2, 3, 4, 5, 6]
    assert dataset.index.sequence_pointers[3] == (2**31 + 12) * 4
    audit = json.loads(_rust_ext.audit_dataset(tmp_path / "big"))
    assert (audit["tokens"], audit["bin_bytes"]) == (total, total * 4)
    assert _rust_ext.read_document(tmp_path / "big", 2) == [0, 1, 2, 3, 4, 5, 6]


def test_a_merge_is_its_parts_in_order(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    inputs = []
    for number in range(3):
        name = f"in{number}.jsonl"
        write_records(tmp_path / name, [f"text {number} {each} of the fox" for each in range(50)])
        ingested = preprocess("ingest", name, f"records{number}", "--dataset", "jsonl")
        assert ingested.returncode == 0, ingested.stderr
        inputs.append(f"records{number}")
    done = preprocess("tokenize", *inputs, "out", "--tokenizer", tokenizer, "--holdout", "0.1")
    assert done.returncode == 0, done.stderr
    merged = preprocess("merge", "out", "merged/all")
    assert merged.returncode == 0, merged.stderr
    parts = [
        list(ids)
        for path in sorted((tmp_path / "out").glob("part-*.bin"))
        for ids in IndexedDataset(str(path.with_suffix("")))
    ]
    assert len(parts) > 100
    assert [list(ids) for ids in IndexedDataset(str(tmp_path / "merged/all"))] == parts
    verified = preprocess("verify", "merged/all")
    assert (verified.returncode, verified.stdout) == (0, "merged/all: 4 files are sound\n")


def test_verify_finds_a_changed_byte_everywhere(preprocess: Preprocess, prefix: Path) -> None:
    directory = prefix.parent
    for path in sorted(directory.glob("part-*")):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        failed = preprocess("verify", "out")
        assert failed.returncode == 1, path
        assert path.name.split(".")[0] in failed.stdout, path
        path.write_bytes(whole)
    assert preprocess("verify", "out").returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: b"MMIDIDY" + raw[7:], "expected Megatron's index of version 1"),
        (lambda raw: raw[:20], "expected an index of 34 bytes or more, found 20"),
        (lambda raw: raw[:-8], "found"),
        (lambda raw: raw[:17] + b"\x09" + raw[18:], "expected a dtype of 1 to 8, found 9"),
        (
            lambda raw: raw[: 34 + 8] + b"\x01" + raw[34 + 9 :],
            "sequence 0 should begin at byte 0, its pointer says 1",
        ),
        (lambda raw: raw[:34] + b"\xff\xff\xff\xff" + raw[38:], "has the length -1"),
    ],
)
def test_a_damaged_index_is_named(tmp_path: Path, change: object, message: str) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(8))
    _rust_ext.rebuild_index(tmp_path / "a", np.array([1, 3], dtype=np.uint32), vocab_size=300)
    raw = (tmp_path / "a.idx").read_bytes()
    (tmp_path / "a.idx").write_bytes(change(raw))  # type: ignore[operator]
    with pytest.raises(_rust_ext.CorruptDataError, match=message):
        _rust_ext.audit_dataset(tmp_path / "a")


def test_a_missing_eod_and_one_inside_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(np.array([5, 9, 9, 5, 9, 5, 5], dtype=np.uint16).tobytes())
    _rust_ext.rebuild_index(tmp_path / "a", np.array([2, 3, 2], dtype=np.uint32), vocab_size=10)
    audit = json.loads(_rust_ext.audit_dataset(tmp_path / "a", eod_id=9))
    assert audit["misplaced_eod"] == 2
