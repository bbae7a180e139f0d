"""Understanding and checks on real files: what is read, and what is not, by number."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from preprocess.checks.schemas import validator_of
from preprocess.exact_json import DECODER
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.python_calls import parse_calls
from preprocess.readers.understand.schemas import (
    json_schema,
    python_parameters,
    rapidapi_parameters,
)
from preprocess.records import Message, Origin, Tool, ToolCall
from preprocess.render import TEMPLATES, parse, text_of
from preprocess.render.spans import Unfit
from preprocess.render.values import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def agent(shared: Path) -> Path:
    return shared / "data" / "agent"


def records(path: Path) -> list[Any]:
    text = path.read_text()
    try:
        value = DECODER.decode(text)
    except ValueError:
        return [DECODER.decode(line) for line in text.split("\n") if line.strip()]
    return value if isinstance(value, list) else [value]


def outcome(text: str) -> str:
    native = Native(None, b"", Origin(path="a", record=0))
    try:
        loads(text, native)
    except Unreadable as error:
        return str(error)
    return "+".join(native.repairs)


def test_action_inputs_of_toolalpaca(agent: Path) -> None:
    found: Counter[str] = Counter()
    for name in ("eval_real", "eval_simulated"):
        for api in records(agent / "toolalpaca" / "data" / f"{name}.json"):
            assert outcome(api["Documentation"]) == ""
            for answer in api["Golden_Answers"]:
                found.update(outcome(step["Action_Input"]) for step in answer)
    assert found == {"": 212, "invalid_json_in_string": 26}


def observations(agent: Path) -> Iterator[str]:
    for path in sorted((agent / "toolbench" / "data_example" / "answer").glob("*/*.json")):
        chains = json.loads(path.read_text())["answer_generation"].get("train_messages", [])
        for turn in chains[-1] if chains else ():
            if turn["role"] == "function":
                yield turn["content"]


def test_observations_of_toolbench(agent: Path) -> None:
    whole = Counter(outcome(content) for content in observations(agent))
    assert whole == {"": 23, "invalid_json_in_string": 9}
    inner = Counter(
        outcome(response)
        for content in observations(agent)
        if outcome(content) == ""
        and isinstance(response := json.loads(content).get("response"), str)
    )
    assert inner == {"python_literal_for_json": 19, "invalid_json_in_string": 4}


@pytest.mark.parametrize(
    ("name", "number"), [("cve_cpe", 68), ("emailrep", 34), ("virustotal", 133), ("toolllm", 18)]
)
def test_calls_of_nexusraven(agent: Path, name: str, number: int) -> None:
    path = agent / "nexusraven" / "raven" / "data" / "resources" / f"{name}_queries.json"
    texts = [record.get("reference") or record["Output"] for record in records(path)]
    assert sum(len(parse_calls(text)) for text in texts) == number


def test_calls_of_openfunctions(agent: Path) -> None:
    path = agent / "openfunctions" / "openfunctions-v1" / "gorilla_openfunctions_v1_test.json"
    refused = []
    for record in records(path):
        try:
            assert len(parse_calls(record["model_answer"])) == 1
        except Unreadable:
            refused.append(record["model_answer"])
    assert refused == ['target.order(loc=Berkeley,item=["potato", "chocolate"], quantity=[6,8])']


def declared(agent: Path) -> Iterator[Tool]:
    """Yield the tools of several datasets, each understood in its own way."""
    for path in sorted((agent / "bfcl_v3" / "data").glob("*.json")):
        for record in records(path):
            for each in record.get("function", ()):
                parameters = json_schema(each["parameters"], each.get("required"))
                yield Tool(
                    name=each["name"], description=each["description"], parameters=parameters
                )
    for path in sorted((agent / "openfunctions" / "bfcl_v1_2024-02").glob("*.json")):
        for record in records(path):
            functions = record["function"]
            for each in functions if isinstance(functions, list) else [functions]:
                parameters = json_schema(each["parameters"], each.get("required"))
                yield Tool(
                    name=each["name"], description=each["description"], parameters=parameters
                )
    for path in sorted((agent / "hammer_eval").rglob("*.json")):
        for record in records(path):
            for each in record["tools"]:
                parameters = python_parameters(each["parameters"], each.get("required"))
                yield Tool(
                    name=each["name"], description=each["description"], parameters=parameters
                )
    for path in sorted((agent / "toolbench" / "data_example" / "instruction").glob("G*.json")):
        for record in records(path):
            for each in record["api_list"]:
                parameters = rapidapi_parameters(
                    each["required_parameters"], each["optional_parameters"]
                )
                yield Tool(
                    name=each["api_name"],
                    description=each["api_description"],
                    parameters=parameters,
                )


def test_every_tool_has_a_valid_schema_and_every_text_holds_its_words(agent: Path) -> None:
    number = 0
    for tool in declared(agent):
        validator_of(tool.parameters)
        text, _ = text_of(f"{tool.name}#{number}", "tool_documentation", [tool], ())
        number += 1
        properties = tool.parameters["properties"]
        for word in (tool.name, *properties):
            assert word in text or json.dumps(word, ensure_ascii=False)[1:-1] in text
    assert number > 8_000


def test_every_template_gives_back_the_calls_of_hammer(agent: Path) -> None:
    fitting: Counter[str] = Counter()
    for path in sorted((agent / "hammer_eval").rglob("*.json")):
        for record in records(path):
            tools = [
                Tool(
                    name=each["name"],
                    description=each["description"],
                    parameters=python_parameters(each["parameters"], each.get("required")),
                )
                for each in record["tools"]
            ]
            calls = [
                (each.get("name") or each["tool"], each.get("arguments", each.get("parameters")))
                for each in record["answers"]
            ]
            made = tuple(ToolCall(id="x", name=name, arguments=given) for name, given in calls)
            turn = Message(role="assistant", content="", tool_calls=made)
            for name, template in TEMPLATES.items():
                try:
                    _, text = template.render(tools, [turn], len(made))
                except Unfit:
                    continue
                fitting[name] += 1
                assert json_text(parse(text, name)) == json_text(calls)
    assert min(fitting[name] for name in ("json", "bare_json", "tags", "markdown", "react")) == 244
    assert fitting["python"] > 200
