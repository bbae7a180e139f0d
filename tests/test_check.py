"""`tokenize --check N`: ids on disk against the reference library."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Preprocess, write_records

from preprocess import agreement, reference
from preprocess._rust_ext import Tokenizer
from preprocess.agreement import check_unit, refuse_difference, sample_size
from preprocess.errors import UserError
from preprocess.inputs import InputFile, Unit, record_files
from preprocess.manifest import Agreement, read_manifest
from preprocess.reference import Reference, load_reference
from preprocess.run_options import RunOptions
from preprocess.sidecar import with_suffix
from preprocess.tokenize import TokenizeConfig, tokenize

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    f"the fox {number} ünïcödé <|endoftext|> and {'dog ' * (number % 7)}" for number in range(400)
]
ALONE = RunOptions(workers=1, memory_bytes=1 << 28)


@pytest.fixture
def inputs(tmp_path: Path, preprocess: Preprocess) -> list[str]:
    for number in range(3):
        write_records(tmp_path / f"in{number}.jsonl", [f"{number} {text}" for text in TEXTS])
        done = preprocess("ingest", f"in{number}.jsonl", f"records{number}", "--dataset", "jsonl")
        assert done.returncode == 0, done.stderr
    return [f"records{number}" for number in range(3)]


def manifest(directory: Path) -> dict[str, object]:
    content = json.loads((directory / "manifest.json").read_text())
    content.pop("seconds")
    return content  # type: ignore[no-any-return]


def test_the_agreement_is_the_same_for_workers_and_tasks_and_is_shown(
    tmp_path: Path, preprocess: Preprocess, inputs: list[str], tokenizer: Path
) -> None:
    command = ["tokenize", *inputs]
    options = ["--tokenizer", str(tokenizer), "--check", "50", "--holdout", "0.2"]
    done = preprocess(*command, "one", *options, "--workers", "1")
    assert done.returncode == 0, done.stderr
    found = manifest(tmp_path / "one")["check"]
    name = load_reference(Tokenizer.load(tokenizer)).name
    assert found == {"references": [name], "checked": 50, "equal": 50}
    assert f"  check: 50 of 50 sampled records have the ids of {name}\n" in done.stderr
    for task in (1, 0):
        share = ["--task", str(task), "--num-tasks", "2", "--workers", "2"]
        done = preprocess(*command, "two", *options, *share)
        assert done.returncode == 0, done.stderr
    done = preprocess("verify", "two", "--complete")
    assert (done.returncode, manifest(tmp_path / "two")) == (0, manifest(tmp_path / "one"))
    done = preprocess("report", ".", "page.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text()
    assert f"one: 50 of 50 sampled records have the ids of {name}." in page


def test_a_reference_that_differs_fails_every_way_to_end_the_run(
    tmp_path: Path,
    preprocess: Preprocess,
    inputs: list[str],
    tokenizer: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true = load_reference(Tokenizer.load(tokenizer))

    def encode(text: str) -> list[int]:
        return true.encode(text)[:-1] if text.startswith("1 ") else true.encode(text)

    monkeypatch.setattr(
        "preprocess.tokenize.load_reference", lambda _: replace(true, encode=encode)
    )
    paths = [str(tmp_path / name) for name in inputs]
    config = TokenizeConfig(tokenizer=tokenizer, check=30)
    message = (
        rf"expected the ids of {true.name} for 30 sampled records, 10 differ, jsonl/in1.jsonl#"
    )
    for _ in range(2):  # a finished run says it again
        with pytest.raises(UserError, match=message):
            tokenize(paths, tmp_path / "out", config, ALONE)
    whole = read_manifest(tmp_path / "out")
    assert whole is not None
    assert whole.check is not None
    assert (whole.check.checked, whole.check.equal, len(whole.check.differing)) == (30, 20, 10)
    assert whole.counts.out == 1_200, "all is kept"
    for task in range(3):
        options = replace(ALONE, task=task, num_tasks=3)
        if task == 1:
            with pytest.raises(UserError, match="for 10 sampled records, 10 differ"):
                tokenize(paths, tmp_path / "tasks", config, options)
        else:
            tokenize(paths, tmp_path / "tasks", config, options)
    done = preprocess("verify", "tasks", "--complete")
    assert done.returncode == 1
    assert "30 sampled records, 10 differ" in done.stderr
    done = preprocess("verify", "out")
    assert done.returncode == 1
    assert "20 of 30 sampled records have the ids of" in done.stdout


def test_a_run_that_ended_before_its_check_makes_up_for_it(
    tmp_path: Path, inputs: list[str], tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(tmp_path / name) for name in inputs]
    config = TokenizeConfig(tokenizer=tokenizer, check=30)
    whole = tokenize(paths, tmp_path / "whole", config, ALONE)
    left = [1]

    def killed(*arguments: Any, **options: Any) -> Agreement:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return check_unit(*arguments, **options)

    monkeypatch.setattr("preprocess.tokenize.check_unit", killed)
    with pytest.raises(KeyboardInterrupt):
        tokenize(paths, tmp_path / "out", config, ALONE)
    monkeypatch.undo()
    again = tokenize(paths, tmp_path / "out", config, ALONE)
    assert whole is not None
    assert again is not None
    assert whole.check == again.check
    assert again.check is not None
    assert (again.check.checked, again.check.equal) == (30, 30)
    for other in (0, 31):  # it changes no byte of the data
        tokenize(paths, tmp_path / "out", replace(config, check=other), ALONE)
    tokenize(paths, tmp_path / "none", replace(config, check=0), ALONE)
    with pytest.raises(UserError, match="all units were done without --check"):
        tokenize(paths, tmp_path / "none", config, ALONE)


@pytest.fixture
def encoded(tmp_path: Path, tokenizer: Path) -> tuple[list[InputFile], Path, Reference, int]:
    write_records(tmp_path / "a.jsonl", TEXTS)
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('\n \nno json\n{"text": "without an id, the fox"}\n')
    files = record_files([str(tmp_path / "a.jsonl")])
    config = TokenizeConfig(tokenizer=tokenizer, holdout=0)
    made = tokenize([str(tmp_path / "a.jsonl")], tmp_path / "out", config, ALONE)
    assert made is not None
    eod = made.config["eod_id"]
    return files, tmp_path / "out/part-00000", load_reference(Tokenizer.load(tokenizer)), eod


def test_every_document_is_found_again(
    encoded: tuple[list[InputFile], Path, Reference, int],
) -> None:
    files, prefix, true, eod = encoded
    found = check_unit(files, [prefix], true, count=1_000, text_field="text", eod_id=eod)
    assert (found.checked, found.equal, found.differing) == (401, 401, [])
    some = check_unit(files, [prefix], true, count=7, text_field="text", eod_id=eod)
    assert (some.checked, some.equal) == (7, 7)


@pytest.mark.parametrize("what", ["token", "order of ids", "text of the input", "end of document"])
def test_damage_anywhere_on_the_path_is_seen(
    encoded: tuple[list[InputFile], Path, Reference, int], what: str
) -> None:
    import zstandard

    files, prefix, true, eod = encoded
    ids = with_suffix(prefix, ".ids.zst")
    if what == "token":
        tokens = np.fromfile(with_suffix(prefix, ".bin"), dtype=np.uint16)
        tokens[5] ^= 1
        tokens.tofile(with_suffix(prefix, ".bin"))
    elif what == "order of ids":
        lines = zstandard.ZstdDecompressor().stream_reader(ids.read_bytes()).read().splitlines(True)
        ids.write_bytes(zstandard.compress(b"".join([lines[1], lines[0], *lines[2:]])))
    elif what == "text of the input":
        content = files[0].path.read_text()
        files[0].path.write_text(content.replace("the fox 0 ", "the cat 0 ", 1))
    else:
        eod = None  # type: ignore[assignment]
    found = check_unit(files, [prefix], true, count=1_000, text_field="text", eod_id=eod)
    different = {"token": 1, "order of ids": 2, "text of the input": 1, "end of document": 401}
    assert found.checked - found.equal == different[what]
    assert found.differing
    assert all(name.startswith(("hand/a.jsonl#", "a.jsonl#")) for name in found.differing)


def test_a_text_too_long_for_a_reference_is_counted_apart(
    encoded: tuple[list[InputFile], Path, Reference, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, prefix, true, eod = encoded
    monkeypatch.setattr(agreement, "LONGEST_CHECKED_BYTES", 60)
    found = check_unit(files, [prefix], true, count=1_000, text_field="text", eod_id=eod)
    long = sum(len(text.encode()) > 60 for text in TEXTS)
    assert 50 < long < 350
    assert (found.checked, found.equal, found.passed_over) == (401 - long, 401 - long, long)


def test_a_record_too_long_makes_room_for_the_next(
    encoded: tuple[list[InputFile], Path, Reference, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, prefix, true, eod = encoded
    monkeypatch.setattr(agreement, "LONGEST_CHECKED_BYTES", 60)
    monkeypatch.setattr(agreement, "SPARE", 0)
    found = check_unit(files, [prefix], true, count=20, text_field="text", eod_id=eod)
    assert (found.checked, found.equal) == (20, 20)
    monkeypatch.setattr(agreement, "LONGEST_CHECKED_BYTES", 1)
    none = check_unit(files, [prefix], true, count=20, text_field="text", eod_id=eod)
    assert (none.checked, none.passed_over) == (0, 401)
    with pytest.raises(UserError, match="none of the sample of 401 documents could be"):
        refuse_difference(none, 401, prefix)
    refuse_difference(Agreement(references=["a 1"], checked=0, equal=0), 0, prefix)


ODD = [
    r'{"id": "s1", "text": "hello one", "meta": "\ud800"}',
    r'{"id": "n1", "text": "hello two", "n": 1e999}',
    '{"id": "n2", "text": "hello three", "n": ' + "1" * 5_000 + "}",
    '{"id": "d1", "text": "hello four", "n": ' + "[" * 900 + "]" * 900 + "}",
    '{"id": 5, "id": "x1", "text": "hello five"}',
    '{"text": "other", "text": "hello six", "id": "x2"}',
    "\x0b",
    '{"text": "hello seven"}',
    '{"id": "", "text": "hello eight"}',
    '{"id": " ", "text": "hello nine"}',
]


@pytest.mark.parametrize("field", ["text", "id"])
def test_odd_lines_raise_no_alarm(tmp_path: Path, tokenizer: Path, field: str) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join([*ODD, *('{"text": "a", "id": "b"}',) * 9]))
    config = TokenizeConfig(tokenizer=tokenizer, check=100, holdout=0, text_field=field)
    made = tokenize(
        [str(tmp_path / "a.jsonl")], tmp_path / "out", config, replace(ALONE, max_rejected=1.0)
    )
    assert made is not None
    assert made.check is not None
    assert made.check.differing == []
    assert made.check.checked == made.check.equal > 10
    assert made.check.passed_over <= 2


@pytest.mark.parametrize("ids", ["strings", "bytes", "numbers", "none"])
def test_rows_of_parquet_are_found_by_id_and_by_number(
    tmp_path: Path, tokenizer: Path, ids: str
) -> None:
    names: list[Any] = [f"r{n}" if n % 3 else None for n in range(len(TEXTS))]
    if ids == "bytes":
        names = [None if name is None else name.encode() for name in names]
    elif ids == "numbers":
        names = list(range(len(TEXTS)))
    bodies = [text if number % 50 else None for number, text in enumerate(TEXTS)]
    columns = {"more": list(range(len(TEXTS))), "body": bodies}
    table = pa.table(columns if ids == "none" else {**columns, "id": names})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=70, data_page_size=1_000)
    config = TokenizeConfig(tokenizer=tokenizer, text_field="body", check=1_000, holdout=0.3)
    tokenize([str(tmp_path / "a.parquet")], tmp_path / "whole", config, ALONE)
    made = read_manifest(tmp_path / "whole")
    assert made is not None
    assert made.counts.out == len(TEXTS) - 8
    name = load_reference(Tokenizer.load(tokenizer)).name
    assert made.check == Agreement(
        references=[name], checked=made.counts.out, equal=made.counts.out
    )


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_rows_behind_the_damage_of_a_file_are_none(
    tmp_path: Path, tokenizer: Path, share: float
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": TEXTS}), path, row_group_size=70, data_page_size=500)
    content = path.read_bytes()
    at = int(share * len(content))
    path.write_bytes(content[:at] + bytes(200) + content[at + 200 :])
    config = TokenizeConfig(tokenizer=tokenizer, check=1_000, holdout=0.3)
    with pytest.raises(UserError, match="breaks off or is damaged"):
        tokenize([str(path)], tmp_path / "out", config, replace(ALONE, max_rejected=1.0))
    made = read_manifest(tmp_path / "out")
    assert made is not None
    assert made.check is not None
    assert made.check.differing == []
    assert made.check.checked + made.check.passed_over == made.counts.out


def test_the_shares_of_the_units_sum_to_what_was_asked() -> None:
    for sizes in ([1], [5, 5, 5], [1, 1_000, 1, 0], [7] * 1_000):
        units = [
            Unit(index=index, files=(), is_shard=True, bytes=size)
            for index, size in enumerate(sizes)
        ]
        for count in (0, 1, 100):
            shares = [sample_size(count, units, index) for index in range(len(units))]
            assert sum(shares) == count
            for share, size in zip(shares, sizes, strict=True):
                assert share <= count * size / sum(sizes) + 1


def test_a_library_that_is_missing_is_named_before_any_work(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(tmp_path / "a.jsonl", TEXTS)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UserError, match=r"it is not installed; `pip install tokenizers`, or leave"):
        tokenize(
            [str(tmp_path / "a.jsonl")],
            tmp_path / "out",
            TokenizeConfig(tokenizer=tokenizer, check=1),
            ALONE,
        )
    assert not (tmp_path / "out").exists()


def test_agreements_add_up() -> None:
    one = Agreement(references=["a 1"], checked=3, equal=2, differing=["x"])
    two = Agreement(references=["a 2"], checked=4, equal=4, passed_over=1)
    assert Agreement.total([None, one, None, two]) == Agreement(
        references=["a 1", "a 2"], checked=7, equal=6, passed_over=1, differing=["x"]
    )
    assert Agreement.total([None]) is None


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("gpt2", "tokenizers "),
        ("llama3", "tokenizers "),
        ("llama3/tokenizer.model", "tokenizers "),
        ("mistral_v3", "sentencepiece "),
        ("tiktoken/9b5ad71b2ce5302211f9c61530b329a4922fc6a4", "tiktoken "),
        ("tiktoken/fb374d419588a4632f3f557e76b4b70aebbca790", "tiktoken "),
    ],
)
def test_each_kind_of_file_has_its_reference(shared: Path, name: str, library: str) -> None:
    ours = Tokenizer.load(shared / "tokenizers" / name)
    found = load_reference(ours)
    assert found.name.startswith(library)
    for text in ("Don't <|endoftext|> cafe\u0301 123456", "  \n\n\tx", "<s> नमस्ते 漢字"):
        assert found.encode(text) == ours.encode(text)


def test_a_rank_file_that_tiktoken_does_not_publish_has_no_pattern() -> None:
    with pytest.raises(reference._UnknownRanksError):
        reference._published("0" * 64)
    assert "pat_str" in reference._published(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
    )
