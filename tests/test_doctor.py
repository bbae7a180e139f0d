"""`doctor`: what would go wrong is said before anything runs."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Preprocess, write_records

from preprocess._rust_ext import Tokenizer
from preprocess.doctor import _same_file, encoder, file_system, machine, plan_needs
from preprocess.doctor.facts import ModelFiles, Vocabulary, read_model_files
from preprocess.doctor.findings import Finding, as_table
from preprocess.doctor.special_tokens import check_special_tokens
from preprocess.doctor.vocabulary import check_vocabulary
from preprocess.end_of_document import EndOfDocument
from preprocess.errors import UserError
from preprocess.plan import read_plan
from preprocess.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def vocabulary(eod: str | None, *special: str, size: int = 10) -> Vocabulary:
    """A small vocabulary with its special tokens behind the words."""
    tokens = [*(f"word{number}" for number in range(size)), *special]
    ids = {token: size + number for number, token in enumerate(special)}
    end = EndOfDocument(token=eod, id=ids[eod], reason="by hand") if eod else None
    problem = "" if eod else "two could be it"
    return Vocabulary(tokens=tuple(tokens), special=ids, eod=end, eod_problem=problem)


LLAMA_3 = vocabulary(
    "<|end_of_text|>", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|reserved|>"
)
MISTRAL = vocabulary("</s>", "<s>", "</s>", "[INST]")
QWEN = vocabulary("<|endoftext|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>")


def worst(findings: list[Finding], subject: str) -> Finding:
    found = [finding for finding in findings if finding.subject == subject]
    assert found, subject
    return max(found, key=lambda finding: ("ok", "warn", "fail").index(finding.level))


def test_a_base_model_whose_files_agree_has_nothing_to_say() -> None:
    files = ModelFiles(
        config={"vocab_size": 14, "eos_token_id": 11, "bos_token_id": 10},
        generation={"eos_token_id": 11, "pad_token_id": None},
        tokenizer={"eos_token": "<|end_of_text|>", "bos_token": {"content": "<|begin_of_text|>"}},
        special_tokens={"eos_token": {"content": "<|end_of_text|>", "lstrip": False}},
    )
    findings = check_vocabulary(LLAMA_3, files) + check_special_tokens(LLAMA_3, files)
    assert [finding for finding in findings if finding.level != "ok"] == []
    eos = worst(findings, "eos")
    assert eos.found == (
        "the end of a document, in config.json, generation_config.json, tokenizer_config.json, "
        "special_tokens_map.json"
    )


@pytest.mark.parametrize(
    ("known", "files", "subject", "level", "found"),
    [
        (
            LLAMA_3,
            ModelFiles(config={"eos_token_id": [11, 12]}, tokenizer={"eos_token": "<|eot_id|>"}),
            "eos",
            "warn",
            "12 (<|eot_id|>) ends a turn of an instruct model, not a document",
        ),
        (
            QWEN,
            ModelFiles(tokenizer={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}),
            "pad",
            "warn",
            "tokenizer_config.json: 10 (<|endoftext|>) is the end of a document",
        ),
        (
            QWEN,
            ModelFiles(config={"eos_token_id": 12, "pad_token_id": 12}),
            "pad",
            "warn",
            "config.json: 12 (<|im_end|>) is also eos (12)",
        ),
        (
            LLAMA_3,
            ModelFiles(config={"pad_token_id": 13}, tokenizer={"pad_token": "<|eot_id|>"}),
            "pad",
            "warn",
            "the files differ: config.json: 13 (<|reserved|>); tokenizer_config.json: 12",
        ),
        (
            MISTRAL,
            ModelFiles(tokenizer={"eos_token": "<|endoftext|>"}),
            "eos of tokenizer_config.json",
            "fail",
            "<|endoftext|> is not in the vocabulary of 13 ids",
        ),
        (
            MISTRAL,
            ModelFiles(generation={"pad_token_id": 32_000}),
            "pad of generation_config.json",
            "fail",
            "32000 is not in the vocabulary of 13 ids",
        ),
        (
            MISTRAL,
            ModelFiles(tokenizer={"bos_token": "<s>", "add_bos_token": True}),
            "bos",
            "warn",
            "the tokenizer puts it before every text, `tokenize` does not",
        ),
        (
            MISTRAL,
            ModelFiles(config={"bos_token_id": 1}, tokenizer={"bos_token": "<s>"}),
            "bos",
            "warn",
            "the files differ: config.json: 1 (word1); tokenizer_config.json: 10 (<s>)",
        ),
        (vocabulary(None, "<eos>", "<eot>"), ModelFiles(), "end of document", "fail", "two could"),
        (
            vocabulary(None, "<a>"),
            ModelFiles(tokenizer={"eos_token": "<a>"}),
            "eos",
            "warn",
            "10 (<a>); none is known to end a document",
        ),
        (MISTRAL, ModelFiles(config={"eos_token_id": 3}), "eos", "warn", "in another token"),
    ],
)
def test_special_tokens_that_differ_are_named(
    known: Vocabulary, files: ModelFiles, subject: str, level: str, found: str
) -> None:
    finding = worst(check_special_tokens(known, files), subject)
    assert (finding.level, found in finding.found, bool(finding.advice)) == (level, True, True), (
        finding
    )


def test_ids_without_a_row_of_the_embedding_fail_by_name() -> None:
    for config in ({"vocab_size": 12}, {"text_config": {"vocab_size": 12}}):
        finding = worst(
            check_vocabulary(LLAMA_3, ModelFiles(config=config)), "vocabulary and embedding"
        )
        assert finding.level == "fail"
        assert finding.found == (
            "14 ids, added tokens included, but vocab_size is 12: 2 ids have no row "
            "(12 (<|eot_id|>), 13 (<|reserved|>))"
        )
    padded = worst(
        check_vocabulary(QWEN, ModelFiles(config={"vocab_size": 129})), "vocabulary and embedding"
    )
    assert (padded.level, "116 rows without a token" in padded.found) == ("ok", True)
    assert "Megatron makes it 256" in padded.found


@pytest.mark.parametrize(
    ("config", "level"),
    [
        ({"model_type": "x"}, "warn"),
        ({"vocab_size": True}, "fail"),
        ({"vocab_size": "14"}, "fail"),
        ({"vocab_size": 99, "text_config": {"vocab_size": 13}}, "fail"),
        ({"vocab_size": 13, "text_config": {"vocab_size": 14}}, "ok"),
    ],
)
def test_rows_are_an_integer_and_those_of_the_text(config: dict[str, Any], level: str) -> None:
    findings = check_vocabulary(LLAMA_3, ModelFiles(config=config))
    assert worst(findings, "vocabulary and embedding").level == level


def test_ids_that_are_no_integers_fail_and_no_pad_is_none() -> None:
    files = ModelFiles(config={"eos_token_id": "11", "bos_token_id": [True], "pad_token_id": -1})
    findings = check_special_tokens(LLAMA_3, files)
    assert worst(findings, "eos of config.json").level == "fail"
    assert worst(findings, "bos of config.json").level == "fail"
    assert worst(findings, "pad").level == "ok"
    assert not [each for each in findings if each.subject == "pad of config.json"]


def test_another_tokenizer_beside_the_model_is_named(tmp_path: Path, tokenizer: Path) -> None:
    file = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    loaded = Tokenizer.load(file)
    assert [each.level for each in _same_file(loaded, tmp_path)] == ["ok"]
    copy.write_bytes(file.read_bytes() + b" ")
    assert [each.level for each in _same_file(loaded, tmp_path)] == ["warn"]


def test_gaps_and_repeated_tokens_are_counted() -> None:
    odd = Vocabulary(
        tokens=("a", None, "b", "a", None), special={}, eod=None, eod_problem="none"
    )  # fmt: skip
    findings = check_vocabulary(odd, ModelFiles())
    assert worst(findings, "gaps").found == "2 ids have no token (1, 4)"
    assert worst(findings, "repeated tokens").found == "1 tokens have several ids (a)"
    assert {worst(findings, name).level for name in ("gaps", "repeated tokens")} == {"warn"}


def test_added_tokens_that_the_configuration_places_elsewhere_fail() -> None:
    subject = "added tokens of tokenizer_config.json"
    declared = {"10": {"content": "<s>"}, "11": {"content": "[INST]"}, "99": {"content": "<new>"}}
    files = ModelFiles(tokenizer={"added_tokens_decoder": declared})
    finding = worst(check_vocabulary(MISTRAL, files), subject)
    assert finding.level == "fail"
    assert "2 of 3 differ from the tokenizer ([INST] should be 11, <new> should be 99)" in (
        finding.found
    )


@pytest.mark.parametrize(("size", "dtype"), [(65_496, "uint16"), (65_497, "int32")])
def test_the_element_type_counts_added_tokens(size: int, dtype: str) -> None:
    known = vocabulary("</s>", "<s>", "</s>", "[INST]", size=size)
    assert worst(check_vocabulary(known, ModelFiles()), "element type").found.startswith(dtype)


def test_files_are_found_where_they_belong(tmp_path: Path) -> None:
    for folder, eos in (("model", "model's"), ("tokenizer", "tokenizer's")):
        (tmp_path / folder).mkdir()
        for name in ("config.json", "tokenizer_config.json"):
            (tmp_path / folder / name).write_text(json.dumps({"eos_token": eos}))
    (tmp_path / "model/special_tokens_map.json").write_text('{"eos_token": "only here"}')
    model, tokenizer = tmp_path / "model", tmp_path / "tokenizer"
    for given in (model, model / "config.json"):
        files = read_model_files(tokenizer / "tokenizer.json", given)
        assert files.config == {"eos_token": "model's"}
        assert files.tokenizer == {"eos_token": "tokenizer's"}
        assert files.special_tokens == {"eos_token": "only here"}
    assert read_model_files(tokenizer, None).config == {"eos_token": "tokenizer's"}
    with pytest.raises(UserError, match=r"expected a model's directory with a config\.json"):
        read_model_files(tokenizer, tmp_path / "nowhere")
    (model / "config.json").write_text("[1]")
    with pytest.raises(UserError, match=r"config\.json: expected a JSON object, found list"):
        read_model_files(tokenizer, model)


def test_ids_that_differ_from_the_reference_fail(tokenizer: Path) -> None:
    ours = Tokenizer.load(tokenizer)
    same = Reference(name="tokenizers 1", encode=ours.encode)
    assert encoder.agree(ours, same).level == "ok"
    other = Reference(name="tokenizers 1", encode=lambda text: ours.encode(text.replace("\r", "")))
    finding = encoder.agree(ours, other)
    assert (finding.level, finding.found) == (
        "fail",
        "other ids than tokenizers 1 for: line ends, everything",
    )
    assert encoder.who("BPE", None).level == "ok"
    assert encoder.who("tokenizers library", "a pattern of its own").level == "warn"


def test_a_missing_reference_is_a_warning(tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    finding = encoder.check_encoder(Tokenizer.load(tokenizer))[-1]
    assert (finding.level, "it is not installed" in finding.found) == ("warn", True)


def test_a_directory_is_tried_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_system, "PROBE_BYTES", 1 << 20)
    findings = file_system.check_directory(tmp_path / "not/yet/there")
    subjects = [finding.subject for finding in findings]
    assert subjects == [
        "file system", "free space", "rename over a file", "exclusive creation", "hard links",
        "speed of writing",
    ]  # fmt: skip
    assert {worst(findings, name).found for name in subjects[2:5]} == {"works"}
    assert list(tmp_path.iterdir()) == []


def broken_link(_source: object, _target: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_a_file_system_that_breaks_a_promise_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lies(_probe: Path) -> str:
        return "the old content is still there"

    def refuses(_probe: Path) -> str:
        raise OSError(95, "Operation not supported")

    trials: list[tuple[Callable[[Path], str], str]] = [
        (lies, "the old content is still there"),
        (refuses, "refused: Operation not supported"),
    ]
    for trial, found in trials:
        finding = file_system.attempt("rename over a file", tmp_path, trial)
        assert (finding.level, finding.found) == ("fail", found)
    monkeypatch.setattr(os, "link", broken_link)
    finding = file_system.attempt("hard links", tmp_path, file_system.links_once)
    assert (finding.level, finding.found) == ("warn", "not there: Operation not permitted")
    monkeypatch.setattr(os, "link", lambda _source, _target: None)
    (tmp_path / "again").mkdir()
    finding = file_system.attempt("hard links", tmp_path / "again", file_system.links_once)
    assert (finding.level, finding.found) == ("warn", "a name that is taken was linked again")


def test_slow_and_full_disks_are_warned_of(tmp_path: Path) -> None:
    assert file_system.judge_speed(20e6, 0.03).level == "warn"
    assert file_system.judge_speed(600e6, 0.0001).found == (
        "600 MB/s to the disk, an empty fsync takes 0.1 ms"
    )
    assert file_system.space(tmp_path, 1 << 30, 5).level == "warn"
    assert file_system.space(tmp_path, 1 << 40, 0).level == "ok"


def test_the_file_system_is_that_of_the_longest_mount_point(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/a / ext4 rw 0 0\nserver:/x /scratch lustre rw 0 0\n"
        "tmpfs /scratch/a\\040b tmpfs rw 0 0\n"
    )
    root = tmp_path.__class__("/")
    assert file_system.kind_of(root / "home", mounts).found == "ext4 at /"
    assert "lustre at /scratch, shared" in file_system.kind_of(root / "scratch/x", mounts).found
    assert file_system.kind_of(root / "scratch/a b/c", mounts).level == "warn"


def test_memory_is_what_the_container_may_have(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   4194304 kB\n")
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "limit").write_text(f"{1 << 30}\n")
    meminfo = tmp_path / "meminfo"
    assert machine.available_bytes(meminfo, (str(tmp_path / "max"),)) == 4 << 30
    assert machine.available_bytes(meminfo, (str(tmp_path / "limit"),)) == 1 << 30
    assert machine.available_bytes(tmp_path / "none", ()) is None
    finding = machine.memory(4 << 30, 2 << 30, 2, is_default=True)
    assert (finding.level, finding.advice) == ("fail", "--memory 1948MiB, or fewer --workers")
    assert machine.memory(1 << 30, 2 << 30, 2, is_default=False).level == "ok"
    assert machine.check_cores(2, 3).level == "warn"


def test_the_limits_of_slurm_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = "Configuration data\nMaxArraySize            = 1001\nMaxJobCount = 10000\n"
    found = machine.slurm(config + "SLURM_VERSION           = 24.05.2\n")[0]
    assert found.found == "24.05.2, MaxArraySize 1001, MaxJobCount 10000"
    assert "--num-tasks 1001 at most" in found.advice
    assert machine.slurm("MaxArraySize = 0\n")[0].level == "fail"
    assert machine.slurm("")[0].level == "warn"
    assert machine.slurm(None)[0].level == "ok"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.show_config() is None
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!{sys.executable}\nprint('MaxArraySize = 7')\n")
    scontrol.chmod(0o755)
    assert machine.show_config() == "MaxArraySize = 7\n"
    scontrol.write_text(f"#!{sys.executable}\nimport time; time.sleep(30)\n")
    monkeypatch.setattr(machine, "SCONTROL_SECONDS", 0.3)
    assert machine.show_config() == ""


def sizes(text: str) -> int:
    return int(text.removesuffix("GB")) * 10**9


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_bytes(bytes(1_000_000))
    (tmp_path / "in/b.jsonl.gz").write_bytes(bytes(1_000_000))
    path = tmp_path / "plan.toml"
    path.write_text(
        f"""
[run]
directory = "{tmp_path}/run"
[[stage]]
name = "records"
command = "ingest"
input = "{tmp_path}/in"
options = {{ dataset = "jsonl" }}
[[stage]]
name = "unique"
command = "dedup"
input = "records"
options = {{ memory = "3GB" }}
[[stage]]
name = "tokens"
command = "tokenize"
input = ["unique", "{tmp_path}/gone"]
"""
    )
    return path


def test_what_a_plan_needs_is_predicted_and_held_against_what_there_is(plan: Path) -> None:
    read = read_plan(plan, frozenset({"ingest", "dedup", "tokenize"}))
    found = plan_needs.needs(read, plan_needs.given_inputs(read)[0])
    assert [round(each.text_bytes) for each in found] == [5_000_000] * 3
    stored = [round(each.stored_bytes) for each in found]
    assert stored == [2_000_000, 2_000_000, 6_000_000]
    assert found[1].passing_bytes > 0
    levels = {}
    for free in (9_000_000, 15_000_000, 10**9):
        findings = plan_needs.check_plan(read, free, 4 * 10**9, sizes)
        levels[free] = worst(findings, "plan: disk").level
        assert "unique 2.8 MB" in worst(findings, "plan: disk").found
    assert levels == {9_000_000: "fail", 15_000_000: "warn", 10**9: "ok"}
    missing = worst(findings, "plan: input")
    assert (missing.level, "gone: nothing there" in missing.found) == ("fail", True)
    assert worst(findings, "plan: memory").level == "ok"
    findings = plan_needs.check_plan(read, 10**9, 2 * 10**9, sizes)
    assert worst(findings, "plan: memory").found == "unique 3.0 GB asked for, 2.0 GB available"


def test_the_command_tells_a_person_and_a_program(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path, plan: Path
) -> None:
    config: dict[str, Any] = {"vocab_size": 300, "eos_token_id": 0, "pad_token_id": 0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = ["doctor", "--tokenizer", tokenizer, "--model", tmp_path, "--directory", "out"]
    done = preprocess(*command, "--memory", "64MiB", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    found = {each["subject"]: each["level"] for each in report["findings"]}
    assert (found["vocabulary and embedding"], found["pad"]) == ("ok", "warn")
    assert found["agreement"] == "ok"
    assert report["counts"]["fail"] == 0
    (tmp_path / "config.json").write_text('{"vocab_size": 260}')
    done = preprocess(*command, "--memory", "64MiB", "--plan", plan)
    assert done.returncode == 1
    assert "what to do" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "found 3 of" in done.stderr  # its tokenize has no --tokenizer
    assert "the first is vocabulary and embedding: enlarge the embedding" in done.stderr
    assert not (tmp_path / "out").exists()
    done = preprocess("doctor", "--model", tmp_path)
    assert done.returncode == 2


def test_brackets_of_tokens_are_not_markup() -> None:
    from io import StringIO

    from rich.console import Console

    text = StringIO()
    table = as_table([Finding("warn", "pad", "[INST] and [/INST]", "rename [red]")])
    Console(file=text, width=120).print(table)
    assert "[INST] and [/INST]" in text.getvalue()
    assert "rename [red]" in text.getvalue()


@pytest.mark.shared
@pytest.mark.parametrize("name", ["gpt2", "llama3", "llama3_1", "mistral_v3", "qwen2_5"])
def test_real_tokenizers_have_no_fault(preprocess: Preprocess, shared: Path, name: str) -> None:
    path = shared / "tokenizers" / name
    done = preprocess("doctor", "--tokenizer", path, "--json", "--memory", "64MiB")
    assert done.returncode == 0, done.stderr
    levels = {each["subject"]: each["level"] for each in json.loads(done.stdout)["findings"]}
    assert levels["agreement"] == levels["end of document"] == "ok"


def test_records_of_the_plan_are_counted_by_their_manifest(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    write_records(tmp_path / "a.jsonl", ["the fox"] * 10)
    done = preprocess("ingest", "a.jsonl", "records", "--dataset", "jsonl")
    assert done.returncode == 0, done.stderr
    assert plan_needs.text_bytes(tmp_path / "records") == 70


def test_options_that_a_command_does_not_take_fail(tmp_path: Path) -> None:
    from preprocess.doctor.plan_options import check_options

    path = tmp_path / "plan.toml"
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/tokenizer.json").write_text("{}")
    path.write_text(
        f'[run]\ndirectory = "{tmp_path}/run"\n'
        '[[stage]]\nname = "a"\ncommand = "dedup"\ninput = "x"\noptions = {treshold = 0.5}\n'
        '[[stage]]\nname = "b"\ncommand = "tokenize"\ninput = "a"\n'
        f'options = {{tokenizer = "{tmp_path}/broken"}}\n'
        '[[stage]]\nname = "c"\ncommand = "dedup"\ninput = "x"\noptions = {threshold = 0.5}\n'
    )
    findings = check_options(read_plan(path, frozenset({"dedup", "tokenize"})))
    assert [(each.level, each.subject) for each in findings] == [
        ("fail", "plan: options of a"),
        ("fail", "plan: tokenizer of b"),
    ]
    assert "treshold" in findings[0].found
