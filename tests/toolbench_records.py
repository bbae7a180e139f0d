"""Records of ToolBench made by hand, and how the tests of its shapes read them."""

import json
from pathlib import Path
from typing import Any

from leaves import read_all

from preprocess.readers import READERS
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


PARAMETERS = [
    {key: value for key, value in function["parameters"].items() if key != "optional"}
    for function in FUNCTIONS
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
