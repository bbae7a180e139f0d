"""A source that would lose most of its records stops `dedup` before anything is dropped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from preprocess.errors import UserError
from preprocess.loss_alarm import SourceLoss, refuse_losses

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess


def loss(records: int, exact: int = 0, near: int = 0) -> SourceLoss:
    return SourceLoss(records=records, exact=exact, near=near)


@pytest.mark.parametrize(
    ("records", "fallen", "expected"),
    [(100, 30, False), (100, 31, True), (99, 98, False), (1_000_000, 300_001, True)],
)
def test_more_than_thirty_percent_of_a_hundred_records_is_alarming(
    records: int, fallen: int, expected: bool
) -> None:
    assert loss(records, near=fallen).is_alarming is expected
    assert not loss(records, exact=fallen).is_alarming
    agent = SourceLoss(
        records=2 * records, exact=fallen, near=0, agent_records=records, agent_fallen=fallen
    )
    assert agent.is_alarming is expected


def test_the_worst_source_is_named_with_both_numbers_and_the_way_on(tmp_path: Path) -> None:
    losses = {
        "fine": loss(1_000, 100, 200),
        "bad": loss(1_000, 1, 399),
        "my worst": loss(2_000, 400, 1_100),
        "small": loss(50, 49),
    }
    with pytest.raises(UserError) as raised:
        refuse_losses(losses, (), tmp_path)
    assert str(raised.value) == (
        "expected no source to lose more than 30% of its records, my worst would lose 1,500 of "
        "2,000 records (75.0%: 400 exact and 1,100 near duplicates), and bad too much as well; "
        f"nothing was dropped: look at the pairs (`preprocess inspect {tmp_path} --clusters 10`), "
        "then run the same command with --allow-loss 'my worst' --allow-loss bad, or with other "
        "options into a new directory"
    )
    with pytest.raises(UserError, match="bad would lose 400 of 1,000 records"):
        refuse_losses(losses, {"my worst"}, tmp_path)
    refuse_losses(losses, {"my worst", "bad", "fine"}, tmp_path)


def test_a_source_of_which_only_agent_data_is_lost_says_so(tmp_path: Path) -> None:
    mixed = SourceLoss(records=9_000, exact=90, near=10, agent_records=200, agent_fallen=80)
    other = SourceLoss(records=1_000, exact=0, near=350, agent_records=100, agent_fallen=0)
    with pytest.raises(UserError) as raised:
        refuse_losses({"other": other, "mixed": mixed}, (), tmp_path)
    assert (
        "mixed would lose 80 of its 200 records of agent data (40.0%, exact duplicates included), "
        "and other too much as well; nothing"
    ) in str(raised.value)
    with pytest.raises(UserError, match="other would lose 350 of 1,000 records"):
        refuse_losses({"other": other, "mixed": mixed}, {"mixed"}, tmp_path)


def test_a_name_that_no_source_has_is_refused(tmp_path: Path) -> None:
    losses = {f"s{number}": loss(10) for number in range(7)}
    with pytest.raises(
        UserError,
        match=r"--allow-loss: expected a source of the input \(s0, s1, s2, s3, s4 and 2 more\), "
        "got 'x'; correct the name",
    ):
        refuse_losses(losses, {"s1", "x"}, tmp_path)


def write_source(path: Path, name: str, texts: list[str]) -> None:
    lines = [
        json.dumps(
            {"id": f"{name}/a#{number}", "text": text, "source": name, "kind": "function_call"}
        )
        for number, text in enumerate(texts)
    ]
    path.write_text("".join(f"{line}\n" for line in lines))


def test_a_run_stops_and_goes_on_by_name_where_it_stopped(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    write_source(tmp_path / "a.jsonl", "fine", [f"text number {n}" for n in range(200)])
    write_source(tmp_path / "b.jsonl", "twins", [f"text of pair {n // 2}" for n in range(200)])
    done = preprocess("dedup", "a.jsonl", "b.jsonl", "out")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(
        "preprocess dedup: expected no source to lose more than 30% of its records, twins would "
        "lose 100 of 200 records (50.0%: 100 exact and 0 near duplicates); nothing was dropped"
    )
    assert not list((tmp_path / "out").glob("part-*"))
    signed = (tmp_path / "out" / "units" / "00000.sign").stat()
    shown = preprocess("inspect", "out", "--clusters", "1")
    assert "twins/a#1  equal to twins/a#0" in shown.stdout

    for step in ("sign", "bands", "connect"):
        assert preprocess("dedup", "a.jsonl", "b.jsonl", "out", "--step", step).returncode == 0
    one_task = ("--step", "drop", "--task", "0", "--num-tasks", "2")
    assert "twins would lose" in preprocess("dedup", "a.jsonl", "b.jsonl", "out", *one_task).stderr
    assert (tmp_path / "out" / "units" / "00000.sign").stat().st_mtime_ns == signed.st_mtime_ns
    unknown = preprocess("dedup", "a.jsonl", "b.jsonl", "out", "--allow-loss", "twin")
    assert "expected a source of the input (fine, twins), got 'twin'" in unknown.stderr

    done = preprocess("dedup", "a.jsonl", "b.jsonl", "out", "--allow-loss", "twins")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"]["dropped"] == {"exact_duplicate": 100}
    # What is let go decides whether a run goes on, not what it writes.
    assert "allow" not in json.dumps(manifest["config"])
    assert preprocess("dedup", "a.jsonl", "b.jsonl", "out").returncode == 0


def test_addresses_that_are_the_same_are_called_that(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    records = [
        {
            "id": f"tools/{number}",
            "text": f"text {number}",
            "source": "tools",
            "kind": "tool_documentation",
            "origin": {"url": f"http://a.example/{number % 120}"},
        }
        for number in range(200)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    done = preprocess("dedup", "a.jsonl", "out", "--scope", "url")
    assert done.returncode == 1
    assert (
        "tools would lose 80 of 200 records (40.0%: 80 same-address and 0 near duplicates)"
        in done.stderr
    )
