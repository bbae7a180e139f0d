"""NexusRaven: queries of four sources, whose functions are Python source or between markers."""

import json
from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import outcome_of, own_meta, record_of, rejected, turns

from preprocess.readers import READERS

READER = READERS["nexusraven"]


@pytest.mark.parametrize(
    ("reference", "call"),
    [
        (
            'vt_get(domain = "a.org", data = {"type": "vote"})',
            'vt_get {"domain": "a.org", "data": {"type": "vote"}}',
        ),
        (
            "r = nvdlib.searchCPE(keywordSearch='PHP', limit = 2)",
            'nvdlib.searchCPE {"keywordSearch": "PHP", "limit": 2}',
        ),
    ],
)
def test_a_reference_is_a_call_without_tools(tmp_path: Path, reference: str, call: str) -> None:
    record = record_of(READER, tmp_path, {"query": "Report?", "reference": reference})
    assert turns(record) == [("user", "Report?"), ("assistant", "", f"call_0 {call}")]
    assert own_meta(record) == {"reference": reference}
    assert (record.tools, record.license) == ((), "CC-BY-NC-4.0")


def test_source_of_functions_becomes_tools(tmp_path: Path) -> None:
    context = [
        "def tile(z: int=3, lang: str='es', kind: ENUM=None, at: float=1 - 2):\n"
        "    'Get a tile'\n    args_dict = locals()\n    global correctness",
        "def shoes():\n    'All **shoes**\\n\\tand more'\n    return_dict = {}",
        "def age(date: datetime):\n    'Age'",
    ]
    value = {
        "Output_Original": ['tile("z" = 4)', "maps"],
        "Output": "tile(z= 4)",
        "context": context,
        "ToolName": "maps",
        "Input": "A tile?",
    }
    record = record_of(READER, tmp_path, value)
    assert turns(record)[1] == ("assistant", "", 'call_0 tile {"z": 4}')
    tile, shoes, age = record.tools
    assert tile.description == "Get a tile"
    assert tile.parameters == {
        "type": "object",
        "properties": {
            "z": {"type": "integer", "default": 3},
            "lang": {"type": "string", "default": "es"},
            "kind": {"x-type": "ENUM", "default": None},
            "at": {"type": "number", "x-default": "1 - 2"},
        },
        "required": [],
    }
    assert shoes.description.startswith("All **shoes**\n")
    assert age.parameters["required"] == ["date"]
    assert own_meta(record) == {key: value[key] for key in value if key != "Input"}


OPTION = (
    "\nOPTION:\n<func_start>def exchange(from: str, to: str, rate: float)<func_end>\n"
    '<docstring_start>\n"""\nExchange money.\n\nParameters:\n'
    "    from (str) required: string. One of: [EUR, GBP].\n"
    "        A code.\n"
    "    to (str) required: Required. string.\n"
    "    rate (float) required: number. \\d digits.\n"
    '"""\n<docstring_end>\n'
)
NOTHING = {"backup": None, "docstring": None, "golden_answer": None, "instruction": None}


def alpaca(answers: list[str], docstring: str = OPTION) -> dict[str, Any]:
    return {
        "backup": json.dumps(["Exchange", [{"Action": "exchange", "Action_Input": "{}"}]]),
        "docstring": docstring,
        "golden_answer": json.dumps(answers),
        "instruction": "Exchange",
    }


def test_each_turn_that_is_there_is_a_record(tmp_path: Path) -> None:
    call = 'exchange(from="EUR", to="GBP", rate=1.5)'
    value = {"turns_1": alpaca([call]), "turns_3": NOTHING, "turns_2": alpaca([call, call])}
    outcome = outcome_of(READER, tmp_path, value)
    assert [record.id for record in outcome.records] == [
        "nexusraven/a.json:turns_1#0",
        "nexusraven/a.json:turns_2#0",
    ]
    assert set(outcome.repairs) == {"reserved_word_as_parameter"}
    first, second = outcome.records
    arguments = '{"from": "EUR", "to": "GBP", "rate": 1.5}'
    assert turns(first)[1] == ("assistant", "", f"call_0 exchange {arguments}")
    assert [len(turn.tool_calls) for turn in second.messages] == [0, 2]
    assert own_meta(first) == {k: v for k, v in value["turns_1"].items() if k != "instruction"}


def test_docstrings_between_markers_say_what_parameters_are(tmp_path: Path) -> None:
    value = {"turns_1": alpaca(['exchange("EUR", "GBP", 1)'])}
    (record,) = outcome_of(READER, tmp_path, value).records
    (tool,) = record.tools
    assert (tool.name, tool.description) == ("exchange", "Exchange money.")
    assert tool.parameters["properties"] == {
        "from": {"type": "string", "description": "string. One of: [EUR, GBP].\nA code."},
        "to": {"type": "string", "description": "Required. string."},
        "rate": {"type": "number", "description": "number. \\d digits."},
    }
    assert turns(record)[1][2] == 'call_0 exchange {"from": "EUR", "to": "GBP", "rate": 1}'


PROMPT = (
    "<human>:\n"
    + OPTION.replace("from:", "source:").replace("from (", "source (")
    + "\nUser Query: Question: Change it\n\nPlease pick a function from the above options that "
    "best answers the user query and fill in the appropriate arguments.<human_end>\n"
)


def test_a_prompt_of_the_first_version_is_understood(tmp_path: Path) -> None:
    answer = 'Call: exchange(source="a", to="b", rate=2)<bot_end>\nReflection: fine'
    record = record_of(READER, tmp_path, {"prompt": PROMPT, "response": answer, "n": 1})
    assert record.text == PROMPT + answer
    assert turns(record) == [
        ("user", "Change it"),
        ("assistant", "", 'call_0 exchange {"source": "a", "to": "b", "rate": 2}'),
    ]
    assert record.tools[0].name == "exchange"
    assert own_meta(record) == {"n": 1}


def test_a_prompt_of_the_second_version_is_understood(tmp_path: Path) -> None:
    prompt = (
        'Function:\ndef f(a: int):\n"""\nDo f.\n\nArgs:\na (int): the number\n"""\n\n'
        'Function:\ndef g():\n"""\nDo g.\n"""\n\nUser Query: f of one<human_end>'
    )
    record = record_of(READER, tmp_path, {"prompt": prompt, "output": "Call: f(a=1)"})
    assert [tool.name for tool in record.tools] == ["f", "g"]
    assert record.tools[0].parameters["properties"] == {
        "a": {"type": "integer", "description": "the number"}
    }
    assert turns(record) == [("user", "f of one"), ("assistant", "", 'call_0 f {"a": 1}')]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"query": "a", "reference": "f(x='1'"}, "invalid_call_text"),
        ({"query": "", "reference": "f(x=1)"}, "no_question"),
        ({"turns_1": NOTHING}, "no_question"),
        ({"turns_1": alpaca(["f(x=1)"], "def f(x)")}, "invalid_function_document"),
        ({"turns_1": alpaca(["f(x=y)"])}, "invalid_call_text"),
        ({"Input": "a", "Output": "f()", "context": ["x = 1"]}, "invalid_function_document"),
        ({"Input": "a", "Output": "f()", "context": ["def f(*a): 'b'"]}, "variadic_function"),
        ({"prompt": "Hello"}, "unknown_prompt"),
        ({}, "unknown_layout"),
    ],
)
def test_what_is_not_certain_is_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    assert rejected(READER, tmp_path, value) == reason


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/nexusraven"
    assert counts(read_all(READER, root, root)) == {
        "native": 285,
        "out": 307,
        "repaired reserved_word_as_parameter": 3,
    }
    assert lost_leaves(READER, root, root) == (923, [])
