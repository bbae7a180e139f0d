"""`preprocess explain` on a run of all stages: each record has another fate."""

from __future__ import annotations

import io
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from conftest import Preprocess, write_records
from rich.console import Console

from preprocess.dedup import DedupConfig, dedup
from preprocess.errors import UserError
from preprocess.explain import explain
from preprocess.ingest import IngestConfig, ingest
from preprocess.run_options import RunOptions
from preprocess.tokenize import TokenizeConfig, tokenize

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = RunOptions(workers=1, memory_bytes=64 << 20, max_rejected=0.5)
BASE = [f"word{number}" for number in range(60)]
FIRST = " ".join(BASE)
NEAR = " ".join([*BASE[:58], "other", "end"])
LINES = [
    {"body": FIRST, "url": "https://example.org/first"},
    {"body": NEAR},
    {"body": FIRST},
    "{broken",
    {"body": "something else that stands alone"},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """`read` -> `unique` -> `tokens` -> `blend.json`, and `tokens_code`, which takes nothing."""
    place = tmp_path_factory.mktemp("explain")
    native = place / "native" / "deep" / "a.jsonl"
    native.parent.mkdir(parents=True)
    lines = [line if isinstance(line, str) else json.dumps(line) for line in LINES]
    native.write_text("".join(f"{line}\n" for line in lines))
    run = place / "run"
    config = IngestConfig(dataset="jsonl", options={"text_field": "body"})
    ingest([str(place / "native")], run / "read", config, OPTIONS)
    dedup([str(run / "read")], run / "unique", DedupConfig(), OPTIONS)
    chosen = TokenizeConfig(tokenizer=tokenizer, holdout=0, group="text")
    tokenize([str(run / "unique")], run / "tokens", chosen, OPTIONS)
    # A stage that encoded code alone from the same records.
    shutil.copytree(run / "tokens", run / "tokens_code")
    for path in (run / "tokens_code").glob("part-*"):
        path.unlink()
    manifest = json.loads((run / "tokens_code" / "manifest.json").read_text())
    manifest["config"]["group"], manifest["shards"] = "code", []
    manifest["counts"] |= {"out": 0, "dropped": {"other_group": 2}}
    (run / "tokens_code" / "manifest.json").write_text(json.dumps(manifest))
    blend = {"train": [{"group": "text", "weight": 1, "prefixes": ["tokens/part-00000"]}]}
    (run / "blend.json").write_text(json.dumps(blend))
    return run


def lines_of(identifier: str, run: Path) -> list[str]:
    shown = io.StringIO()
    assert explain(identifier, run, Console(file=shown, width=40)) == []
    return shown.getvalue().splitlines()


def name(number: int) -> str:
    return f"jsonl/deep/a.jsonl#{number}"


def test_a_survivor_is_followed_from_its_file_to_its_tokens(run: Path) -> None:
    assert lines_of(name(0), run) == [
        name(0),
        "read\tingest\tkept\trecord 0 of part-00000.jsonl.zst",
        "\tfrom deep/a.jsonl, native record 0, https://example.org/first, source jsonl, "
        f"kind text, licence unknown, {len(FIRST)} bytes of text",
        "unique\tdedup\tkept\trecord 0 of part-00000.jsonl.zst",
        f"\t2 fell to it: {name(1)}, {name(2)}",
        f"tokens\ttokenize\ttokenized\tdocument 0 of part-00000, {tokens(run, 0)} tokens",
        "tokens_code\ttokenize\tleft out\tits kind is text, and only the group code was encoded "
        "(code)",
        "blend.json\tblend\ttrained on\tin the group text, weight 1",
    ]


def tokens(run: Path, number: int) -> int:
    from preprocess import _rust_ext

    return len(_rust_ext.read_document(run / "tokens" / "part-00000", number))


def test_a_near_duplicate_stands_beside_its_survivor_with_its_words_marked(run: Path) -> None:
    lines = lines_of(name(1), run)
    assert lines[1] == "read\tingest\tkept\trecord 1 of part-00000.jsonl.zst"
    # 54 of the 58 shingles of both, each of which has 56.
    assert lines[3].startswith(
        f"unique\tdedup\tdropped\tnear duplicate of {name(0)}, Jaccard similarity 0.931, "
    )
    assert lines[4].startswith("\tstays: word0 word1")
    assert lines[4].endswith("word57 ⟦word58 word59⟧")
    assert lines[5].endswith("word57 ⟦other end⟧")
    assert len(lines) == 6


def test_an_exact_duplicate_is_equal_to_its_survivor(run: Path) -> None:
    lines = lines_of(name(2), run)
    assert lines[3] == f"unique\tdedup\tdropped\texact duplicate of {name(0)}"
    assert "⟦" not in "".join(lines)
    assert lines[6] == "\tboth are equal"


def test_a_record_that_stands_alone_says_so(run: Path) -> None:
    assert "\tno other record is a duplicate of it" in lines_of(name(4), run)


def test_a_rejected_line_has_its_reason_and_its_beginning(run: Path) -> None:
    assert lines_of(name(3), run) == [
        name(3),
        "read\tingest\trejected\tinvalid_json, record 3 of deep/a.jsonl; it stands in "
        "rejected.jsonl.zst",
        "\tit begins: {broken",
    ]


def test_the_directory_of_one_stage_leads_back_to_the_stages_before(run: Path) -> None:
    assert lines_of(name(1), run / "unique") == lines_of(name(1), run)
    stages = [line.split("\t")[0] for line in lines_of(name(0), run / "tokens")]
    assert stages == [name(0), "read", "", "unique", "", "tokens"]


def test_a_moved_run_is_explained_all_the_same(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(run, moved)
    hidden = run.with_name("hidden")
    run.rename(hidden)
    try:
        for number in range(5):
            assert lines_of(name(number), moved) == lines_of(name(number), hidden)
        assert lines_of(name(1), moved / "unique") == lines_of(name(1), moved)
    finally:
        hidden.rename(run)


def test_texts_that_are_gone_are_said_to_be(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "unique", tmp_path / "alone" / "unique")
    moved = tmp_path / "alone" / "unique"
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["inputs"][0]["path"] = "/nowhere/at/all.jsonl.zst"
    (moved / "manifest.json").write_text(json.dumps(manifest))
    lines = lines_of(name(1), moved)
    assert lines[1].startswith("unique\tdedup\tdropped\tnear duplicate")
    assert lines[2] == "\tstays: its text is no longer where the stage read it"


def test_a_terminal_shows_both_texts_side_by_side(run: Path) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=100, force_terminal=True, color_system="standard")
    explain(name(1), run, console)
    text = shown.getvalue()
    assert "\x1b[1;31mdropped\x1b[0m" in text
    assert "\x1b[1;30;43mother end\x1b[0m" in text
    assert "│" in text
    assert "⟦" not in text


@pytest.mark.parametrize(
    ("identifier", "similar"),
    [
        ("a.jsonl#4", "jsonl/deep/a.jsonl#4"),
        ("jsonl/Deep/a.jsonl#0", "jsonl/deep/a.jsonl#0"),
        ("jsonl/dep/a.jsonl#1", "jsonl/deep/a.jsonl#1"),
    ],
)
def test_an_unknown_id_is_answered_with_ids_like_it(
    run: Path, identifier: str, similar: str
) -> None:
    with pytest.raises(UserError, match=f"{identifier}', none of 4 stages .*like it: {similar}"):
        lines_of(identifier, run)


def test_an_id_like_no_other_gets_one_line_and_status_1(run: Path, preprocess: Preprocess) -> None:
    done = preprocess("explain", "zzz", run)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"preprocess explain: {run}: expected a record with the id 'zzz', none of 4 stages has "
        "one; check the id\n"
    )


def test_the_command_line_prints_plain_lines_into_a_pipe(run: Path, preprocess: Preprocess) -> None:
    done = preprocess("explain", name(1), run)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == lines_of(name(1), run)


def test_what_is_no_run_is_refused(tmp_path: Path, preprocess: Preprocess) -> None:
    done = preprocess("explain", "a", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "expected the directory of a run or of one stage" in done.stderr
    assert "found nothing there; check the path" in done.stderr
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="found a file"):
        explain("a", tmp_path / "file", Console())
    with pytest.raises(UserError, match="found none"):
        explain("a", tmp_path, Console())


def test_a_damaged_shard_is_named(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "read", tmp_path / "read")
    shard = tmp_path / "read" / "part-00000.jsonl.zst"
    shard.write_bytes(shard.read_bytes()[:-9])
    notes = explain_with_notes("jsonl/none#1", tmp_path / "read")
    assert "not all could be searched" in notes
    assert "part-00000.jsonl.zst" in notes


def explain_with_notes(identifier: str, run: Path) -> str:
    with pytest.raises(UserError) as raised:
        explain(identifier, run, Console())
    return str(raised.value)


def conversation(identifier: str, said: str, system: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "text": f"{system} {said}",
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": said}],
    }


def test_conversations_are_shown_by_what_was_said(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    made = [
        conversation("s/a#0", FIRST, "be kind"),
        conversation("s/a#1", NEAR, "be brief and true to the facts"),
    ]
    source.write_text("".join(json.dumps(each) + "\n" for each in made))
    dedup([str(source)], tmp_path / "out", DedupConfig(), OPTIONS)
    lines = lines_of("s/a#1", tmp_path / "out")
    assert lines[1].startswith("out\tdedup\tdropped\tnear duplicate of s/a#0, Jaccard ")
    assert "brief" not in "".join(lines)
    assert lines[-1] == "\tcompared by what was said in the conversation, not by its text"


def test_a_copy_of_a_near_duplicate_says_that_it_fell_with_it(tmp_path: Path) -> None:
    write_records(tmp_path / "a.jsonl", [FIRST, NEAR, NEAR])
    dedup([str(tmp_path / "a.jsonl")], tmp_path / "out", DedupConfig(), OPTIONS)
    lines = lines_of("hand/a.jsonl#2", tmp_path / "out")
    assert lines[1].startswith(
        "out\tdedup\tdropped\texact duplicate of a record that fell to hand/a.jsonl#0, "
        "Jaccard similarity 0.931"
    )
    assert lines[-1].endswith("⟦other end⟧")


def test_what_counts_as_equal_is_no_copy_of_another_that_fell(tmp_path: Path) -> None:
    write_records(tmp_path / "a.jsonl", [FIRST, FIRST.upper()])
    dedup([str(tmp_path / "a.jsonl")], tmp_path / "out", DedupConfig(scope="exact"), OPTIONS)
    lines = lines_of("hand/a.jsonl#1", tmp_path / "out")
    assert lines[1] == (
        "out\tdedup\tdropped\texact duplicate of hand/a.jsonl#0 but for case, white space or "
        "composed characters"
    )


def test_records_without_ids_go_by_the_names_that_stages_give_them(tmp_path: Path) -> None:
    source = tmp_path / "in" / "sub" / "a.jsonl"
    source.parent.mkdir(parents=True)
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in (FIRST, "b", NEAR)))
    dedup([str(tmp_path / "in")], tmp_path / "out", DedupConfig(), OPTIONS)
    lines = lines_of("sub/a.jsonl#2", tmp_path / "out")
    assert "near duplicate of sub/a.jsonl#0" in lines[1]
    assert any(line.startswith("\tdropped: word0") for line in lines)


def test_a_stage_that_is_not_done_says_how_far_it_is(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "run"
    shutil.copytree(run, moved)
    (moved / "tokens" / "manifest.json").unlink()
    plan = "".join(
        f'[[stage]]\nname = "{name}"\ncommand = "{command}"\n'
        for name, command in (("read", "ingest"), ("unique", "dedup"), ("tokens", "tokenize"))
    )
    (moved / "plan.toml").write_text(plan)
    lines = lines_of(name(0), moved)
    assert "tokens\ttokenize\tnot known\tbegun: 0 of 1 units done" in lines


def test_a_line_that_a_later_stage_cannot_read_is_found_by_its_id(tmp_path: Path) -> None:
    write_records(tmp_path / "a.jsonl", ["one two", "three four"])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"id": "hand/x#9", "text": 5}\n')
    dedup([str(tmp_path / "a.jsonl")], tmp_path / "out", DedupConfig(), OPTIONS)
    lines = lines_of("hand/x#9", tmp_path / "out")
    assert lines[1].startswith("out\tdedup\trejected\twrong_type, record 2 of a.jsonl")


def test_shards_are_searched_past_damage_that_is_elsewhere(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "unique", tmp_path / "unique")
    shard = tmp_path / "unique" / "part-00000.jsonl.zst"
    shard.write_bytes(shard.read_bytes() + zstandard.compress(b"x")[:4])
    lines = lines_of(name(0), tmp_path / "unique")
    assert "unique\tdedup\tkept\trecord 0 of part-00000.jsonl.zst" in lines


@pytest.mark.parametrize("is_terminal", [False, True])
def test_records_do_not_steer_the_terminal(tmp_path: Path, is_terminal: bool) -> None:
    texts = [f"{FIRST} \x1b[2Jred\x07", f"{FIRST} \x9b2Jblue\x7f"]
    write_records(tmp_path / "a.jsonl", texts)
    dedup([str(tmp_path / "a.jsonl")], tmp_path / "out", DedupConfig(), OPTIONS)
    shown = io.StringIO()
    console = Console(file=shown, width=400, force_terminal=is_terminal, color_system=None)
    explain("hand/a.jsonl#1", tmp_path / "out", console)
    assert "␛[2Jred␇" in shown.getvalue()
    assert "\ufffd2Jblue␡" in shown.getvalue()
    assert not {"\x1b", "\x07", "\x7f", "\x9b"} & set(shown.getvalue())
