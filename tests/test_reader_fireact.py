"""FireAct: one trajectory in two formats, and a question that was cut at its first line."""

import json
from pathlib import Path

import pytest
from leaves import counts, lost_leaves, read_all

from preprocess.readers import READERS
from preprocess.records import Outcome

READER = READERS["fireact"]
STEPS = (
    "Thought: I look for the oldest bridge.\nAction: search[oldest bridge]\n"
    "Observation: It is in Izmir, over the Meles ...\nThought: It is in Izmir.\n"
    "Action: finish[Izmir]\nObservation: Episode finished, reward = True\n"
)


def read(folder: Path, value: object, name: str = "a.json") -> list[Outcome]:
    path = folder / name
    path.write_text(json.dumps(value))
    return read_all(READER, path, folder)


def test_an_output_is_cut_into_turns_and_stays_the_text(tmp_path: Path) -> None:
    native = {"instruction": "Where is the oldest bridge?", "input": "", "output": STEPS}
    (outcome,) = read(tmp_path, [native])
    (record,) = outcome.records
    assert record.text == f"Where is the oldest bridge?\n{STEPS}"
    assert [(turn.role, turn.content) for turn in record.messages] == [
        ("user", "Where is the oldest bridge?"),
        (
            "assistant",
            "Thought: I look for the oldest bridge.\nAction: search[oldest bridge]",
        ),
        ("user", "Observation: It is in Izmir, over the Meles ..."),
        ("assistant", "Thought: It is in Izmir.\nAction: finish[Izmir]"),
        ("user", "Observation: Episode finished, reward = True"),
    ]
    assert record.meta == {"truncated_observations": 1, "reward": "True"}
    assert outcome.repairs == ()


def test_options_that_begin_an_output_belong_to_its_question(tmp_path: Path) -> None:
    output = "A. wood\nB. stone\nThought: Stone.\nAction: finish[B]\n"
    output += "Observation: Episode finished, reward = 1\n"
    native = {"instruction": "Question: What lasts?", "input": "", "output": output}
    (outcome,) = read(tmp_path, [native])
    (record,) = outcome.records
    assert record.messages[0].content == "Question: What lasts?\nA. wood\nB. stone"
    assert record.messages[1].content == "Thought: Stone.\nAction: finish[B]"
    assert record.text == f"Question: What lasts?\n{output}"
    assert record.meta == {"reward": "1"}
    assert outcome.repairs == ("options_moved_to_question",)


def test_options_of_an_answer_stay_where_no_question_was_cut(tmp_path: Path) -> None:
    output = "A. wood\nThought: Wood.\nAction: finish[A]\nObservation: Episode finished, reward = 1"
    (outcome,) = read(tmp_path, [{"instruction": "What lasts?", "input": "", "output": output}])
    assert outcome.repairs == ()
    assert outcome.records[0].messages[0].content == "What lasts?"
    assert outcome.records[0].messages[1].content == output


@pytest.mark.parametrize(
    "output",
    [
        "Thought: a\nThought: b\nAction: finish[c]\nObservation: done\n",
        "Action: finish[c]\n",
        "The answer is c.",
    ],
)
def test_lines_that_do_not_alternate_stay_one_turn(tmp_path: Path, output: str) -> None:
    (outcome,) = read(tmp_path, [{"instruction": "q", "output": output, "x": 1}])
    assert [turn.content for turn in outcome.records[0].messages] == ["q", output]
    assert outcome.records[0].meta == {"x": 1}


def test_messages_are_kept_and_a_turn_may_begin_as_it_likes(tmp_path: Path) -> None:
    told = [
        {"role": "user", "content": "Question: Who?"},
        {"role": "assistant", "content": "Observation\nThought: I know.\nAction: finish[me]"},
        {"role": "user", "content": "Observation: Episode finished, reward = False"},
    ]
    (outcome,) = read(tmp_path, {"messages": told, "id": 7}, "a.jsonl")
    (record,) = outcome.records
    assert [{"role": turn.role, "content": turn.content} for turn in record.messages] == told
    assert {"id": 7, "reward": "False"}.items() <= record.meta.items()


def test_an_input_is_part_of_the_request(tmp_path: Path) -> None:
    (outcome,) = read(tmp_path, [{"instruction": "Sum up.", "input": "One. Two.", "output": "1+2"}])
    assert outcome.records[0].text == "Sum up.\nOne. Two.\n1+2"


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ({"instruction": "q", "output": 3}, "unknown_shape"),
        ({"instruction": " ", "output": "a"}, "empty_turn"),
        ({"messages": []}, "no_conversation"),
        ({"messages": [{"role": "user", "content": " "}]}, "empty_conversation"),
        ({"messages": [{"role": "judge", "content": "a"}]}, "unknown_role"),
        (["instruction"], "unknown_shape"),
    ],
)
def test_what_is_no_trajectory_is_rejected(tmp_path: Path, native: object, reason: str) -> None:
    (outcome,) = read(tmp_path, [native])
    assert outcome.rejection
    assert outcome.rejection.reason == reason


def test_test_questions_are_dropped_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text('Question,Answer\n"Who,\nwhen?",me\nWhere?,here\nodd\n')
    outcomes = list(READER.read(path, path.name))
    assert counts(outcomes) == {
        "native": 3,
        "out": 0,
        "dropped test_question": 2,
        "rejected unknown_shape": 1,
    }
    assert outcomes[2].rejection
    assert outcomes[2].rejection.raw == b"odd"


@pytest.mark.shared
def test_every_real_trajectory_is_read_and_loses_nothing(shared: Path) -> None:
    root = shared / "data/agent/fireact"
    outcomes = read_all(READER, root, root)
    assert counts(outcomes) == {
        "native": 1875,
        "out": 1750,
        "dropped test_question": 125,
        "repaired options_moved_to_question": 34,
    }
    turns = [
        turn.content for each in outcomes for record in each.records for turn in record.messages
    ]
    assert sum(turn.startswith("Question: ") and "\nA. " in turn for turn in turns) > 34
    total, lost = lost_leaves(READER, root, root)
    assert (total, lost) == (6007, [])
