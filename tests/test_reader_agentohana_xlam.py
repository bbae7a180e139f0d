"""AgentOhana and xLAM: unified trajectories, older steps, training prompts, and pointer files."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import outcome_of, own_meta, record_of, rejected, turns

from preprocess.readers import READERS

READER = READERS["agentohana_xlam"]
TOOL = {"name": "seek", "description": "d", "parameters": {"type": "object", "properties": {}}}
CONVERSATION = [
    {"role": "user", "content": "Find it"},
    {
        "role": "assistant",
        "content": " I seek.\n",
        "tool_calls": [
            {"type": "function", "function": {"name": "seek", "arguments": {}}, "id": "17"}
        ],
    },
    {"role": "tool", "name": "seek", "content": "405", "tool_call_id": "17"},
]


def unified(**fields: Any) -> dict[str, Any]:
    return {
        "unique_trajectory_id": "a---train---0",
        "task_instruction": "",
        "format_instruction": None,
        "few_shot_examples": None,
        "tools": [{"type": "function", "function": TOOL}],
        "conversation": CONVERSATION,
        **fields,
    }


def test_a_unified_trajectory_keeps_ids_and_thoughts(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, unified(task_instruction="Act."))
    assert record.kind == "trajectory"
    assert turns(record) == [
        ("system", "Act."),
        ("user", "Find it"),
        ("assistant", " I seek.\n", "17 seek {}"),
        ("tool", "405", "to 17"),
    ]
    assert own_meta(record) == {
        "unique_trajectory_id": "a---train---0",
        "format_instruction": None,
        "few_shot_examples": None,
        "turn_fields": [{"turn": 3, "name": "seek"}],
    }


def test_a_conversation_may_be_a_python_literal_with_raw_newlines(tmp_path: Path) -> None:
    literal = repr(CONVERSATION).replace("\\n", "\n")
    outcome = outcome_of(READER, tmp_path, unified(conversation=literal, tools=repr([TOOL])))
    assert set(outcome.repairs) == {"python_literal_for_json", "raw_newline_in_json"}
    (record,) = outcome.records
    assert turns(record)[1] == ("assistant", " I seek.\n", "17 seek {}")


def test_a_file_that_is_a_python_literal_is_one_record(tmp_path: Path) -> None:
    path = tmp_path / "conversation.pyliteral.txt"
    path.write_text(repr(CONVERSATION).replace("\\n", "\n"))
    (made,) = READER.read(path, path.name)
    assert set(made.repairs) == {"python_literal_for_json", "raw_newline_in_json"}
    assert turns(made.records[0])[1] == ("assistant", " I seek.\n", "17 seek {}")
    path.write_text(repr([{"type": "function", "function": TOOL}]))
    (made,) = READER.read(path, path.name)
    (record,) = made.records
    assert (record.kind, record.tools[0].name) == ("tool_documentation", "seek")
    path.write_bytes(b"[{'role': 'us\xff")
    (made,) = READER.read(path, path.name)
    assert made.rejection is not None
    assert made.rejection.reason == "invalid_utf8"


def test_steps_of_the_older_layout_become_turns(tmp_path: Path) -> None:
    call = {"name": "seek", "arguments": {"q": 1}}
    steps = [
        {
            "thought": "First",
            "tool_calls": [call],
            "step_id": 1,
            "next_observation": "none",
            "user_input": "Again",
        },
        {"thought": "Over", "tool_calls": [], "step_id": 2, "next_observation": ""},
    ]
    value = {"user_query": "Find it", "tools": [TOOL], "steps": steps, "score": 0.5}
    record = record_of(READER, tmp_path, value)
    assert turns(record) == [
        ("user", "Find it"),
        ("assistant", "First", 'call_0 seek {"q": 1}'),
        ("tool", "none", "to call_0"),
        ("user", "Again"),
        ("assistant", "Over"),
    ]
    assert own_meta(record) == {"score": 0.5, "steps": [{"step_id": 1}, {"step_id": 2}]}


def prompt(tools: list[Any], output: str) -> dict[str, Any]:
    sections = {
        "TASK INSTRUCTION": "You call tools.",
        "AVAILABLE TOOLS": json.dumps(tools),
        "FORMAT INSTRUCTION": "JSON, '[]' if none.\n```\n[...]\n```",
        "QUERY": "Find it",
    }
    text = "".join(f"[BEGIN OF {k}]\n{v}\n[END OF {k}]\n\n" for k, v in sections.items())
    return {"instruction": text, "input": "", "output": output}


MASKED = {
    "name": "hWY9epd1OAn8XVN",
    "description": "d",
    "parameters": {"TDEJ.ZwMt": {"type": "str"}, "uSmP": {"type": "int, optional"}},
}


@pytest.mark.parametrize("output", ["```\n{}\n```", "[TOOL_CALLS] {}", "{}", "```json\n{}\n```"])
def test_a_training_prompt_stays_the_text_and_is_understood(tmp_path: Path, output: str) -> None:
    output = output.format('[{"name": "hWY9epd1OAn8XVN", "arguments": {"TDEJ.ZwMt": "x"}}]')
    value = prompt([MASKED], output)
    record = record_of(READER, tmp_path, value)
    assert record.text == value["instruction"] + output
    assert turns(record) == [
        ("system", "You call tools."),
        ("user", "Find it"),
        ("assistant", "", 'call_0 hWY9epd1OAn8XVN {"TDEJ.ZwMt": "x"}'),
    ]
    assert record.tools[0].parameters["required"] == ["TDEJ.ZwMt"]
    assert own_meta(record) == {}


def test_an_answer_without_calls_stays_as_it_is(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, prompt([MASKED], "```\n[]\n```"))
    assert turns(record)[-1] == ("assistant", "```\n[]\n```")


def test_descriptions_that_say_what_is_required_are_heeded(tmp_path: Path) -> None:
    flat = {
        "a": {"type": "float", "description": "Total.Required is true."},
        "b": {"type": "float", "description": "Rate.Required is false."},
    }
    tools = [{**MASKED, "parameters": flat}]
    record = record_of(READER, tmp_path, prompt(tools, "[]"))
    assert record.tools[0].parameters["required"] == ["a"]


def test_a_judgement_is_text(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, {"score": "2", "explanation": "It repeats itself."})
    assert (record.kind, record.text) == ("text", "It repeats itself.")
    assert record.meta == {"score": "2"}


def test_a_pointer_of_git_lfs_says_so(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 12345\n"
    path = tmp_path / "data.json"
    path.write_text(pointer)
    (outcome,) = READER.read(path, path.name)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "git_lfs_pointer"
    assert outcome.rejection.raw == pointer.encode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (unified(conversation=[{"role": "user", "content": 1}]), "invalid_turn"),
        (unified(conversation="[{'role': "), "invalid_json_in_string"),
        (unified(conversation=[]), "no_turns"),
        ({"user_query": "a", "tools": [], "steps": [1]}, "invalid_step"),
        ({"instruction": "[BEGIN OF QUERY]\nx", "output": "y"}, "unknown_prompt"),
        ({"other": 1}, "unknown_layout"),
    ],
)
def test_what_is_not_certain_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    assert rejected(READER, tmp_path, value) == reason


def test_data_for_research_only_says_so() -> None:
    assert READER.license == "CC-BY-NC-4.0"


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/agentohana_xlam"
    assert counts(read_all(READER, root, root)) == {"native": 130, "out": 130}
    assert lost_leaves(READER, root, root) == (287, [])


@pytest.mark.shared
def test_the_literal_of_the_repository_is_the_restored_record(shared: Path) -> None:
    root = shared / "data/agent/agentohana_xlam"
    path = root / "criticLAM_example_1/conversation.pyliteral.txt"
    (understood,) = next(READER.read(path, path.name)).records
    path = root / "criticLAM_example_1/tools.pyliteral.txt"
    (documented,) = next(READER.read(path, path.name)).records
    path = root / "unified_record_restored.json"
    (restored,) = read_all(READER, path, root)[0].records
    assert understood.messages == restored.messages
    assert documented.tools == restored.tools


def test_numbers_link_calls_and_answers_as_strings_do(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "seek", "arguments": {}}, "id": 17}
    conversation = [
        {"role": "assistant", "content": "", "tool_calls": [call, {**call, "id": 18}]},
        {"role": "tool", "content": {"found": ["é"]}, "tool_call_id": 18},
    ]
    record = record_of(READER, tmp_path, unified(conversation=conversation))
    assert [each.id for each in record.messages[0].tool_calls] == ["17", "18"]
    assert turns(record)[1] == ("tool", '{"found":["é"]}', "to 18")
    bad = [conversation[0], {**conversation[1], "tool_call_id": {"id": 18}}]
    assert rejected(READER, tmp_path, unified(conversation=bad)) == "invalid_turn"


def test_what_a_call_says_beyond_its_name_is_kept(tmp_path: Path) -> None:
    function = {"name": "seek", "arguments": {}}
    calls = [{"type": "custom", "function": function}, {"id": {"a": 1}, "function": function}]
    calls.append({"name": "outer", "function": function})
    value = unified(conversation=[{"role": "assistant", "content": "", "tool_calls": calls}])
    assert record_of(READER, tmp_path, value).meta["tool_calls"] == calls


def test_history_in_a_prompt_becomes_turns(tmp_path: Path) -> None:
    history = [
        {
            "thought": "I look.",
            "tool_calls": [{"name": "seek", "arguments": {"at": 1}}],
            "step_id": 1,
            "next_observation": {"n": 0},
            "user_input": "Again!",
        }
    ]
    parts = {
        "AVAILABLE TOOLS": json.dumps([TOOL]),
        "QUERY": "Find it",
        "HISTORY STEPS": json.dumps(history),
        "NOTES": "Nobody knows.",
    }
    prompt = "\n".join(f"[BEGIN OF {k}]\n{v}\n[END OF {k}]" for k, v in parts.items())
    answer = {"thought": "Once more.", "tool_calls": [{"name": "seek", "arguments": {"at": 2}}]}
    value = {"instruction": prompt, "input": "", "output": f"```json\n{json.dumps(answer)}\n```"}
    record = record_of(READER, tmp_path, value)
    assert turns(record) == [
        ("user", "Find it"),
        ("assistant", "I look.", 'call_0 seek {"at": 1}'),
        ("tool", '{"n":0}', "to call_0"),
        ("user", "Again!"),
        ("assistant", "Once more.", 'call_1 seek {"at": 2}'),
    ]
    assert own_meta(record) == {"sections": {"NOTES": "Nobody knows."}}


def test_an_empty_explanation_is_rejected(tmp_path: Path) -> None:
    assert rejected(READER, tmp_path, {"score": 1, "explanation": " "}) == "empty_text"
