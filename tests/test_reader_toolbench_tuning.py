"""ToolLLaMA: tools printed into the system turn, calls spelled in text."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, missing_leaves, read_all
from toolbench_records import FUNCTIONS, PARAMETERS, QUERY, READER, SYSTEM, read, turns

TUNING_SYSTEM = f"{SYSTEM}\nSpecifically, you have access to the following APIs: "
THOUGHT = "Thought: I have to look at the forecast before I can say anything."


def tuning(system: str, *said: str) -> dict[str, Any]:
    told = [{"from": "system", "value": system}, {"from": "user", "value": f"\n{QUERY}\nBegin!\n"}]
    speakers = ("assistant", "function") * len(said)
    told += [{"from": by, "value": text} for by, text in zip(speakers, said, strict=False)]
    return {"id": f"Step 2: {QUERY}", "conversations": told}


def test_printed_tools_and_spelled_calls_are_understood(tmp_path: Path) -> None:
    spelled = f'{THOUGHT}\nAction: forecast_for_weather\nAction Input: {{\n  "city": "Izmir"\n}}'
    native = tuning(TUNING_SYSTEM + str(FUNCTIONS), spelled, '{"error": ""}', "\nThought: done")
    outcome = read(tmp_path, [native])
    (record,) = outcome.records
    assert turns(record) == [
        ("system", TUNING_SYSTEM.rstrip(" ")),
        ("user", f"\n{QUERY}\nBegin!\n"),
        (
            "assistant",
            THOUGHT.removeprefix("Thought: "),
            ("call_0", "forecast_for_weather", {"city": "Izmir"}),
        ),
        ("tool", '{"error": ""}', "call_0"),
        ("assistant", "\nThought: done"),
    ]
    assert [tool.parameters for tool in record.tools] == PARAMETERS
    assert outcome.repairs == ("python_literal_for_json",)
    assert record.meta["conversations"] == [native["conversations"][0], native["conversations"][2]]
    assert record.meta["id"] == native["id"]
    assert missing_leaves(native, [record]) == []


def test_steps_that_repeat_their_tools_each_note_the_repair(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([tuning(TUNING_SYSTEM + str(FUNCTIONS), THOUGHT)] * 2))
    assert counts(read_all(READER, path, tmp_path))["repaired python_literal_for_json"] == 2


@pytest.mark.parametrize("listed", ["", "[{'name': 'forecast', 'parame", "none", "[]"])
def test_tools_that_cannot_be_read_stay_in_the_system_s_text(tmp_path: Path, listed: str) -> None:
    (record,) = read(tmp_path, [tuning(TUNING_SYSTEM + listed, THOUGHT)]).records
    assert record.tools == ()
    assert record.messages[0].content == TUNING_SYSTEM + listed
    assert "conversations" not in record.meta


@pytest.mark.parametrize(
    "said",
    [
        f"{THOUGHT}\nAction: forecast_for_weather\nAction Input: Izmir",
        f"{THOUGHT}\nAction: a\nAction Input: {{}}\nAction: b\nAction Input: {{}}",
        f"{THOUGHT}\nAction: forecast_for_weather",
    ],
)
def test_an_action_that_is_no_single_call_stays_text(tmp_path: Path, said: str) -> None:
    native = tuning(TUNING_SYSTEM + str(FUNCTIONS), said, "an answer")
    (record,) = read(tmp_path, [native]).records
    assert turns(record)[2:] == [("assistant", said), ("tool", "an answer", None)]


def test_the_end_of_a_line_is_no_part_of_a_name(tmp_path: Path) -> None:
    spelled = "Thought: Look.\r\nAction: forecast_for_weather\r\nAction Input: {}"
    (record,) = read(tmp_path, [tuning(TUNING_SYSTEM + str(FUNCTIONS), spelled, "r")]).records
    assert turns(record)[2:] == [
        ("assistant", "Look.", ("call_0", "forecast_for_weather", {})),
        ("tool", "r", "call_0"),
    ]
