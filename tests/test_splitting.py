"""Cutting a file between records changes nothing: the documents keep their ids and their order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from conftest import write_records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.datasets import read_dataset, shards_of
from benchmarks.grammar import texts
from preprocess.run_options import RunOptions
from preprocess.tokenize import TokenizeConfig, tokenize

MEMORY = 1 << 30


def documents(files: list[Path], tokenizer: Path, workers: int, output: Path) -> list[list[int]]:
    """Return the ids of every document that the stage makes of these files."""
    config = TokenizeConfig(tokenizer=tokenizer, holdout=0.0)
    tokenize(
        [str(file) for file in files],
        output,
        config,
        RunOptions(workers=workers, memory_bytes=MEMORY),
    )
    rows = []
    for prefix in shards_of(output):
        ids, offsets = read_dataset(prefix)
        bounds = offsets.tolist()
        rows += [ids[bounds[i] : bounds[i + 1]].tolist() for i in range(len(bounds) - 1)]
    return rows


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    workers=st.integers(1, 3),
)
def test_a_file_cut_anywhere_gives_the_same_documents(
    tokenizer: Path, seed: int, cuts: list[int], workers: int
) -> None:
    given_texts = texts(seed, 60)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        write_records(work / "whole/all.jsonl", given_texts)
        lines = (work / "whole/all.jsonl").read_text("utf-8").splitlines(keepends=True)
        bounds = [0, *sorted(set(cuts) - {0, 60}), 60]
        parts = []
        for number in range(len(bounds) - 1):
            part = work / f"cut/{number:02}.jsonl"
            part.parent.mkdir(exist_ok=True)
            part.write_text("".join(lines[bounds[number] : bounds[number + 1]]), "utf-8")
            parts.append(part)
        whole = documents([work / "whole/all.jsonl"], tokenizer, 1, work / "tokens-whole")
        assert len(whole) == 60
        assert sum(map(len, whole)) > 600
        assert documents(parts, tokenizer, workers, work / "tokens-cut") == whole


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_texts_encoded_in_batches_have_the_same_ids(tokenizer: Path, batch: int) -> None:
    from preprocess._rust_ext import Tokenizer

    ours = Tokenizer.load(tokenizer)
    given_texts = texts(5, 300)
    whole = [row.tolist() for row in ours.encode_batch(given_texts, workers=2)]
    parts = [
        row.tolist()
        for start in range(0, 300, batch)
        for row in ours.encode_batch(given_texts[start : start + batch], workers=1)
    ]
    assert parts == whole
    assert sum(map(len, whole)) > 3_000
