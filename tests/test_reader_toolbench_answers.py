"""ToolBench: search trees of answers, and the results of its evaluation."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import missing_leaves
from toolbench_records import FUNCTIONS, PARAMETERS, QUERY, SYSTEM, read, turns


def call(name: str, arguments: str, content: str | None = None) -> dict[str, Any]:
    function_call = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": content, "function_call": function_call}


ASKED = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUERY}]
FIRST = call("forecast_for_weather", '{\n  "city": "Izmir"\n}')
SEEN = {
    "role": "function",
    "name": "forecast_for_weather",
    "content": '{"error": "", "response": "{\'sky\': \'clear\', \'sea\': \'wa..."}',
}
FINISH = {"return_type": "give_answer", "final_answer": "Yes"}
LAST = call("Finish", json.dumps(FINISH), "It is warm.")
AGAIN = {"role": "user", "content": "This is not the first time you try this task", "valid": False}


def answer(chains: Any, **changes: Any) -> dict[str, Any]:
    tree = {"size": 1, "tree": node("Action Input", "", [])}
    generation = {
        "valid_data": True,
        "final_answer": '{"final_answer": "Yes"}',
        "function": FUNCTIONS,
        "train_messages": chains,
        "query": QUERY,
    }
    return {"win": True, "tree": tree, "answer_generation": generation | changes}


def node(kind: str, text: str, children: list[Any], **fields: Any) -> dict[str, Any]:
    return {"node_type": kind, "description": text, "children": children, **fields}


def test_an_answer_is_the_longest_conversation_of_its_search(tmp_path: Path) -> None:
    chains = [[*ASKED, FIRST], [*ASKED, FIRST, SEEN, LAST]]
    native = answer(chains)
    (record,) = read(tmp_path, native).records
    assert (record.id, record.kind) == ("toolbench/a.json#0", "trajectory")
    assert turns(record) == [
        ("system", SYSTEM),
        ("user", QUERY),
        ("assistant", "", ("call_0", "forecast_for_weather", {"city": "Izmir"})),
        ("tool", SEEN["content"], "call_0"),
        ("assistant", "It is warm.", ("call_1", "Finish", FINISH)),
    ]
    assert [tool.parameters for tool in record.tools] == PARAMETERS
    assert record.meta["win"] is True
    assert record.meta["tree"] == native["tree"]
    assert record.meta["truncated_observations"] == 1
    assert record.meta["answer_generation"] == {
        "valid_data": True,
        "final_answer": '{"final_answer": "Yes"}',
        "query": QUERY,
    }


def test_newer_answers_call_several_functions_by_id(tmp_path: Path) -> None:
    def tool_call(number: int, city: str) -> dict[str, Any]:
        function = {"name": "forecast_for_weather", "arguments": json.dumps({"city": city})}
        return {"id": f"id{number}", "type": "function", "function": function}

    chain = [
        *ASKED,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [tool_call(1, "a"), tool_call(2, "b")],
        },
        {"role": "tool", "tool_call_id": "id2", "content": "b is fine"},
        {"role": "tool", "tool_call_id": "id1", "content": "a is not"},
        {"role": "tool", "tool_call_id": "id7", "content": "who asked?"},
    ]
    functions = [{"type": "function", "function": function} for function in FUNCTIONS]
    (record,) = read(tmp_path, answer([chain], function=functions)).records
    assert turns(record)[2:] == [
        (
            "assistant",
            "",
            ("id1", "forecast_for_weather", {"city": "a"}),
            ("id2", "forecast_for_weather", {"city": "b"}),
        ),
        ("tool", "b is fine", "id2"),
        ("tool", "a is not", "id1"),
        ("tool", "who asked?", None),
    ]
    assert [tool.name for tool in record.tools] == ["forecast_for_weather", "Finish"]
    assert record.meta["train_message_fields"] == [{"turn": 5, "tool_call_id": "id7"}]


def test_what_a_list_of_optional_parameters_says_beyond_the_schema_stays(tmp_path: Path) -> None:
    parameters = {"type": "object", "properties": {"a": {}}, "required": [], "optional": ["b"]}
    function = {"name": "f", "description": "", "parameters": parameters, "strict": True}
    (record,) = read(tmp_path, answer([ASKED], function=[function])).records
    assert record.tools[0].parameters == parameters
    assert record.meta["answer_generation"]["function"] == {"f": {"strict": True}}


def test_a_conversation_that_no_later_one_begins_with_is_a_part_of_its_own(tmp_path: Path) -> None:
    other = call("forecast_for_weather", '{"city": "Rome"}')
    chains = [[*ASKED, AGAIN, other], [*ASKED, FIRST], [*ASKED, FIRST, SEEN, LAST]]
    final, failed = read(tmp_path, answer(chains)).records
    assert (final.id, failed.id) == ("toolbench/a.json:0#0", "toolbench/a.json:1#0")
    assert (final.meta["train_messages"], failed.meta["train_messages"]) == (2, 0)
    assert len(final.messages) == 5
    assert turns(failed)[-2:] == [
        ("user", AGAIN["content"]),
        ("assistant", "", ("call_0", "forecast_for_weather", {"city": "Rome"})),
    ]
    assert failed.meta["train_message_fields"] == [{"turn": 2, "valid": False}]
    assert "tree" not in failed.meta


def test_a_failed_search_is_the_last_path_of_its_tree(tmp_path: Path) -> None:
    leaf = node("Action Input", '{"city": "Rome"}', [], observation='{"error": "no"}', pruned=True)
    path = node("Thought", "I try Rome.", [node("Action", "forecast_for_weather", [leaf])])
    root = node("Action Input", "", [node("Thought", "An earlier branch", []), path])
    value = answer([], function=FUNCTIONS)
    del value["answer_generation"]["train_messages"]
    value["tree"] = {"size": 4, "tree": root}
    (record,) = read(tmp_path, value).records
    assert turns(record) == [
        ("user", QUERY),
        ("assistant", "I try Rome.", ("call_0", "forecast_for_weather", {"city": "Rome"})),
        ("tool", '{"error": "no"}', "call_0"),
    ]
    assert record.meta["tree"] == value["tree"]


def test_a_failed_chain_of_thought_is_each_of_its_attempts(tmp_path: Path) -> None:
    value = answer([])
    del value["tree"]
    chain = [
        {"node_type": "Action", "description": "forecast_for_weather"},
        {"node_type": "Action Input", "description": "{}", "observation": "nothing"},
        {"node_type": "Thought", "description": "I give up."},
    ]
    value["trys"] = [{"chain": chain, "win": False}, {"chain": chain[2:], "win": False}]
    first, second = read(tmp_path, value).records
    assert turns(first)[1:] == [
        ("assistant", "", ("call_0", "forecast_for_weather", {})),
        ("tool", "nothing", "call_0"),
        ("assistant", "I give up."),
    ]
    assert turns(second) == [("user", QUERY), ("assistant", "I give up.")]


@pytest.mark.parametrize("spelled", ['{"city": Izmir}', '["Izmir"]', '{"city": "Iz'])
def test_a_call_that_a_model_spelled_wrongly_stays_text(tmp_path: Path, spelled: str) -> None:
    chain = [*ASKED, call("forecast_for_weather", spelled, "I ask."), SEEN]
    (record,) = read(tmp_path, answer([chain])).records
    assert turns(record)[2:] == [
        ("assistant", f"I ask.\nAction: forecast_for_weather\nAction Input: {spelled}"),
        ("tool", SEEN["content"], None),
    ]
    assert record.meta["malformed_calls"] == 1
    assert record.meta["train_message_fields"] == [{"turn": 3, "name": "forecast_for_weather"}]


@pytest.mark.parametrize(
    ("spelled", "arguments", "repair"),
    [
        ("", {}, "empty_arguments"),
        ("{'a': 'b', 'c': None}", {"a": "b", "c": None}, "python_literal_for_json"),
        ('{"city": "Iz\nmir"}', {"city": "Iz\nmir"}, "raw_newline_in_json"),
    ],
)
def test_arguments_are_repaired_where_their_meaning_is_certain(
    tmp_path: Path, spelled: str, arguments: dict[str, Any], repair: str
) -> None:
    chain = [*ASKED, call("forecast_for_weather", spelled)]
    outcome = read(tmp_path, answer([chain]))
    assert outcome.records[0].messages[-1].tool_calls[0].arguments == arguments
    assert outcome.repairs == (repair,)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"answer_generation": []}, "invalid_answer_generation"),
        (answer([[*ASKED, {"role": "judge", "content": "a"}]]), "unknown_role"),
        (answer(["a"]), "invalid_train_messages"),
        (answer([], query=None), "no_train_messages_and_no_query"),
        (answer([[*ASKED, FIRST]], function=[{"description": "a"}]), "tool_without_name"),
        ({"query": ["a"]}, "query_is_no_text"),
        ({"query": " "}, "empty_query"),
        (
            {"query": "q", "api_list": [{"api_name": "a", "required_parameters": "a"}]},
            "invalid_parameters",
        ),
        ({"api_list": 3}, "invalid_api_list"),
        ({}, "unknown_shape"),
        ({"a": 1.5}, "unknown_shape"),
        (3, "unknown_shape"),
    ],
)
def test_what_is_of_no_shape_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    outcome = read(tmp_path, [value])
    assert outcome.rejection
    assert outcome.rejection.reason == reason


def details(*said: tuple[str, Any]) -> list[Any]:
    nodes: list[Any] = []
    for role, message in reversed(said):
        nodes = [{"role": role, "message": message, "next": nodes}]
    return nodes


def results(nodes: list[Any]) -> dict[str, Any]:
    told = {"method": "CoT", "total_steps": 4, "final_answer": "{}", "answer_details": nodes}
    return {"1187": {"query": QUERY, "available_tools": FUNCTIONS[:1], "answer": told}}


CALLED = {
    "name": "forecast_for_weather",
    "arguments": '{"city": "Izmir"}',
    "response": "{'sky': 'clear'}",
}
FINISHED = {"name": "Finish", "arguments": '{"return_type": "give_answer"}', "response": ""}


def test_a_result_is_told_as_a_run(tmp_path: Path) -> None:
    nodes = details(
        ("system", ""), ("user", ""), ("tool", CALLED), ("assistant", "Yes"), ("tool", FINISHED)
    )
    (record,) = read(tmp_path, results(nodes)).records
    assert record.id == "toolbench/a.json:1187#0"
    assert turns(record) == [
        ("user", QUERY),
        ("assistant", "", ("call_0", "forecast_for_weather", {"city": "Izmir"})),
        ("tool", "{'sky': 'clear'}", "call_0"),
        ("assistant", "Yes"),
        ("assistant", "", ("call_1", "Finish", {"return_type": "give_answer"})),
    ]
    assert record.meta["answer"] == {"method": "CoT", "total_steps": 4, "final_answer": "{}"}
    assert "query" not in record.meta


def test_a_result_that_tells_another_request_keeps_both(tmp_path: Path) -> None:
    (record,) = read(tmp_path, results(details(("user", "Go")))).records
    assert turns(record) == [("user", "Go")]
    assert record.meta["query"] == QUERY


def test_a_message_that_python_printed_is_a_call_and_a_cut_one_its_text(tmp_path: Path) -> None:
    cut = str(CALLED)[:60]
    nodes = details(("user", QUERY[:30]), ("tool", str(CALLED)), ("tool", cut))
    native = results(nodes)
    outcome = read(tmp_path, native)
    (record,) = outcome.records
    assert turns(record)[:3] == [
        ("user", QUERY),
        ("assistant", "", ("call_0", "forecast_for_weather", {"city": "Izmir"})),
        ("tool", "{'sky': 'clear'}", "call_0"),
    ]
    assert turns(record)[3:] == [("tool", cut, None)]
    assert record.meta["truncated_observations"] == 1
    assert record.meta["answer"]["answer_details"] == nodes
    assert outcome.repairs == ("python_literal_for_json",)
    assert missing_leaves(native, [record]) == []


def test_the_last_of_several_branches_is_told_and_all_are_kept(tmp_path: Path) -> None:
    nodes = details(("user", QUERY))
    nodes[0]["next"] = [*details(("assistant", "No")), *details(("assistant", "Yes"))]
    (record,) = read(tmp_path, results(nodes)).records
    assert turns(record) == [("user", QUERY), ("assistant", "Yes")]
    assert record.meta["answer"]["answer_details"] == nodes


def test_what_a_turn_says_beyond_a_message_stays(tmp_path: Path) -> None:
    first = {"role": "user", "content": QUERY, "name": "Ada"}
    second = call("forecast_for_weather", "{}")
    second["function_call"]["confidence"] = 0.5
    (record,) = read(tmp_path, answer([[first, second]])).records
    assert record.meta["train_message_fields"] == [
        {"turn": 0, "name": "Ada"},
        {"turn": 1, "tool_calls": [{"confidence": 0.5}]},
    ]


def test_what_a_node_of_a_result_says_beyond_its_message_stays(tmp_path: Path) -> None:
    nodes = details(("user", QUERY), ("assistant", "Yes"))
    nodes[0]["next"][0]["score"] = 0.5
    (record,) = read(tmp_path, results(nodes)).records
    assert record.meta["answer"]["answer_details"] == nodes


def test_required_names_that_are_none_do_not_stop_it(tmp_path: Path) -> None:
    functions = [{**FUNCTIONS[0], "parameters": {**PARAMETERS[0], "required": [["city"], {}]}}]
    native = answer([[{"role": "user", "content": QUERY}]])
    native["answer_generation"]["function"] = functions
    (record,) = read(tmp_path, native).records
    assert record.tools[0].parameters["required"] == [["city"], {}]
