"""MetaTool's requests, choices and tools."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest
from leaves import counts, missing_leaves, native_values, read_all

from preprocess.readers.datasets.metatool import READER

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome, Record

_PROMPT = (
    '"Choose.\n[List of Tools with Names and Descriptions Start]\n'
    "1. tool name: Agones, tool description: ['Results, of all kinds.']\n"
    '2. tool name: NewsTool, tool description: News: now.\n\n[List End]"'
)


def _read(tmp_path: Path, content: Any, name: str = "a.json") -> list[Outcome]:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return list(READER.read(path, name))


def _turns(record: Record) -> list[tuple[str, str]]:
    return [(each.role, each.content) for each in record.messages]


def test_rows_of_csv_are_request_and_choice(tmp_path: Path) -> None:
    content = 'Query,Tool\nHow do I?\xa0,A\n"Say ""x"",\nplease",B\n\nNo tool,\n'
    outcomes = _read(tmp_path, content, "all_clean_data.csv")
    assert [_turns(each.records[0]) for each in outcomes] == [
        [("user", "How do I?\xa0"), ("assistant", "A")],
        [("user", 'Say "x",\nplease'), ("assistant", "B")],
        [("user", "No tool")],
    ]
    assert [each.records[0].id for each in outcomes] == [
        f"metatool/all_clean_data.csv#{number}" for number in range(3)
    ]


@pytest.mark.parametrize("chosen", [["A", "B"], "['A', 'B']"])
def test_several_tools_as_a_list_or_its_text(tmp_path: Path, chosen: Any) -> None:
    (outcome,) = _read(tmp_path, [{"query": "Do both", "tool": chosen}])
    (record,) = outcome.records
    assert _turns(record) == [("user", "Do both"), ("assistant", "A\nB")]
    assert record.meta["tool"] == chosen
    assert outcome.repairs == (("python_literal_for_json",) if isinstance(chosen, str) else ())


def test_prompt_that_lists_tools(tmp_path: Path) -> None:
    value = {"action_prompt": _PROMPT, "thought_prompt": "Think", "tool": ["A"], "query": "Do"}
    (outcome,) = _read(tmp_path, [value])
    documentation, record = outcome.records
    assert [(tool.name, tool.description) for tool in documentation.tools] == [
        ("Agones", "['Results, of all kinds.']"),
        ("NewsTool", "News: now."),
    ]
    assert record.tools == documentation.tools
    assert _turns(record) == [("user", _PROMPT), ("assistant", "A")]
    assert (record.meta["query"], record.meta["thought_prompt"]) == ("Do", "Think")


def test_maps_and_cards_of_tools_are_documents(tmp_path: Path) -> None:
    (outcome,) = _read(tmp_path, {"FinanceTool": "Money.", "MemeTool": ""})
    assert [record.tools[0].name for record in outcome.records] == ["FinanceTool", "MemeTool"]
    card = {
        "name_for_model": "vio",
        "name_for_human": "Vio.com",
        "description_for_model": "Search.",
        "description_for_human": "A deal.",
    }
    ((record,),) = (each.records for each in _read(tmp_path, [card]))
    assert (record.tools[0].name, record.tools[0].description) == ("vio", "Search.")
    assert record.meta["name_for_human"] == "Vio.com"
    assert record.meta["description_for_human"] == "A deal."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param([{"a": 1}], "unknown_layout", id="unknown"),
        pytest.param([{"query": "a", "tool": 3}], "choice_is_no_name", id="number"),
        pytest.param([{"query": "a", "tool": "['A'"}], "invalid_json_in_string", id="cut"),
    ],
)
def test_what_cannot_be_understood_is_rejected(tmp_path: Path, content: Any, reason: str) -> None:
    (outcome,) = _read(tmp_path, content)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/metatool"
    tables, rest = sorted(root.rglob("*.csv")), sorted(root.rglob("*.json"))
    outcomes = [each for path in rest for each in read_all(READER, path, root)]
    assert counts(outcomes) == {"native": 872, "out": 1161}
    records = [record for outcome in outcomes for record in outcome.records]
    assert missing_leaves([native_values(path) for path in rest], records) == []
    (table,) = tables
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    read = list(READER.read(table, table.name))
    assert counts(read) == {"native": 2619, "out": 2619}
    assert [[row["Query"], row["Tool"]] for row in rows] == [
        [said.content for said in each.records[0].messages] for each in read
    ]
