"""What bad input, and a bad machine, get: one line each, and nothing lost."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import zstandard
from conftest import Preprocess, write_records

from preprocess.readers import READERS
from preprocess.records import KINDS

GOOD = '{"id": "a", "text": "the fox"}\n'


def tokenize(preprocess: Preprocess, source: str, tokenizer: Path, *more: str) -> tuple[int, str]:
    done = preprocess("tokenize", source, "out", "--tokenizer", tokenizer, "--holdout", "0", *more)
    return done.returncode, done.stderr


def rejected(directory: Path) -> list[dict[str, object]]:
    content = (directory / "rejected.jsonl.zst").read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as reader:
        return [json.loads(line) for line in reader.read().splitlines()]


def counts(directory: Path) -> dict[str, object]:
    content: dict[str, dict[str, object]] = json.loads((directory / "manifest.json").read_text())
    return content["counts"]


@pytest.mark.parametrize("stage", ["tokenize", "dedup", "train-tokenizer"])
def test_missing_file(preprocess: Preprocess, tokenizer: Path, stage: str) -> None:
    options: dict[str, list[str | Path]] = {
        "tokenize": ["--tokenizer", tokenizer],
        "dedup": [],
        "train-tokenizer": ["--vocab-size", "300"],
    }
    done = preprocess(stage, "nothing.jsonl", "out", *options[stage])
    assert (done.returncode, done.stderr) == (
        1,
        f"preprocess {stage}: nothing.jsonl: expected a file or a directory, found nothing there; "
        "check the path\n",
    )


def test_a_pattern_without_files(preprocess: Preprocess, tokenizer: Path) -> None:
    assert tokenize(preprocess, "*.jsonl", tokenizer) == (
        1,
        "preprocess tokenize: *.jsonl: expected files that match, found none; check the pattern\n",
    )


def test_empty_file(tmp_path: Path, preprocess: Preprocess, tokenizer: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    assert tokenize(preprocess, "a.jsonl", tokenizer) == (
        1,
        "preprocess tokenize: expected records, none is left of 0 in the input; "
        "check the input of out\n",
    )


def test_empty_directory(tmp_path: Path, preprocess: Preprocess, tokenizer: Path) -> None:
    (tmp_path / "in").mkdir()
    assert tokenize(preprocess, "in", tokenizer) == (
        1,
        "preprocess tokenize: expected record files (.jsonl, .json, .wet, each also "
        ".gz and .zst, .parquet) in in, found none; check the path\n",
    )


def test_wrong_extension(tmp_path: Path, preprocess: Preprocess, tokenizer: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    assert tokenize(preprocess, "a.csv", tokenizer) == (
        1,
        "preprocess tokenize: a.csv: expected a file of records (.jsonl, .json, .wet, "
        "each also .gz and .zst, .parquet) or a directory of them; rename it, or make "
        "records of it with `preprocess ingest`\n",
    )


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
def test_truncated_file_gives_what_can_be_read_and_fails(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path, suffix: str
) -> None:
    lines = "".join(f'{{"text": "{number * 7919 % 100003} the fox"}}\n' for number in range(20_000))
    (tmp_path / "a.jsonl").write_text(lines)
    if suffix == ".zst":
        whole = zstandard.compress(lines.encode())
    else:
        subprocess.run(["gzip", "-k", str(tmp_path / "a.jsonl")], check=True)
        whole = (tmp_path / "a.jsonl.gz").read_bytes()
    (tmp_path / f"cut.jsonl{suffix}").write_bytes(whole[: len(whole) // 2])
    status, message = tokenize(preprocess, f"cut.jsonl{suffix}", tokenizer)
    assert status == 1
    assert message.startswith(
        f"preprocess tokenize: cut.jsonl{suffix}: expected a whole compressed file, it breaks off"
    )
    assert "what could be read is in out; replace the file" in message
    assert message.count("\n") == 1
    kept = counts(tmp_path / "out")
    assert 5_000 < kept["out"] < 20_000  # type: ignore[operator]
    again, _ = tokenize(preprocess, f"cut.jsonl{suffix}", tokenizer)
    assert again == 1, "a second run must not take it for whole"
    done = preprocess("dedup", "out", "unique")
    assert done.returncode == 1


def test_unreadable_lines_are_kept_counted_and_named(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    bad = [
        (b'{"text": "a\xff"}', "invalid_utf8"),
        (b"no json", "invalid_json"),
        (b'{"words": "a"}', "no_text"),
        (b'{"text": 5}', "wrong_type"),
        (b'{"text": "cut', "invalid_json"),
        (b"[1, 2]", "invalid_json"),
    ]
    content = GOOD.encode() * 100 + b"".join(line + b"\n" for line, _ in bad) + b"\n  \n"
    (tmp_path / "a.jsonl").write_bytes(content)
    status, message = tokenize(preprocess, "a.jsonl", tokenizer, "--max-rejected", "0.1")
    assert status == 0
    assert (
        "  rejected: invalid_json 3, invalid_utf8 1, no_text 1, wrong_type 1; "
        "see out/rejected.jsonl.zst\n"
    ) in message
    found = rejected(tmp_path / "out")
    assert [entry["reason"] for entry in found] == [reason for _, reason in bad]
    assert [entry["origin"] for entry in found] == [
        {"path": "a.jsonl", "record": 100 + number} for number in range(len(bad))
    ]
    assert found[1]["raw"] == "no json"
    assert base64.b64decode(str(found[0]["raw"])) == bad[0][0]
    assert counts(tmp_path / "out") == {
        "native": 106,
        "in": 100,
        "out": 100,
        "dropped": {},
        "rejected": {"invalid_json": 3, "invalid_utf8": 1, "no_text": 1, "wrong_type": 1},
    }


def test_too_many_unreadable_lines_fail_and_everything_is_kept(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD * 9 + "no json\n")
    assert tokenize(preprocess, "a.jsonl", tokenizer) == (
        1,
        "preprocess tokenize: expected at most 5.0% unreadable records, 1 of 10 were rejected "
        "(invalid_json 1); they are in out/rejected.jsonl.zst, what could be read is kept; mend "
        "the input, or raise --max-rejected\n",
    )
    assert counts(tmp_path / "out")["out"] == 9
    assert tokenize(preprocess, "a.jsonl", tokenizer)[0] == 1
    assert tokenize(preprocess, "a.jsonl", tokenizer, "--max-rejected", "0.2")[0] == 0


def test_ingest_accounts_for_every_line(tmp_path: Path, preprocess: Preprocess) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD.encode() * 30 + b'no json\n{"text": "\xff"}\n')
    done = preprocess("ingest", "a.jsonl", "out", "--dataset", "jsonl", "--max-rejected", "0.2")
    assert done.returncode == 0, done.stderr
    assert [entry["reason"] for entry in rejected(tmp_path / "out")] == [
        "invalid_json",
        "invalid_utf8",
    ]
    assert counts(tmp_path / "out")["native"] == 32


def test_a_record_over_memory_is_rejected_by_name(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    long = json.dumps({"id": "long", "text": "x" * 3_000_000})
    (tmp_path / "a.jsonl").write_text(GOOD * 50 + long + "\n" + GOOD * 50)
    status, message = tokenize(preprocess, "a.jsonl", tokenizer, "--memory", "2MiB")
    assert (status, "over_memory 1" in message) == (0, True), message
    (entry,) = rejected(tmp_path / "out")
    assert entry["origin"] == {"path": "a.jsonl", "record": 50}
    assert str(entry["raw"]).startswith('{"id": "long"')
    assert counts(tmp_path / "out")["out"] == 100
    done = preprocess(
        "ingest", "a.jsonl", "in", "--dataset", "jsonl", "--memory", "2MiB", "--workers", "1"
    )
    assert done.returncode == 0, done.stderr
    assert rejected(tmp_path / "in")[0]["reason"] == "over_memory"


def test_a_run_goes_on_with_the_memory_that_rejects_the_same_records(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD * 50)
    small = ("--memory", "2MiB")
    assert tokenize(preprocess, "a.jsonl", tokenizer, *small)[0] == 0
    assert tokenize(preprocess, "a.jsonl", tokenizer, *small, "--workers", "2")[0] == 0
    assert tokenize(preprocess, "a.jsonl", tokenizer) == (
        1,
        "preprocess tokenize: out: this directory was begun with --memory 2097152 bytes, not 2GiB "
        "or more, which decides how long a record may be; give the same again, choose a new "
        "directory, or remove this one\n",
    )
    shutil.rmtree(tmp_path / "out")
    # Enough for any record is enough, however much.
    assert tokenize(preprocess, "a.jsonl", tokenizer, "--workers", "1")[0] == 0
    assert tokenize(preprocess, "a.jsonl", tokenizer, "--memory", "3GiB")[0] == 0


def test_ids_that_name_nothing_are_those_of_places(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    ids = ["", " ", "\u2028", "\ufeff", None, "x"]
    lines = [json.dumps({"id": name, "text": "the fox", "source": None}) for name in ids]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    status, message = tokenize(preprocess, "a.jsonl", tokenizer, "--check", "6")
    assert status == 0, message
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert (manifest["check"]["checked"], manifest["check"]["equal"]) == (6, 6)
    content = zstandard.ZstdDecompressor().stream_reader(
        (tmp_path / "out/part-00000.ids.zst").read_bytes(), read_across_frames=True
    )
    assert content.read().decode() == "".join(f"a.jsonl#{each}\n" for each in range(5)) + "x\n"
    assert preprocess("verify", "out").returncode == 0


def test_a_huge_rejected_line_is_shown_by_its_head(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD * 50 + "x" * 5_000_000 + "\n")
    assert tokenize(preprocess, "a.jsonl", tokenizer)[0] == 0
    (entry,) = rejected(tmp_path / "out")
    assert (len(str(entry["raw"])), entry["raw_bytes"]) == (1 << 16, 5_000_000)


def test_many_sources_are_told_apart_up_to_a_limit_and_hide_no_group(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    pairs = [(f"source {number}", f"kind {number % 7}") for number in range(3_000)]
    pairs += [("behind", kind) for kind in KINDS]
    lines = [
        json.dumps({"id": f"{at}", "text": "the fox", "source": source, "kind": kind})
        for at, (source, kind) in enumerate(pairs)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    for stage, out in (("tokenize", "out"), ("dedup", "once")):
        options = ["--tokenizer", tokenizer, "--holdout", "0"] if stage == "tokenize" else []
        if stage == "dedup":
            lines = [line.replace("the fox", f"the fox {at}") for at, line in enumerate(lines)]
            (tmp_path / "a.jsonl").write_text("\n".join(lines))
        done = preprocess(stage, "a.jsonl", out, *options, "--workers", "2")
        assert done.returncode == 0, done.stderr
        (shard,) = json.loads((tmp_path / out / "manifest.json").read_text())["shards"]
        others = {
            each["kind"]: each["records"]
            for each in shard["composition"]
            if each["source"] == "other"
        }
        assert others == {"other": 3_000 - 1_024, **dict.fromkeys(KINDS, 1)}
    done = preprocess("tokenize", "once", "code", "--tokenizer", tokenizer, "--group", "code")
    assert done.returncode == 0, done.stderr
    assert counts(tmp_path / "code")["out"] == 1


def test_a_tokenizer_without_end_of_document(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    write_records(tmp_path / "a.jsonl", ["the fox"])
    assert tokenize(preprocess, "a.jsonl", tokenizer, "--eod", "<|nowhere|>") == (
        1,
        f"preprocess tokenize: {tokenizer}: expected the end-of-document token '<|nowhere|>' in "
        "the vocabulary, it is not there; its special tokens: <|endoftext|>\n",
    )
    content = json.loads(tokenizer.read_text())
    content["added_tokens"] = []
    (tmp_path / "bare.json").write_text(json.dumps(content))
    status, message = tokenize(preprocess, "a.jsonl", tmp_path / "bare.json")
    assert status == 1
    assert "found none (it has none); name it with --eod TOKEN, or give --no-eod" in message
    twin = {**json.loads(tokenizer.read_text())["added_tokens"][0], "id": 300, "content": "<|eot|>"}
    content["added_tokens"] = [*json.loads(tokenizer.read_text())["added_tokens"], twin]
    (tmp_path / "two.json").write_text(json.dumps(content))
    status, message = tokenize(preprocess, "a.jsonl", tmp_path / "two.json")
    assert status == 1
    assert "found 2 that may be it (<|endoftext|>, <|eot|>); choose with --eod TOKEN" in message


def test_a_tokenizer_that_is_none(tmp_path: Path, preprocess: Preprocess) -> None:
    write_records(tmp_path / "a.jsonl", ["the fox"])
    (tmp_path / "tokenizer.json").write_text("{")
    status, message = tokenize(preprocess, "a.jsonl", tmp_path / "tokenizer.json")
    assert status == 1
    assert message.startswith(f"preprocess tokenize: {tmp_path}/tokenizer.json: ")
    assert message.count("\n") == 1


def test_a_directory_begun_otherwise_is_refused(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    write_records(tmp_path / "a.jsonl", ["the fox"] * 40)
    assert tokenize(preprocess, "a.jsonl", tokenizer)[0] == 0
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    refused = "choose a new directory, or remove this one\n"
    done = preprocess("tokenize", "a.jsonl", "out", "--tokenizer", tokenizer, "--holdout", "0.5")
    assert (done.returncode, done.stderr) == (
        1,
        f"preprocess tokenize: out: this directory was begun with holdout 0.0, not 0.5; {refused}",
    )
    done = preprocess("dedup", "a.jsonl", "out")
    assert "begun with stage tokenize, not dedup" in done.stderr
    write_records(tmp_path / "a.jsonl", ["the dog"] * 40)
    status, message = tokenize(preprocess, "a.jsonl", tokenizer)
    assert (status, message) == (
        1,
        "preprocess tokenize: out: this directory was begun with other inputs (a.jsonl has "
        f"changed); {refused}",
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before


def test_foreign_files_are_not_touched(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    write_records(tmp_path / "a.jsonl", ["the fox"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("years of work")
    assert tokenize(preprocess, "a.jsonl", tokenizer) == (
        1,
        "preprocess tokenize: out: expected an empty or new directory, found thesis.tex in it; "
        "choose another, nothing there was touched\n",
    )
    (tmp_path / "file").write_text("")
    done = preprocess("dedup", "a.jsonl", "file")
    assert "file: expected a directory to write into, found a file" in done.stderr


def test_inputs_that_would_share_ids_are_both_named(tmp_path: Path, preprocess: Preprocess) -> None:
    for folder in ("one", "two"):
        write_records(tmp_path / folder / "a.jsonl", ["the fox"])
    done = preprocess("ingest", "one", "two", "out", "--dataset", "jsonl")
    assert (done.returncode, done.stderr) == (
        1,
        "preprocess ingest: one/a.jsonl and two/a.jsonl would give records the same id "
        "(a.jsonl#...); give the folder that holds both as one input, or run twice\n",
    )


def test_a_damaged_shard_is_found_by_the_next_stage(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    write_records(tmp_path / "a.jsonl", [f"the fox number {number}" for number in range(50)])
    assert preprocess("ingest", "a.jsonl", "in", "--dataset", "jsonl").returncode == 0
    shard = tmp_path / "in/part-00000.jsonl.zst"
    shard.write_bytes(zstandard.compress(zstandard.decompress(shard.read_bytes(), 1 << 20), 9))
    status, message = tokenize(preprocess, "in", tokenizer)
    assert status == 1
    assert "of its manifest, found" in message
    assert "it is damaged" in message


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A file system of its own, 1 MiB large."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system takes root")
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    return path


@pytest.fixture
def small(mounted: Path) -> object:
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_full_disk(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path, small: Path, workers: str
) -> None:
    texts = [f"{number * 7919 % 100_003} the quick fox" * 20 for number in range(6_000)]
    write_records(tmp_path / "a.jsonl", texts)
    command = ["tokenize", "a.jsonl", "small/out", "--tokenizer", tokenizer, "--workers", workers]
    done = preprocess(*command)
    assert done.returncode == 1
    assert done.stderr.startswith("preprocess tokenize: small/out/units/00000-00000-part.bin: ")
    assert done.stderr.endswith(
        "no space left on device; free some space, then run the same command again: finished "
        "shards are kept\n"
    )
    assert list(Path(small / "out/units").iterdir()) == [], "what was not finished is removed"
    subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
    done = preprocess(*command)
    assert done.returncode == 0, done.stderr
    assert counts(small / "out")["out"] == 6_000
    done = preprocess("ingest", "a.jsonl", "small/in", "--dataset", "jsonl")
    assert done.returncode == 0, done.stderr


def test_no_write_permission(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path, small: Path
) -> None:
    write_records(tmp_path / "a.jsonl", ["the fox"])
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    done = preprocess("tokenize", "a.jsonl", "small/out", "--tokenizer", tokenizer)
    assert (done.returncode, done.stderr) == (
        1,
        "preprocess tokenize: small/out: read-only file system; the file system is read-only, "
        "choose another place\n",
    )


def test_misuse_ends_with_2_and_one_line(preprocess: Preprocess) -> None:
    for arguments, message in (
        (["ingest", "a", "b", "--dataset", "no"], "--dataset: expected one of fireact, "),
        (["ingest", "a", "b", "--dataset", "python_api", "--text-field", "x"], "--text-field: "),
        (["ingest", "a", "b", "--dataset", "jsonl", "--num-tasks", "3"], "expected --task with"),
        (["dedup", "a", "b", "--memory", "much"], "expected a size as 512MiB or 4GB, got 'much'"),
        (["tokenize", "a", "b", "--tokenizer", "c", "--eod", "x", "--no-eod"], "expected --eod or"),
        (["blend", "agent=a:0.5", "code=b:0.4", "out.json"], "weights that sum to 1"),
        (["blend", "agent=a", "out.json"], "expected GROUP=TOKENS:WEIGHT"),
        (["tokenize", "a", "b"], "Missing option '--tokenizer'"),
        (["nothing"], "No such command 'nothing'; see `preprocess --help`"),
    ):
        done = preprocess(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert message in done.stderr


def test_the_table_of_datasets_names_them_whole_on_a_narrow_terminal(
    preprocess: Preprocess,
) -> None:
    done = preprocess("datasets", env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    for name in READERS:
        assert f"\N{BOX DRAWINGS LIGHT VERTICAL} {name} " in done.stdout
    assert "\N{HORIZONTAL ELLIPSIS}" not in done.stdout


def test_clusters_of_a_dedup_without_duplicates(tmp_path: Path, preprocess: Preprocess) -> None:
    write_records(tmp_path / "a.jsonl", ["the fox", "a dog"])
    assert preprocess("dedup", "a.jsonl", "unique").returncode == 0
    done = preprocess("inspect", "unique", "--clusters", "3")
    assert (done.returncode, done.stdout) == (0, "no clusters: no record was a duplicate\n")


def test_blanks_between_licences_do_not_matter(tmp_path: Path, preprocess: Preprocess) -> None:
    write_records(tmp_path / "a.jsonl", ["the fox"])
    options = ["--dataset", "jsonl", "--licenses", " MIT, unknown"]
    done = preprocess("ingest", "a.jsonl", "records", *options)
    assert done.returncode == 0, done.stderr
