"""`datasets --measure`, licences and the corpus card: what they say is what the records hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from preprocess.licences import Licences, is_non_commercial
from preprocess.measure import CAPABILITIES, measure
from preprocess.report.card import _cell

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess

SEARCH = {"name": "search", "description": "Search the web for pages.", "parameters": {}}
CALL = {"id": "call_0", "name": "search", "arguments": {"q": "rain"}}


def record(source: str, number: int, **fields: Any) -> bytes:
    whole = {"id": f"{source}/a#{number}", "text": "x", "kind": "function_call", "source": source}
    return json.dumps({**whole, **fields}).encode() + b"\n"


def turn(role: str, content: str = "", *calls: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **({"tool_calls": list(calls)} if calls else {})}


CASES: list[tuple[set[str], dict[str, Any]]] = [
    ({"code"}, {"kind": "code", "text": "int main"}),
    ({"code", "language"}, {"kind": "text", "text": "so it is done:\n```sh\nls\n```"}),
    ({"language"}, {"kind": "web", "text": "one page of the web"}),
    (
        {"language", "documentation"},
        {"kind": "tool_documentation", "text": "what this tool does is"},
    ),
    ({"documentation", "language"}, {"tools": [SEARCH], "text": "```\nof a template\n```"}),
    ({"documentation"}, {"kind": "tool_documentation"}),
    ({"documentation", "language"}, {"tools": [SEARCH]}),
    ({"call"}, {"messages": [turn("user", "rain?"), turn("assistant", "", CALL)]}),
    (
        {"call", "trajectory"},
        {"messages": [turn("assistant", "", CALL), turn("tool", "wet"), turn("assistant", "Yes.")]},
    ),
    (
        {"call", "trajectory", "multi-step", "refinement"},
        {
            "messages": [
                turn("assistant", "", CALL),
                turn("tool", "nothing found"),
                turn("assistant", "Try again.", CALL),
            ]
        },
    ),
    (
        {"multi-turn"},
        {"messages": [turn("user", "a"), turn("assistant", "b"), turn("user", "c")]},
    ),
    (
        {"trajectory", "multi-step", "multi-turn", "refinement"},
        {
            "kind": "trajectory",
            "messages": [
                turn("user", "Find it"),
                turn("assistant", "search[it]"),
                turn("user", "Observation: none"),
                turn("assistant", "finish[none]"),
            ],
        },
    ),
    ({"trajectory"}, {"kind": "trajectory", "messages": [turn("user", "a"), turn("assistant")]}),
]


@pytest.mark.parametrize(("expected", "fields"), CASES)
def test_each_rule_holds_where_it_says(
    expected: set[str], fields: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(record("s", 0, **fields))
    found = measure([str(tmp_path)], None).sources["s"]
    assert {name for name in CAPABILITIES if found.capabilities[name]} == expected


def test_tokens_are_those_of_the_tokenizer_and_apis_are_counted_once(
    tmp_path: Path, tokenizer: Path, preprocess: Preprocess
) -> None:
    from tokenizers import Tokenizer

    texts = ["The rain in Spain", "falls mainly\non the plain", "naïve 東京"]
    other = {**SEARCH, "description": "Search a shop."}
    lines = [record("s", n, text=text, tools=[SEARCH, other]) for n, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines) + b"no record\n")
    found = measure([str(tmp_path / "a.jsonl")], tokenizer)
    reference = Tokenizer.from_file(str(tokenizer))
    tokens = sum(len(reference.encode(text, add_special_tokens=False)) for text in texts)
    assert (found.sources["s"].tokens, len(found.sources["s"].apis)) == (tokens, 2)
    done = preprocess("datasets", "--measure", "a.jsonl", "--tokenizer", str(tokenizer))
    assert done.returncode == 0, done.stderr
    assert "1 lines are no records" in done.stderr
    assert f"{tokens}" in done.stdout


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", False),
        ("CC-BY-4.0", False),
        ("CC-BY-NC-4.0", True),
        ("CC-BY-NC-SA-4.0", True),
        ("LicenseRef-Non-Commercial", True),
        ("NCSA", False),
        ("unknown", False),
    ],
)
def test_what_forbids_commercial_use(licence: str, *, expected: bool) -> None:
    assert is_non_commercial(licence) is expected
    assert (Licences().reason_to_drop(licence) is not None) is expected
    assert Licences(("any",)).reason_to_drop(licence) is None
    assert Licences(("X",)).reason_to_drop(licence) == "license"


def test_the_card_says_what_was_left_out_and_why(tmp_path: Path, preprocess: Preprocess) -> None:
    lines = [json.dumps({"text": text}) for text in ("the fox", "the fox", "a dog", "")]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    run = ("--dataset", "jsonl", "--max-rejected", "1")
    assert preprocess("ingest", "in.jsonl", "run/raw", *run).returncode == 0
    assert preprocess("dedup", "run/raw", "run/unique").returncode == 0
    assert preprocess("report", "run", "page").returncode == 0
    card = (tmp_path / "page/card.md").read_text()
    assert "| jsonl | text | 3 | 2 | 0.0 | 100.0% |" in card
    assert "| raw | unreadable | empty_text | 1 | 25.00% |" in card
    assert "| unique | dropped | exact_duplicate | 1 | 33.33% |" in card
    assert "| raw | unknown | 3 |" in card
    assert "not decontaminated" in card


def test_a_plan_shows_how_far_each_stage_is(tmp_path: Path, preprocess: Preprocess) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "the fox"}))
    (tmp_path / "plan.toml").write_text(
        '[run]\ndirectory = "run"\n'
        '[[stage]]\nname = "raw"\ncommand = "ingest"\ninput = "in.jsonl"\n'
        'options = { dataset = "jsonl" }\n'
        '[[stage]]\nname = "unique"\ncommand = "dedup"\ninput = "raw"\n'
    )
    before = preprocess("run", "plan.toml", "--status")
    assert (before.returncode, before.stdout.count("not begun")) == (0, 2)
    assert not (tmp_path / "run").exists()
    done = preprocess("run", "plan.toml")
    assert (done.returncode, done.stdout.count("complete")) == (0, 2)


HOSTILE = (
    "[/red]",
    "[link=http://x]a[/link]",
    "![i](http://x)",
    "**b**|`c`",
    "<b>&lt;",
    "\x1b[2J_e_",
)


def test_a_source_may_be_called_anything(tmp_path: Path, preprocess: Preprocess) -> None:
    lines = [record(name, number) for number, name in enumerate(HOSTILE)]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    done = preprocess("datasets", "--measure", "a.jsonl")
    assert done.returncode == 0, done.stderr
    assert "\x1b[2J" not in done.stdout
    assert all(name in done.stdout for name in HOSTILE[:5])


def test_no_figure_is_cut_on_a_narrow_terminal(
    tmp_path: Path, preprocess: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"".join(record("a_long_name", n) for n in range(1234)))
    monkeypatch.setenv("COLUMNS", "40")
    done = preprocess("datasets", "--measure", "a.jsonl")
    assert "1,234" in done.stdout
    assert "…" not in done.stdout


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("![i](http://x)", r"!\[i\](http://x)"),
        ("**b**|`c`", r"\*\*b\*\*\|\`c\`"),
        ("<b>&lt;\n# x", "&lt;b>&amp;lt; # x"),
        (r"a\_e_", r"a\\\_e\_"),
        ("agent_flan", "agent_flan"),
    ],
)
def test_a_cell_of_the_card_is_nothing_but_text(name: str, shown: str) -> None:
    assert _cell(name) == shown


def test_a_plan_may_lie_anywhere(tmp_path: Path, preprocess: Preprocess) -> None:
    folder = tmp_path / "[" / "b]x"
    folder.mkdir(parents=True)
    (folder / "p.toml").write_text('[run]\ndirectory = "run"\n')
    done = preprocess("run", str(folder / "p.toml"), "--status")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("source", ["bfcl_v3", "bfcl_v1", "agentbench"])
def test_a_benchmark_is_never_tokenized(
    source: str, tmp_path: Path, tokenizer: Path, preprocess: Preprocess
) -> None:
    lines = record("s", 0) + record(source, 1, text="y")
    (tmp_path / "loose.jsonl").write_bytes(lines)
    done = preprocess("tokenize", "loose.jsonl", "tokens", "--tokenizer", tokenizer)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert f"found 1 of {source}, a benchmark" in done.stderr
    assert not (tmp_path / "tokens/manifest.json").exists()
    assert preprocess("dedup", "loose.jsonl", "unique").returncode == 0
    done = preprocess("tokenize", "unique", "other", "--tokenizer", tokenizer)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert not (tmp_path / "other").exists()
