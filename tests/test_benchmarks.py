"""The benchmarks: what they compare with, what they refuse, and one small run of all of it."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import corpora, readme
from benchmarks.datasets import is_concatenation, read_dataset
from benchmarks.duplicates import readme as duplicates_readme
from benchmarks.in_memory import Row, fastest_exact
from benchmarks.peers import flatten_rows
from benchmarks.targets import Target
from benchmarks.worker import count_different, digests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]


def test_documents_come_back_as_they_were_stored(tmp_path: Path) -> None:
    texts = ["", "plain", "\u00e9\u4e2d\U0001f600", "\n\n"]
    corpus = corpora.store("any", texts, tmp_path)
    assert corpora.load(corpus.path) == texts
    assert (corpus.documents, corpus.text_bytes) == (4, 5 + 9 + 2)


def test_one_id_of_one_document_is_enough_to_differ() -> None:
    rows = [[1, 2], [], [3]]
    digests = digests_of(*flatten_rows(rows))
    assert count_different(digests, digests_of(*flatten_rows(rows))) == 0
    assert count_different(digests, digests_of(*flatten_rows([[1, 2], [], [4]]))) == 1
    assert count_different(digests, digests_of(*flatten_rows([[1], [2], [3]]))) == 2
    with pytest.raises(ValueError, match="expected the ids of 2 documents, got those of 3"):
        count_different(digests, digests_of(*flatten_rows([[1, 2], [3]])))


def row(who: str, warm: float, *, different: int = 0, corpus: str = "web") -> Row:
    return Row(
        model="gpt2", corpus=corpus, who=who, text_bytes=10**6, documents=9, ids=5,
        different=different, warm=warm, cold=warm,
    )  # fmt: skip


def test_a_peer_that_is_wrong_anywhere_is_not_the_fastest() -> None:
    right, wrong = row("tiktoken", 2.0, corpus="web slice"), row("gigatoken", 0.1)
    assert fastest_exact([row("ours", 0.01), right, wrong], "gpt2") is wrong
    elsewhere = row("gigatoken", 0.1, different=1, corpus="code")
    assert fastest_exact([row("ours", 0.01), right, wrong, elsewhere], "gpt2") is right


def test_a_target_knows_its_side() -> None:
    assert Target(what="a", model="", reached=2.0, wanted=2.0).is_met is True
    assert Target(what="a", model="", reached=2.1, wanted=2.0, at_most=True).is_met is False
    assert Target(what="a", model="", reached=2.1, wanted=None).is_met is None


def test_datasets_of_megatron_are_read_back(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs: optional packages that are missing
        from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    for name, dtype in (("small", np.uint16), ("large", np.int32)):
        builder = IndexedDatasetBuilder(str(tmp_path / f"{name}.bin"), dtype=dtype)
        for document in ([5, 6, 7], [8]):
            builder.add_document(document, [len(document)])
        builder.finalize(str(tmp_path / f"{name}.idx"))
        ids, offsets = read_dataset(tmp_path / name)
        assert (ids.tolist(), offsets.tolist()) == ([5, 6, 7, 8], [0, 3, 4])
    small = tmp_path / "small.bin"
    assert is_concatenation(small, [small])
    assert not is_concatenation(small, [small, small])
    assert not is_concatenation(tmp_path / "large.bin", [small])


def test_a_readme_without_the_marks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# A title\n")
    with pytest.raises(ValueError, match="each once"):
        readme.rewrite(path, {})
    own = (ROOT / "README.md").read_text("utf-8")
    assert all(mark in own for mark in (readme.BEGIN, duplicates_readme.BEGIN))


@pytest.fixture(scope="module")
def small_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Both benchmarks begun at once, as they wait a lot; a name gives its results when it is done.

    Nothing is held of the speeds they measure so.
    """
    directories = {name: tmp_path_factory.mktemp(name) for name in ("tokenize", "dedup")}
    processes = {}
    for name, directory in directories.items():
        arguments = ["-m", f"benchmarks.{name}", "--quick", "--results", str(directory)]
        with (directory / "output").open("wb") as output:
            processes[name] = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, stdout=output, stderr=output
            )

    def done(name: str) -> Path:
        status = processes[name].wait()
        assert status == 0, (directories[name] / "output").read_text()
        return directories[name]

    yield done
    for process in processes.values():
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_small_run_compares_measures_draws_and_writes(
    small_runs: Callable[[str], Path], tmp_path: Path
) -> None:
    results = small_runs("tokenize")
    content = json.loads((results / "tokenize.json").read_text())
    assert (results / "tokenize.png").read_bytes().startswith(b"\x89PNG")
    ours = [row for row in content["in_memory"] if row["who"] == "ours"]
    assert {row["corpus"] for row in ours} >= {"web", "web slice", "code", "JSON"}
    assert all(row["is_exact"] and row["ids"] == row["expected_ids"] > 0 for row in ours
               if row["corpus"] != "web slice")  # fmt: skip
    assert {row["who"] for row in content["to_disk"]} >= {"ours", "Megatron's path"}
    # What they reach is a matter of the machine: of so small a run, even below zero.
    assert all(isinstance(target["reached"], float | int) for target in content["targets"])
    assert content["targets"]
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nfigures of another day\n{readme.END}\nafter\n")
    readme.rewrite(path, content)
    written = path.read_text()
    assert written.startswith(f"before\n{readme.BEGIN}\n| tokenizer")
    assert "figures of another day" not in written
    assert content["machine"]["commit"] in written
    assert written.endswith(f"{readme.END}\nafter\n")


@pytest.mark.slow
def test_a_small_run_of_dedup_holds_all_removals_against_brute_force(
    small_runs: Callable[[str], Path], tmp_path: Path
) -> None:
    results = small_runs("dedup")
    content = json.loads((results / "dedup.json").read_text())
    assert (results / "dedup.png").read_bytes().startswith(b"\x89PNG")
    ours = [row for row in content["end_to_end"] if row["who"] == "ours"]
    assert {row["corpus"] for row in ours} == {"web", "web slice"}
    assert all(row["removed"] > 0 == row["alone"]["0.8"] for row in ours if row["corpus"] == "web")
    assert all(row["removed"] > 0 or row["failed"] for row in content["end_to_end"])
    assert content["clusters"]["dropped"] > 0
    assert content["clusters"]["below"] == content["clusters"]["not_kept"] == 0
    assert content["recall"]["pairs"] > 0
    assert [each["factor"] for each in content["grown"]] == [1, 4, 16]
    once, often = content["grown"][0], content["grown"][-1]
    # Which candidates MinHash misses is another chance in each variant.
    assert 0.8 * 16 * once["removed"] <= often["removed"] <= 1.2 * 16 * once["removed"]
    assert once["removed"] > 0
    assert [each["different"] for each in content["same_bytes"]] == [[]] * len(
        content["same_bytes"]
    )
    assert {each["how"] for each in content["same_bytes"]} >= {"2 workers", "7 tasks"}
    assert all(isinstance(target["reached"], float | int) for target in content["targets"])
    path = tmp_path / "README.md"
    marks = (duplicates_readme.BEGIN, duplicates_readme.END)
    path.write_text(f"before\n{marks[0]}\nfigures of another day\n{marks[1]}\nafter\n")
    duplicates_readme.rewrite(path, content)
    written = path.read_text()
    assert "figures of another day" not in written
    assert content["machine"]["commit"] in written
    assert written.endswith(f"{marks[1]}\nafter\n")
