"""AgentBench's tasks in all their layouts, which are never trained on."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from leaves import counts, files, lost_leaves, read_all

from preprocess.readers.benchmarks.agentbench import READER

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def _read(tmp_path: Path, content: Any, name: str = "new.json") -> list[Outcome]:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return list(READER.read(path, name))


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(
            {"create": {"local": "default", "init": {"file": "a.sh"}}, "labels": ["log"]},
            id="first",
        ),
        pytest.param(
            {"create": {"init": {"code": "ls"}}, "evaluation": {"match": "a"}, "start": "var=1"},
            id="second",
        ),
        pytest.param(
            {"create": {"type": "command", "data": ""}, "init": {"data": "x"}, "difficulty": 1},
            id="third",
        ),
    ],
)
def test_tasks_of_an_operating_system(tmp_path: Path, rest: dict[str, Any]) -> None:
    (outcome,) = _read(tmp_path, [{"description": "Count it.", **rest}])
    (record,) = outcome.records
    assert [(each.role, each.content) for each in record.messages] == [("user", "Count it.")]
    assert {name: record.meta[name] for name in rest} == rest
    assert record.meta["benchmark"] == "agentbench"


def test_tasks_of_a_database_and_a_graph(tmp_path: Path) -> None:
    database = {
        "description": "Who?",
        "add_description": "The table is t.",
        "label": ["Ann"],
        "table": {"table_info": {"rows": [["Ann", "x"]]}},
        "evaluation": "",
    }
    graph = {"question": "Where?", "qid": "1", "entities": {"a": "m.1"}, "actions": ["f(m.1)"]}
    first, second = _read(tmp_path, [database, graph])
    assert first.records[0].messages[0].content == "Who?\nThe table is t."
    assert first.records[0].meta["table"] == database["table"]
    assert second.records[0].messages[0].content == "Where?"
    assert second.records[0].meta["actions"] == ["f(m.1)"]


def test_prompt_of_several_turns_is_one_record(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "<html>"},
        {"role": "agent", "content": "Answer: A."},
        {"role": "user", "content": ""},
    ]
    (outcome,) = _read(tmp_path, turns, "llm_prompt.json")
    (record,) = outcome.records
    assert [(each.role, each.content) for each in record.messages] == [
        ("user", "<html>"),
        ("assistant", "Answer: A."),
        ("user", ""),
    ]


def test_games_without_text_are_left_out(tmp_path: Path) -> None:
    (index,) = _read(tmp_path, {"pick_and_place": ["json/a/game.tw-pddl"], "look": []}, "dev.json")
    (setting,) = _read(tmp_path, [{"num_players": 5, "quest_leader": 0, "role_names": ["Merlin"]}])
    assert index.dropped == ("index_of_games",)
    assert setting.dropped == ("setting_of_a_game",)


def _sheet(path: Path, rows: str, strings: str = "") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>'
        file.writestr("xl/worksheets/sheet1.xml", sheet)
        if strings:
            file.writestr("xl/sharedStrings.xml", f'<sst xmlns="{_MAIN}">{strings}</sst>')


_STRINGS = (
    "<si><t>story</t></si><si><t>answer</t></si><si><t>Story keys</t></si>"
    "<si><r><t>Why </t></r><r><t xml:space='preserve'>so &amp; so?</t></r><rPh><t>no</t></rPh></si>"
)
_HEAD = (
    '<row><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c>'
    '<c r="C1" t="s"><v>2</v></c></row>'
)


def test_puzzles_in_a_sheet(tmp_path: Path) -> None:
    path = tmp_path / "dev.xlsx"
    rows = (
        f'{_HEAD}<row><c r="A2" t="s"><v>3</v></c>'
        '<c r="B2" t="inlineStr"><is><t>Because</t></is></c><c r="C2"><v>1.50</v></c></row><row/>'
        '<row><c r="A4" t="s"><v>3</v></c><c r="C4"><v>2</v></c></row>'
    )
    _sheet(path, rows, _STRINGS)
    whole, half = READER.read(path, path.name)
    (record,) = whole.records
    assert [(each.role, each.content) for each in record.messages] == [
        ("user", "Why so & so?"),
        ("assistant", "Because"),
    ]
    assert record.meta["Story keys"] == "1.50"
    assert half.rejection is not None
    assert half.rejection.reason == "unknown_layout"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        pytest.param('<row><c t="s"><v>99</v></c></row>', "invalid_xlsx", id="no-such-string"),
        pytest.param('<row><c r="ZZZ1"><v>9</v></c></row>', "invalid_xlsx", id="column"),
        pytest.param("<row>", "invalid_xlsx", id="broken-xml"),
        pytest.param("<row><c><v>" + "x" * 200_000 + "</v></c></row>", "over_memory", id="bomb"),
        pytest.param(
            f'{_HEAD}<row><c r="E2"><v>1</v></c></row>', "cells_do_not_fit_the_header", id="wide"
        ),
    ],
)
def test_damaged_sheet_is_rejected(tmp_path: Path, rows: str, reason: str) -> None:
    path = tmp_path / "dev.xlsx"
    _sheet(path, rows, _STRINGS)
    (outcome,) = READER.read(path, path.name, limit_bytes=100_000)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


@pytest.mark.parametrize("content", ["", "PK\x03\x04 no archive", '<!DOCTYPE x [<!ENTITY a "b">]>'])
def test_what_is_no_sheet_is_rejected(tmp_path: Path, content: str) -> None:
    (outcome,) = _read(tmp_path, content, "dev.xlsx")
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "invalid_xlsx"


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/agentbench"
    sheets = [each for each in files(READER, root) if each.suffix == ".xlsx"]
    prompts = root / "data/mind2web"
    rest = [
        each for each in files(READER, root) if each not in sheets and prompts not in each.parents
    ]
    outcomes = [outcome for path in rest for outcome in read_all(READER, path, root)]
    assert counts(outcomes) == {
        "native": 1165,
        "out": 1142,
        "dropped index_of_games": 3,
        "dropped setting_of_a_game": 20,
    }
    assert [leaf for path in rest for leaf in lost_leaves(READER, path, root)[1]] == []
    puzzles = [each for path in sheets for each in READER.read(path, path.as_posix().lstrip("/"))]
    assert counts(puzzles) == {"native": 120, "out": 120}
    assert all(len(each.records[0].meta) > 3 for each in puzzles)
    for path in files(READER, prompts):
        ((record,),) = (each.records for each in READER.read(path, path.name))
        assert [said.content for said in record.messages] == [
            turn["content"] for turn in json.loads(path.read_bytes())
        ]
