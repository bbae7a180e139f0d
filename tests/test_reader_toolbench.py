"""ToolBench: requests, search trees, conversations for tuning, results, documents of tools."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, missing_leaves, read_all

from preprocess.readers import READERS
from preprocess.readers.datasets.toolbench.apis import function_name
from preprocess.records import Outcome, Record

READER = READERS["toolbench"]
SYSTEM = "You are AutoGPT, you can use many tools(functions) to do the following task."
QUERY = "What is the weather in Izmir, and may I swim there tomorrow morning?"
FUNCTIONS: list[dict[str, Any]] = [
    {
        "name": "forecast_for_weather",
        "description": 'The tool\'s description is: "Forecast"',
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "", "example_value": "Rome"},
                "days": {"type": "integer", "description": "At most 5"},
            },
            "required": ["city"],
            "optional": ["days"],
        },
    },
    {
        "name": "Finish",
        "description": "Call this when you are done",
        "parameters": {
            "type": "object",
            "properties": {
                "return_type": {"type": "string", "enum": ["give_answer", "give_up_and_restart"]}
            },
            "required": ["return_type"],
        },
    },
]


def read(folder: Path, value: Any, name: str = "a.json") -> Outcome:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    (outcome,) = read_all(READER, path, folder)
    return outcome


def turns(record: Record) -> list[tuple[Any, ...]]:
    return [
        (
            turn.role,
            turn.content,
            *((call.id, call.name, call.arguments) for call in turn.tool_calls),
            *([turn.tool_call_id] if turn.role == "tool" else []),
        )
        for turn in record.messages
    ]


# --- requests -------------------------------------------------------------------------------------


API = {
    "category_name": "Weather",
    "tool_name": "Weather | World",
    "api_name": "5 Day (free)",
    "api_description": "The forecast of the next five days for any place of the world",
    "required_parameters": [
        {"name": "city", "type": "STRING", "description": "A place", "default": "Rome"}
    ],
    "optional_parameters": [
        {"name": "day", "type": "DATE (YYYY-MM-DD)", "description": "", "default": ""},
        {"name": "deep", "type": "BOOLEAN", "description": "", "default": False},
    ],
    "method": "GET",
    "template_response": '{"sky": "str", "temperature": "float"}',
}


def test_a_request_gives_its_apis_and_itself(tmp_path: Path) -> None:
    relevant = [["Weather | World", "5 Day (free)"]]
    native = {"api_list": [API], "query": QUERY, "relevant APIs": relevant, "query_id": 43}
    documentation, request = read(tmp_path, [native]).records
    assert (documentation.id, documentation.kind, documentation.messages) == (
        "toolbench/a.json:documentation#0",
        "tool_documentation",
        (),
    )
    (tool,) = documentation.tools
    assert tool.name == "5_day_free_for_weather_world"
    assert tool.description == API["api_description"]
    assert tool.parameters["required"] == ["city"]
    assert tool.parameters["properties"]["city"] == {
        "type": "string",
        "description": "A place",
        "default": "Rome",
    }
    assert tool.parameters["properties"]["deep"]["type"] == "boolean"
    assert tool.parameters["properties"]["day"]["x-type"] == "DATE (YYYY-MM-DD)"
    kept = {"category_name", "tool_name", "api_name", "method", "template_response"}
    assert documentation.meta["api_list"] == [{key: API[key] for key in API if key in kept}]
    assert (request.id, request.kind, turns(request)) == (
        "toolbench/a.json:0#0",
        "function_call",
        [("user", QUERY)],
    )
    assert request.tools == documentation.tools
    assert {"relevant APIs": relevant, "query_id": 43}.items() <= request.meta.items()


@pytest.mark.parametrize("apis", [None, [], [{"tool_name": "Quotes", "api_name": "Love"}]])
def test_a_request_whose_apis_are_only_named_is_itself_alone(tmp_path: Path, apis: Any) -> None:
    native = {"query": QUERY, "query_id": 1} | ({} if apis is None else {"api_list": apis})
    (request,) = read(tmp_path, [native]).records
    assert request.id == "toolbench/a.json#0"
    assert request.tools == ()
    assert request.meta.get("api_list") == apis


@pytest.mark.parametrize(
    ("tool", "api", "name"),
    [
        ("Kick.com | Kick", "Chat User (like chat)", "chat_user_like_chat_for_kick_com_kick"),
        ("SQUAKE", "Checkhealth", "checkhealth_for_squake"),
        ("transitaires", "/id/", "is_id_for_transitaires"),
        ("A__b", "c - _d", "c_d_for_a_b"),
        ("t", "x" * 80, "x" * 58 + "_for_t"),
    ],
)
def test_functions_have_the_names_that_answers_call(tool: str, api: str, name: str) -> None:
    assert function_name(tool, api) == name


# --- answers --------------------------------------------------------------------------------------


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
    assert [(tool.name, tool.parameters) for tool in record.tools] == [
        (function["name"], function["parameters"]) for function in FUNCTIONS
    ]
    assert record.meta["win"] is True
    assert record.meta["tree"] == native["tree"]
    assert record.meta["truncated_observations"] == 1
    assert record.meta["answer_generation"] == {
        "valid_data": True,
        "final_answer": '{"final_answer": "Yes"}',
        "query": QUERY,
    }


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
        ({"query": "q", "api_list": [API | {"required_parameters": "a"}]}, "invalid_parameters"),
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


# --- conversations for tuning ---------------------------------------------------------------------


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
    assert [tool.parameters for tool in record.tools] == [each["parameters"] for each in FUNCTIONS]
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


# --- results, documents, shapes of responses ------------------------------------------------------


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


def test_a_document_of_a_tool_gives_its_apis(tmp_path: Path) -> None:
    api = {
        "name": "5 Day",
        "url": "https://w/5",
        "description": "Five days",
        "method": "GET",
        "required_parameters": [{"name": "q", "type": "NUMBER", "description": "", "default": "1"}],
        "optional_parameters": [],
        "code": "import requests",
    }
    native = {"tool_name": "Weather", "tool_description": "All weather", "api_list": [api]}
    (record,) = read(tmp_path, native, "tools/Weather/weather.json").records
    assert [tool.name for tool in record.tools] == ["5_day_for_weather"]
    assert record.tools[0].parameters["properties"]["q"]["type"] == "number"
    assert record.meta["tool_description"] == "All weather"
    assert record.meta["api_list"][0]["code"] == "import requests"


def test_shapes_of_responses_are_named_after_their_file(tmp_path: Path) -> None:
    schema = {"data": [{"ipAddress": "str"}], "total": "int"}
    native = {
        "api_list": [{"name": "CHECK", "schema": schema}, {"name": "/b/{id}", "schema": "str"}]
    }
    (record,) = read(tmp_path, native, "Business/abuse_ip_check.json").records
    assert record.kind == "tool_documentation"
    assert record.text == (
        "Responses of the APIs of abuse_ip_check\n"
        'CHECK: {"data":[{"ipAddress":"str"}],"total":"int"}\n/b/{id}: str'
    )


@pytest.mark.parametrize(
    ("value", "reason"), [({"api_list": []}, "no_apis"), ({"588": 0, "608": 1}, "index")]
)
def test_what_holds_nothing_is_dropped(tmp_path: Path, value: Any, reason: str) -> None:
    assert read(tmp_path, value).dropped == (reason,)


# --- real records ---------------------------------------------------------------------------------


@pytest.mark.shared
def test_every_real_record_of_toolbench_is_read_and_loses_nothing(shared: Path) -> None:
    root = shared / "data/agent/toolbench"
    found = counts(
        each
        for each in read_all(READER, root, root)
        if each.rejection is None or each.rejection.raw  # one file is empty
    )
    assert found == {
        "native": 40,
        "out": 79,
        "dropped no_apis": 6,
        "repaired python_literal_for_json": 2,
    }
    assert lost_leaves(READER, root, root) == (1843, [])


@pytest.mark.shared
def test_every_real_record_of_stabletoolbench_is_read_and_loses_nothing(shared: Path) -> None:
    root = shared / "data/agent/stabletoolbench"
    reader = READERS["stabletoolbench"]
    outcomes = read_all(reader, root, root)
    assert counts(outcomes) == {"native": 116, "out": 229}
    assert lost_leaves(reader, root, root) == (1288, [])
    records = [record for each in outcomes for record in each.records]
    assert {record.source for record in records} == {"stabletoolbench"}


@pytest.mark.shared
def test_tools_of_real_requests_are_those_that_real_answers_call(shared: Path) -> None:
    root = shared / "data/agent/stabletoolbench"
    reader = READERS["stabletoolbench"]
    queries = root / "solvable_queries/test_instruction/G1_instruction.json"
    asked = {
        record.meta["query_id"]: record
        for each in read_all(reader, queries, root)
        for record in each.records
        if "query_id" in record.meta
    }
    for query in (588, 608):
        path = (
            root
            / f"data_example/answer/virtual_chatgpt_dfs/G1_instruction/{query}_DFS_woFilter_w2.json"
        )
        (outcome,) = read_all(reader, path, root)
        named = {tool.name for tool in outcome.records[0].tools} - {"Finish"}
        assert named
        assert {tool.name for tool in asked[query].tools} == named


@pytest.mark.shared
def test_every_real_call_is_answered_by_its_function(shared: Path) -> None:
    root = shared / "data/agent/toolbench/data_example/answer"
    records = [record for each in read_all(READER, root, root) for record in each.records]
    calls = [call for record in records for turn in record.messages for call in turn.tool_calls]
    answers = [turn for record in records for turn in record.messages if turn.role == "tool"]
    assert len(records) == 15
    assert len(calls) > 50
    assert all(turn.tool_call_id for turn in answers)
    assert sum(record.meta.get("truncated_observations", 0) for record in records) == 10
