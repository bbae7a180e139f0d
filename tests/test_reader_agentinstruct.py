"""AgentTuning's trajectories are read in all their spellings, Parquet among them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leaves import counts, lost_leaves, read_all

from preprocess.readers.datasets.agentinstruct import READER
from preprocess.records import TruncatedInput

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome

_EXAMPLE: list[dict[str, Any]] = [
    {"from": "human", "loss": None, "value": "You are an assistant in a shell. " * 3},
    {"from": "gpt", "loss": False, "value": "Think: I list.\n\nAct: bash\n\n```bash\nls\n```"},
]
_ROWS: list[dict[str, Any]] = [
    {
        "conversations": [
            *_EXAMPLE,
            {
                "from": "human",
                "loss": None,
                "value": "a.txt b.t [truncated because it is too long]",
            },
            {"from": "gpt", "loss": True, "value": f"Think: There are {number}.\n\nAct: answer(2)"},
        ],
        "id": f"os_{number}",
    }
    for number in range(150)
]


def _read(path: Path) -> list[Outcome]:
    return list(READER.read(path, path.name))


def test_rows_of_parquet_equal_the_same_rows_of_json(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(_ROWS), tmp_path / "os.parquet")
    (tmp_path / "os.jsonl").write_text("".join(json.dumps(row) + "\n" for row in _ROWS))
    from_rows, from_lines = _read(tmp_path / "os.parquet"), _read(tmp_path / "os.jsonl")
    assert len(from_rows) == len(from_lines) == 150
    for row, line in zip(from_rows, from_lines, strict=True):
        (one,), (other,) = row.records, line.records
        assert one.messages == other.messages
        assert {**one.meta, "template": ""} == {**other.meta, "template": ""}
    assert from_rows[149].records[0].id == "agentinstruct/os.parquet#149"


def test_loss_shared_examples_and_actions_stay_as_given(tmp_path: Path) -> None:
    (tmp_path / "os.json").write_text(json.dumps(_ROWS[:2]))
    first, second = (outcome.records[0] for outcome in _read(tmp_path / "os.json"))
    assert [each.loss for each in first.messages] == [None, False, None, True]
    assert first.messages[:2] == second.messages[:2]
    assert first.messages[1].content == _EXAMPLE[1]["value"]
    assert [each.role for each in first.messages] == ["user", "assistant"] * 2
    assert (first.meta["id"], first.meta["truncated_observations"]) == ("os_0", 1)
    assert (first.kind, first.license) == ("trajectory", "unknown")


def test_role_and_content_are_from_and_value(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": "ACTION: look"}]
    (tmp_path / "a.json").write_text(json.dumps([{"id": "alfworld_1", "conversations": turns}]))
    ((record,),) = (outcome.records for outcome in _read(tmp_path / "a.json"))
    assert [(each.role, each.content, each.loss) for each in record.messages] == [
        ("user", "Go", None),
        ("assistant", "ACTION: look", None),
    ]


def test_fields_of_turns_are_kept_by_their_number(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "Go", "role": "user", "content": "Go!", "weight": None},
        {"content": "OK", "role": "Assistant", "loss": 1, "weight": 0.5},
    ]
    (tmp_path / "a.json").write_text(json.dumps([{"id": "os_1", "conversations": turns}]))
    ((record,),) = (outcome.records for outcome in _read(tmp_path / "a.json"))
    assert [(each.role, each.content, each.loss) for each in record.messages] == [
        ("user", "Go", None),
        ("assistant", "OK", True),
    ]
    assert record.meta["turn_fields"] == [
        {"turn": 0, "role": "user", "content": "Go!"},
        {"turn": 1, "weight": 0.5},
    ]


def test_damaged_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "os.parquet"
    pq.write_table(pa.Table.from_pylist(_ROWS), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TruncatedInput, match=r"os\.parquet: expected a whole Parquet file"):
        _read(path)


def test_parquet_without_conversations_is_rejected_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1, 2], "b": [b"\xff", b"x"]}), path)
    reasons = [each.rejection and each.rejection.reason for each in _read(path)]
    assert reasons == ["binary", "unknown_layout"]


def test_row_over_the_limit_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "os.parquet"
    pq.write_table(pa.Table.from_pylist(_ROWS[:1]), path)
    (outcome,) = READER.read(path, path.name, limit_bytes=100)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "over_memory"


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/agentinstruct"
    assert counts(read_all(READER, root, root)) == {"native": 43, "out": 43}
    total, lost = lost_leaves(READER, root, root)
    assert (total, lost) == (527, [])
