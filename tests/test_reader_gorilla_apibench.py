"""APIBench: three layouts of instructions, API cards whose types vary, evaluation files."""

from pathlib import Path
from typing import Any

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import outcome_of, own_meta, record_of, rejected, turns

from preprocess.readers import READERS

READER = READERS["gorilla_apibench"]
CARD = {
    "domain": "Image Classification",
    "framework": "PyTorch",
    "functionality": "N/A",
    "api_name": "tiny_net",
    "api_call": "hub.load('tiny', pretrained=True)",
    "api_arguments": {"pretrained": "True"},
    "python_environment_requirements": ["torch", "numpy"],
    "example_code": ["import torch", "net = hub.load('tiny')"],
    "performance": {"dataset": "N/A", "accuracy": "N/A"},
    "description": "A small network.",
}


def native(code: str) -> dict[str, Any]:
    return {"code": code, "api_call": CARD["api_call"], "provider": "PyTorch", "api_data": CARD}


@pytest.mark.parametrize(
    ("code", "asked", "answer"),
    [
        (
            "###Instruction: Sort my photos.\n\n###Output: <<<domain>>>: Vision\n<<<code>>>: x\n",
            "Sort my photos.",
            "<<<domain>>>: Vision\n<<<code>>>: x",
        ),
        (
            "###Instruction: Translate.\n###Input: Bonjour\n###Output: <<<domain>>>: a, <<<x>>>: b",
            "Translate.\n###Input: Bonjour",
            "<<<domain>>>: a, <<<x>>>: b",
        ),
        (
            "### Instruction: Sort.\n### Output: {'domain': 'V', 'code': 'load('a')'}\n ",
            "Sort.",
            "{'domain': 'V', 'code': 'load('a')'}",
        ),
        (
            "{'Instruction': Sort my \"photos\"., 'Output': {'code': 'a\nb('c')'}}",
            'Sort my "photos".',
            "{'code': 'a\nb('c')'}",
        ),
        ("{'Instruction': \"Sort.\", 'Output': {'code': 'a'}}", "Sort.", "{'code': 'a'}"),
    ],
)
def test_instruction_and_answer_of_each_layout(
    tmp_path: Path, code: str, asked: str, answer: str
) -> None:
    instruction, documentation = outcome_of(READER, tmp_path, native(code)).records
    assert (instruction.kind, instruction.text) == ("function_call", code)
    assert turns(instruction) == [("user", asked), ("assistant", answer)]
    assert instruction.meta == {"api_call": CARD["api_call"], "provider": "PyTorch"}
    assert documentation.id == "gorilla_apibench/a.json:documentation#0"
    assert documentation.meta == {"api_data": CARD}


@pytest.mark.parametrize(
    "code",
    [
        "<<<domain>>>: Vision\n<<<api_call>>>: load()",
        "###Instruction: a\n###Output: b\n###Input: c\n###Output: d",
        "{'Instruction': a, 'Output': b 'Output': c}",
    ],
)
def test_parts_that_are_not_certain_are_no_messages(tmp_path: Path, code: str) -> None:
    instruction, _ = outcome_of(READER, tmp_path, native(code)).records
    assert (instruction.text, instruction.messages) == (code, ())


def test_a_card_is_a_page_and_a_tool(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, CARD)
    assert record.kind == "tool_documentation"
    assert record.text == (
        "# tiny_net\n\nA small network.\n\n## Domain\n\nImage Classification\n\n"
        "## Framework\n\nPyTorch\n\n"
        "## Call\n\n```python\nhub.load('tiny', pretrained=True)\n```\n\n"
        "## Arguments\n\n- pretrained: True\n\n## Requirements\n\n- torch\n- numpy\n\n"
        "## Example\n\n```python\nimport torch\nnet = hub.load('tiny')\n```"
    )
    (tool,) = record.tools
    assert (tool.name, tool.description) == ("tiny_net", "A small network.")
    assert tool.parameters == {"type": "object", "properties": {"pretrained": {}}}
    assert own_meta(record) == CARD


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("api_arguments", ["repo", "model"], "## Arguments\n\n- repo\n- model"),
        ("api_arguments", "pretrained", "## Arguments\n\npretrained"),
        ("api_arguments", None, None),
        ("api_arguments", [], None),
        ("python_environment_requirements", {"a": ">=2"}, "## Requirements\n\n- a: >=2"),
        ("example_code", "x = `1`", "## Example\n\n```python\nx = `1`\n```"),
        ("example_code", "a\n```\nb", "## Example\n\n````python\na\n```\nb\n````"),
        ("example_code", {"run": "x"}, "## Example\n\n- run: x"),
        ("performance", [{"top1": 7.5}], '## Performance\n\n[{"top1":7.5}]'),
    ],
)
def test_fields_of_every_type_are_shown(
    tmp_path: Path, field: str, value: Any, shown: str | None
) -> None:
    record = record_of(READER, tmp_path, {**CARD, field: value})
    assert record.meta[field] == value
    if shown is None:
        assert "## Arguments" not in record.text
    else:
        assert shown in record.text


@pytest.mark.parametrize("arguments", ["N/A", None, ["a name with blanks"]])
def test_arguments_without_names_leave_the_schema_open(tmp_path: Path, arguments: Any) -> None:
    (tool,) = record_of(READER, tmp_path, {**CARD, "api_arguments": arguments}).tools
    assert tool.parameters == {"type": "object"}


def test_files_of_the_evaluation_are_turns(tmp_path: Path) -> None:
    question = {"question_id": 1, "text": " Which?\\n Use this: [...]", "category": "generic"}
    record = record_of(READER, tmp_path, question)
    assert turns(record) == [("user", question["text"])]
    assert own_meta(record) == {"question_id": 1, "category": "generic"}
    answer = {"question_id": 1, "text": "{'a': 1}", "answer_id": "x", "model_id": "m"}
    assert turns(record_of(READER, tmp_path, answer)) == [("assistant", "{'a': 1}")]


def test_what_is_empty_is_rejected(tmp_path: Path) -> None:
    assert rejected(READER, tmp_path, native("  ")) == "empty_text"
    assert rejected(READER, tmp_path, {"question_id": 1, "text": ""}) == "empty_text"
    assert rejected(READER, tmp_path, {"a": 1}) == "unknown_layout"


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/gorilla_apibench"
    outcomes = read_all(READER, root, root)
    assert counts(outcomes) == {"native": 1488, "out": 2144}
    # One instruction has two outputs; nothing else is uncertain.
    whole = [r for o in outcomes for r in o.records if r.kind == "function_call"]
    assert [len(record.messages) for record in whole].count(0) == 1
    assert lost_leaves(READER, root, root) == (6810, [])
