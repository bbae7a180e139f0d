"""AgentGym's trajectories and what lies beside them become records, and nothing is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from leaves import counts, files, long_leaves, missing_leaves, native_values, read_all

from preprocess.readers.datasets.agenttraj_l import READER

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.records import Outcome, Record

_SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Look for a thing { in braces }.",
        "parameters": {
            "type": "object",
            "properties": {"keywords": {"type": "string"}},
            "required": ["keywords"],
        },
    },
}
_CLICK = {"type": "function", "function": {"name": "click", "description": "", "parameters": {}}}


def _read(tmp_path: Path, content: Any, name: str = "webshop_train.json") -> list[Outcome]:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return list(READER.read(path, name))


def _only(outcomes: list[Outcome]) -> Record:
    (outcome,) = outcomes
    (record,) = outcome.records
    return record


def _turn(speaker: str, loss: bool | None, value: str) -> dict[str, Any]:
    return {"from": speaker, "loss": loss, "value": value}


def test_trajectory_keeps_roles_texts_loss_and_fields(tmp_path: Path) -> None:
    turns = [
        _turn("human", None, "You are in a shop."),
        _turn("gpt", False, "Ok."),
        _turn("human", None, "WebShop [SEP] Search"),
        _turn("gpt", True, "Thought:\nI look.\n\nAction:\nsearch[red shoes]"),
    ]
    record = _only(_read(tmp_path, [{"conversations": turns, "item_id": "webshop_6"}]))
    assert record.kind == "trajectory"
    assert record.id == "agenttraj_l/webshop_train.json#0"
    assert record.license == "MIT"
    assert [(each.role, each.content, each.loss) for each in record.messages] == [
        ("user", "You are in a shop.", None),
        ("assistant", "Ok.", False),
        ("user", "WebShop [SEP] Search", None),
        ("assistant", "Thought:\nI look.\n\nAction:\nsearch[red shoes]", True),
    ]
    assert record.meta["item_id"] == "webshop_6"
    assert record.tools == ()
    assert "truncated_observations" not in record.meta


def test_calls_in_json_strings_are_calls_and_the_next_turn_answers_them(tmp_path: Path) -> None:
    documents = f"{json.dumps(_SEARCH, indent=2)}\n{json.dumps(_CLICK, indent=2)}If you want to"
    call = {"thought": "I look.", "function_name": "search", "arguments": {"keywords": "a {b}"}}
    turns = [
        _turn("human", None, f"You have the following functions available:\n\n{documents} call"),
        _turn("gpt", False, "Ok."),
        _turn("human", None, "Find a shoe"),
        _turn("gpt", True, json.dumps(call, indent=2)),
        _turn("human", None, "Page 1"),
        _turn("gpt", True, f"```json\n{json.dumps({**call, 'function_name': 'click'})}\n```"),
        _turn("human", None, "Thank you"),
    ]
    line = {"conversations": turns, "item_id": "webshop_[5238]", "reward": 0.5, "success": 0}
    (outcome,) = _read(tmp_path, json.dumps(line) + "\n", "webshop_fncall.jsonl")
    documentation, record = outcome.records
    assert documentation.id == "agenttraj_l/webshop_fncall.jsonl:documentation#0"
    assert documentation.kind == "tool_documentation"
    assert [tool.name for tool in documentation.tools] == ["search", "click"]
    assert record.tools == documentation.tools
    assert record.tools[0].description == "Look for a thing { in braces }."
    assert record.tools[0].parameters == _SEARCH["function"]["parameters"]  # type: ignore[index]
    said = record.messages
    assert said[0].content == turns[0]["value"]
    assert (said[3].content, said[3].loss) == ("I look.", True)
    assert [(call.id, call.name, call.arguments) for each in said for call in each.tool_calls] == [
        ("call_0", "search", {"keywords": "a {b}"}),
        ("call_1", "click", {"keywords": "a {b}"}),
    ]
    assert [(each.role, each.content, each.tool_call_id) for each in said[4::2]] == [
        ("tool", "Page 1", "call_0"),
        ("tool", "Thank you", "call_1"),
    ]
    assert said[2].role == "user"
    meta = {name: record.meta[name] for name in ("item_id", "reward", "success")}
    assert meta == {"item_id": "webshop_[5238]", "reward": 0.5, "success": 0}


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("\n<|im_start|>assistant\nYou are<|im_end|>", id="leaked-chat-markup"),
        pytest.param('{"thought": "a", "function_name": "f"}', id="no-arguments"),
        pytest.param('{"function_name": "f", "arguments": [1]}', id="arguments-no-object"),
        pytest.param('{"function_name": "f", "arguments": {}, "x": 1}', id="unknown-field"),
        pytest.param('{"function_name": "f", "arguments": {}} and text', id="text-after-it"),
        pytest.param(
            '{"function_name": "f", "function_name": "g", "arguments": {}}', id="duplicate-key"
        ),
    ],
)
def test_what_is_no_certain_call_stays_text(tmp_path: Path, said: str) -> None:
    turns = [_turn("human", None, "Go"), _turn("gpt", True, said), _turn("human", None, "No")]
    record = _only(_read(tmp_path, [{"conversations": turns, "item_id": "webshop_1"}]))
    assert [(each.role, each.content) for each in record.messages] == [
        ("user", "Go"),
        ("assistant", said),
        ("user", "No"),
    ]
    assert not any(each.tool_calls for each in record.messages)


def test_call_with_a_raw_newline_is_repaired(tmp_path: Path) -> None:
    said = '{"thought": "a\nb", "function_name": "f", "arguments": {}}'
    turns = [_turn("human", None, "Go"), _turn("gpt", True, said)]
    (outcome,) = _read(tmp_path, [{"conversations": turns, "item_id": "webshop_1"}])
    assert outcome.repairs == ("raw_newline_in_json",)
    assert outcome.records[0].messages[1].content == "a\nb"


def test_task_without_conversation_is_dropped(tmp_path: Path) -> None:
    tasks = [{"conversations": None, "item_id": "webshop_200"}, {"item_id": "webshop_201"}]
    outcomes = _read(tmp_path, tasks)
    assert [each.dropped for each in outcomes] == [("task_without_conversation",)] * 2


def test_eto_has_no_loss_and_no_stated_licence(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Go"}, {"from": "gpt", "value": "Action: look"}]
    value = {"id": "webshop_0", "conversations": turns, "reward": 1.0, "source": "human"}
    record = _only(_read(tmp_path, [value], "eto_sample_raw.json"))
    assert [each.loss for each in record.messages] == [None, None]
    assert record.license == "unknown"
    assert record.meta["reward"] == 1.0
    task = 'Call {"type": "function", "function": {"name": "f"}}'
    (outcome,) = _read(tmp_path, [{**value, "conversations": [{"from": "human", "value": task}]}])
    assert [each.license for each in outcome.records] == ["unknown"] * 2


def test_cut_observations_are_counted_and_the_task_is_none(tmp_path: Path) -> None:
    turns = [
        _turn("human", None, "The task..."),
        _turn("gpt", True, "look..."),
        _turn("human", None, "You see a lamp and a ta..."),
    ]
    record = _only(_read(tmp_path, [{"conversations": turns, "item_id": "alfworld_1"}]))
    assert record.meta["truncated_observations"] == 1


def test_goal_is_a_request_and_its_answer_is_kept(tmp_path: Path) -> None:
    value = {
        "id": 3,
        "goal": "Who wrote it?",
        "subgoals": ["Ann"],
        "additional_info": {"answer": "Ann", "init_config": None, "goal_type": 0, "tool": "movie"},
        "difficulty": "easy",
    }
    record = _only(_read(tmp_path, json.dumps(value), "movie.jsonl"))
    assert record.kind == "function_call"
    assert [(each.role, each.content) for each in record.messages] == [("user", "Who wrote it?")]
    assert {name: record.meta[name] for name in value if name != "goal"} == {
        name: value[name] for name in value if name != "goal"
    }


def test_prompts_for_tools_give_documents_and_solved_examples(tmp_path: Path) -> None:
    steps = [
        ["Think", "First I look."],
        ["Think", "With care."],
        ["Action", 'find with Action Input: {"name": "Ann"}'],
        ["Observation", "{'id': 1}"],
        ["Action", "finish with Action Input: {'answer': -0.1}"],
        ["Observation", -0.1],
        ["Think", "Done."],
    ]
    old = {"Thought": "Look.", "Action": "find", "Action Input": "{}", "Observation": "nobody"}
    value = {
        "system_message": "You can use actions.",
        "tool_set_message": [
            {
                "name": "find",
                "description": "Find one.",
                "parameters": {},
                "returns": {"type": "x"},
            },
            {"name": "finish", "description": "Answer.", "parameters": {"type": "object"}},
        ],
        "in_context_examples": [{"goal": "Who?", "react_steps": steps, "old_react_steps": [old]}],
        "old_instruction": "Please refer to the examples.",
    }
    (outcome,) = _read(tmp_path, value, "movie_raw.json")
    documentation, new, former = outcome.records
    assert documentation.meta["old_instruction"] == "Please refer to the examples."
    assert documentation.meta["tool_set_message"] == {"find": {"returns": {"type": "x"}}}
    assert [tool.name for tool in new.tools] == ["find", "finish"]
    assert [(each.role, each.content) for each in new.messages] == [
        ("system", "You can use actions."),
        ("user", "Who?"),
        ("assistant", "First I look.\nWith care."),
        ("tool", "{'id': 1}"),
        ("assistant", ""),
        ("tool", "-0.1"),
        ("assistant", "Done."),
    ]
    assert [call.arguments for each in new.messages for call in each.tool_calls] == [
        {"name": "Ann"},
        {"answer": -0.1},
    ]
    assert new.meta["react_steps"] == steps
    assert outcome.repairs == ("python_literal_for_json",)
    assert [call.name for each in former.messages for call in each.tool_calls] == ["find"]
    assert former.id == "agenttraj_l/movie_raw.json:1#0"


def test_prompts_of_text_are_their_text(tmp_path: Path) -> None:
    one = {"examples": ["Task: a\n", "Action: b"], "system_msg": "You help.", "instruction": "Do."}
    record = _only(_read(tmp_path, one, "alfworld_base.json"))
    assert record.text == "You help.\n\nDo.\n\nTask: a\nAction: b\n"
    (outcome,) = _read(tmp_path, {"barman": one, "gripper": one}, "pddl.json")
    assert [each.meta["environment"] for each in outcome.records] == ["barman", "gripper"]


def test_session_of_a_person_is_one_trajectory(tmp_path: Path) -> None:
    goal = {"instruction_text": "i want a sofa", "asin": "B0"}
    pages: list[dict[str, Any]] = [
        {"page": "index", "url": "http://shop/1", "goal": goal},
        {"page": "search_results", "url": "http://shop/2", "goal": goal, "content": {"page": 1}},
        {"page": "done", "url": "http://shop/3", "goal": goal, "reward": 0.5},
    ]
    lines = "".join(json.dumps(page) + "\n" for page in pages)
    record = _only(_read(tmp_path, lines, "1.jsonl"))
    assert record.text == (
        "i want a sofa\n\nindex http://shop/1\n"
        'search_results http://shop/2 {"content":{"page":1}}\ndone http://shop/3 {"reward":0.5}'
    )
    assert record.meta == {
        "goal": goal,
        "steps": [{k: v for k, v in page.items() if k != "goal"} for page in pages],
        "reward": 0.5,
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param('[{"a": 1}]', "unknown_layout", id="unknown"),
        pytest.param("[[1]]", "no_object", id="no-object"),
        pytest.param('[{"conversations": []}]', "no_conversation", id="no-turn"),
        pytest.param(
            '[{"conversations": [{"from": "gpt", "value": " "}]}]', "empty_conversation", id="blank"
        ),
        pytest.param('[{"goal": " ", "id": 1}]', "request_without_text", id="blank-goal"),
        pytest.param('[{"tool_set_message": []}]', "no_tool", id="no-tool"),
        pytest.param('[{"instruction": " "}]', "prompt_without_text", id="blank-prompt"),
        pytest.param('[{"conversations": [1]}]', "turn_is_no_object", id="no-turn-object"),
        pytest.param(
            '[{"conversations": [{"from": "x", "value": ""}]}]', "unknown_role", id="speaker"
        ),
        pytest.param(
            '[{"conversations": [{"from": "gpt"}]}]', "turn_without_speaker_or_text", id="no-text"
        ),
        pytest.param(
            '[{"conversations": [{"from": "gpt", "value": "", "loss": 0.5}]}]',
            "loss_is_no_truth_value",
            id="weight",
        ),
        pytest.param(
            '[{"conversations": [{"from": "gpt", "value": {}}]}]', "turn_is_no_text", id="object"
        ),
    ],
)
def test_what_cannot_be_understood_is_rejected(tmp_path: Path, content: str, reason: str) -> None:
    (outcome,) = _read(tmp_path, content)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason


@pytest.mark.shared
def test_every_real_record_has_a_fate_and_its_text_a_place(shared: Path) -> None:
    root = shared / "data/agent/agenttraj_l"
    sessions = root / "agentenv-webshop"
    rest = [each for each in files(READER, root) if sessions not in each.parents]
    outcomes = [outcome for path in rest for outcome in read_all(READER, path, root)]
    assert counts(outcomes) == {"native": 489, "out": 520}
    for path in files(READER, root):
        read = list(READER.read(path, path.relative_to(root).as_posix()))
        records = [record for outcome in read for record in outcome.records]
        values = native_values(path)
        assert missing_leaves(values, records) == [], path
        assert long_leaves(values), path


@pytest.mark.shared
def test_real_calls_are_found(shared: Path) -> None:
    path = shared / "data/agent/agenttraj_l/agentenv/HJX_test/fn_call/webshop/webshop_fncall.jsonl"
    records = [each for outcome in READER.read(path, path.name) for each in outcome.records]
    trajectories = [each for each in records if each.kind == "trajectory"]
    calls = [call for each in trajectories for said in each.messages for call in said.tool_calls]
    answered = [said for each in trajectories for said in each.messages if said.tool_call_id]
    assert len(trajectories) == 3
    assert len(calls) == len(answered) == 15
    assert {call.name for call in calls} == {"search", "click"}


@pytest.mark.parametrize(
    "given", ["NaN", "Infinity", "9" * 5000, '{"a": 1, "a": 2}', "1e-9999999999999999999"]
)
def test_a_document_that_says_nothing_certain_is_rejected(tmp_path: Path, given: str) -> None:
    document = f'{{"type": "function", "function": {{"name": "f", "parameters": {given}}}}}'
    task = f"Call a function.\n{document}"
    native = {"conversations": [_turn("human", None, task)], "item_id": "webshop_1"}
    (outcome,) = _read(tmp_path, [native])
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "invalid_tool_document"
