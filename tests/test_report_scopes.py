"""What the page says of the scopes of `dedup`: equal addresses, normal forms, cuts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from test_report import Page

from preprocess.dedup import DedupConfig, dedup
from preprocess.report import report
from preprocess.run_options import RunOptions

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = RunOptions(workers=1, memory_bytes=64 << 20)
LINE = "this line is long enough to be one that is compared with others"


def page_of(tmp_path: Path, scope: str, records: list[dict[str, Any]]) -> str:
    numbered = [{"id": f"web/{number}"} | record for number, record in enumerate(records)]
    lines = "".join(json.dumps(record) + "\n" for record in numbered)
    (tmp_path / "in.jsonl").write_text(lines)
    run = tmp_path / "run"
    dedup([str(tmp_path / "in.jsonl")], run / "unique", DedupConfig(scope=scope), OPTIONS)
    return Page(report(run, tmp_path / "out")).text


def said(text: str) -> dict[str, Any]:
    return {"text": f"as it was rendered: {text}", "messages": [{"role": "user", "content": text}]}


def test_equal_addresses_are_shown_with_the_texts_of_their_records(tmp_path: Path) -> None:
    origin = {"origin": {"url": "http://a.example"}}
    page = page_of(tmp_path, "url", [said("red") | origin, said("blue") | origin])
    assert "1 record fell: 1 whose address another record has, in 1 cluster" in page
    assert "Pair 1: the same address" in page
    assert "as it was rendered: blue" in page
    assert "the words that were said" not in page


def test_equal_normal_forms_are_no_copies_of_near_duplicates(tmp_path: Path) -> None:
    texts = [{"text": "One two"}, *[{"text": f"one{' ' * count}two"} for count in range(1, 13)]]
    page = page_of(tmp_path, "exact", texts)
    assert "12 records fell: 12 exact duplicates, in 1 cluster" in page
    verdict = "exact duplicate but for case, white space or composed characters"
    assert f"Pair 10: {verdict}" in page
    assert "Pair 11" not in page
    assert "similarity 1.000" not in page


@pytest.mark.parametrize(
    ("scope", "counted"),
    [("line", "4 lines"), ("paragraph", "1 paragraph"), ("substring", "1 repeat")],
)
def test_cuts_are_counted(tmp_path: Path, scope: str, counted: str) -> None:
    text = "\n".join(f"{number} {LINE}" for number in range(4))
    page = page_of(tmp_path, scope, [{"text": f"{text}\n"}, {"text": text}])
    assert "It found no records that are equal." in page
    assert f"{counted} of {len(text)} bytes in all went out of the texts" in page
    assert "nothing was left of 1 record. cuts.parquet" in page
