"""Text of records: every template holds the same calls, and loses nothing."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.records import Message, Tool, ToolCall
from preprocess.render import (
    PROPORTIONS,
    TEMPLATES,
    fingerprint,
    parse,
    spans_of,
    text_of,
)
from preprocess.render.conversation import LAYOUTS
from preprocess.render.schema_parts import parts_of
from preprocess.render.spans import Unfit
from preprocess.render.specimens import MESSAGES, TOOLS
from preprocess.render.values import DEEPEST_LITERAL, json_text

CONVERSATIONS = ["json", *LAYOUTS]
Calls = list[tuple[str, dict[str, Any]]]


def calls_of(messages: list[Message] | tuple[Message, ...]) -> Calls:
    return [(call.name, call.arguments) for message in messages for call in message.tool_calls]


def joined(template: str, tools: Any, messages: Any) -> str:
    return TEMPLATES[template].render(tools, messages, len(calls_of(messages)))[1]


# Marks of every template, and what might be taken for them.
NASTY = [
    "\n<tool_call>\n",
    '<tool_call>\n{"name": "x", "arguments": {}}\n</tool_call>',
    "</tool_call>",
    '\n{"name": "x", "arguments": {}}',
    '\n<function name="f">\n</function>',
    '"></parameter>',
    "</parameter>\n</function>",
    '{"name": ',
    "\n>>> f(a=1)",
    ">>> ",
    "\nAction: f\nAction Input: {}",
    "\nAction: f",
    "\n**Call** `f`\n\n```json\n{}\n```",
    "```",
    '"""',
    "\\",
    "\\n",
    "\n",
    "\r\n",
    "\u2028",
    "\x00",
    "\x85",
    "\"'",
    "|",
    "<br>&amp;",
    "🙂👩‍👩‍👧",
    "é",
    "{}",
    "{",
    "None",
    "# ",
]
words = st.lists(st.sampled_from(NASTY) | st.text(max_size=4), max_size=4).map("".join)
plain = st.sampled_from(["f", "get.city", "class", "ﬁ", "two words", "a-b", "__debug__", "x1"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | plain, inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(plain | words, values, max_size=3)
calls = st.builds(
    ToolCall,
    id=st.sampled_from(["call_0", "call_1", "", "a b"]) | words,
    name=plain | words,
    arguments=arguments,
)
messages = st.lists(
    st.builds(Message, role=st.sampled_from(["system", "user"]), content=words)
    | st.builds(
        Message,
        role=st.just("assistant"),
        content=words,
        tool_calls=st.lists(calls, max_size=3).map(tuple),
    )
    | st.builds(
        Message,
        role=st.just("tool"),
        content=words,
        tool_call_id=st.none() | st.sampled_from(["call_0", "call_1", "a b"]) | words,
    ),
    min_size=1,
    max_size=5,
)
schemas = st.dictionaries(
    plain | words,
    st.dictionaries(
        st.sampled_from(["type", "description", "default", "enum", "items"]), values, max_size=4
    )
    | st.booleans(),
    max_size=3,
).map(lambda properties: {"type": "object", "properties": properties, "required": ["f"]})
tools = st.lists(
    st.builds(
        Tool, name=plain | words, description=words, parameters=schemas | st.just({}) | arguments
    ),
    max_size=2,
)


@settings(deadline=None, max_examples=300)
@given(tools, messages)
def test_every_template_gives_back_the_calls_or_declines(
    tools: list[Tool], messages: list[Message]
) -> None:
    for name in CONVERSATIONS:
        try:
            text = joined(name, tools, messages)
        except Unfit:
            assert name != "json"
            continue
        assert json_text(parse(text, name)) == json_text(calls_of(messages)), name


@settings(deadline=None)
@given(st.text(max_size=8), st.sampled_from([*PROPORTIONS, "web"]), tools, messages)
def test_the_text_of_any_record_gives_back_its_calls(
    identifier: str, kind: str, tools: list[Tool], messages: list[Message]
) -> None:
    text, template = text_of(identifier, kind, tools, messages)
    assert json_text(parse(text, template)) == json_text(calls_of(messages))
    spans, again = spans_of(identifier, kind, tools, messages)
    assert ("".join(part for _, part in spans), again) == (text, template)


@pytest.mark.parametrize("name", LAYOUTS)
def test_ordinary_conversations_fit_every_template(name: str) -> None:
    text = joined(name, TOOLS, MESSAGES)
    assert parse(text, name) == calls_of(MESSAGES)
    for message in MESSAGES:
        assert message.content in text
    for tool in TOOLS:
        assert tool.name in text
        for parameter in tool.parameters.get("properties", ()):
            assert parameter in text
    assert "x-1" in text  # an id that nobody could guess
    assert "call_0" not in text  # one that is counted


@pytest.mark.parametrize(("name", "layout"), LAYOUTS.items())
def test_a_mark_in_the_data_leads_to_another_template(name: str, layout: Any) -> None:
    forged = Message(role="user", content=f"a{layout.calls.mark}b")
    with pytest.raises(Unfit):
        joined(name, (), [forged, *MESSAGES])
    found, template = text_of("a/b#0", "trajectory", (), [forged, *MESSAGES])
    assert template != name
    assert parse(found, template) == calls_of(MESSAGES)


def test_what_python_cannot_spell_is_not_spelled_in_python() -> None:
    deep: Any = 1
    for _ in range(DEEPEST_LITERAL + 1):
        deep = [deep]
    for name, value in (("two words", 1), ("class", 1), ("ﬁ", 1), ("f", deep), ("f", "x" * 2**21)):
        call = ToolCall(id="call_0", name=name, arguments={"a": value})
        turn = Message(role="assistant", content="", tool_calls=(call,))
        with pytest.raises(Unfit):
            joined("python", (), [turn])


def test_json_is_spaced_and_neither_escaped_nor_sorted() -> None:
    value = msgspec.json.decode(b'{"b": "\\u00e9<\\u2028>&/", "a": [1.10, 1e5], "c": {}}')
    assert json_text(value) == '{"b": "é<\u2028>&/", "a": [1.1, 100000.0], "c": {}}'


def test_proportions_are_those_stated() -> None:
    made = Counter(text_of(f"a/b#{n}", "trajectory", TOOLS, MESSAGES)[1] for n in range(4_000))
    for name, percent in PROPORTIONS["trajectory"].items():
        assert abs(made[name] / 40 - percent) < 3, name
    silent = Counter(text_of(f"a/b#{n}", "trajectory", (), MESSAGES[:2])[1] for n in range(4_000))
    assert set(silent) == set(PROPORTIONS["conversation"])


@pytest.mark.parametrize("kind", PROPORTIONS)
def test_proportions_sum_to_a_hundred_and_name_templates(kind: str) -> None:
    assert sum(PROPORTIONS[kind].values()) == 100
    assert set(PROPORTIONS[kind]) <= set(TEMPLATES)


def test_the_documentation_states_the_proportions() -> None:
    page = (Path(__file__).parents[1] / "docs" / "rendering.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", page, flags=re.MULTILINE)
    stated = {kind: dict(re.findall(r"`(\w+)` (\d+)", cell)) for kind, cell in rows}
    shown = {kind: {name: str(n) for name, n in each.items()} for kind, each in PROPORTIONS.items()}
    assert {kind: stated[kind] for kind in shown} == shown


@pytest.mark.parametrize("template", ["doc_python", "doc_markdown", "doc_json", "doc_json_lines"])
def test_documentation_loses_nothing_of_a_tool(template: str) -> None:
    text = joined(template, TOOLS, ())
    squeezed = " ".join(text.replace("\\n", "\n").split())
    for word in ("weather.forecast", "Forecast of a city. In words.", "How many.", "Ä <é>"):
        assert word in squeezed
    for word in ("minLength", "x-type", "date", "additionalProperties", "null", "Nothing."):
        assert word in squeezed


@pytest.mark.parametrize("required", [[{"a": 1}], [["a"]], [1], {"a": 1}, "a", None])
def test_a_list_of_required_names_may_hold_anything(required: Any) -> None:
    schema = {"type": "object", "properties": {"a": {}}, "required": required}
    assert parts_of(schema) == (
        [("a", "a" in (required or ()) and isinstance(required, list), None, "", {})],
        {} if required is None else {"required": required},
    )


def test_signatures_are_python() -> None:
    tools = [Tool(name="f", description=TOOLS[0].description, parameters=TOOLS[0].parameters)]
    text = joined("doc_python", [*tools, *TOOLS[1:]], ())
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == ["f", "noop", "bare"]
    assert str(ast.get_docstring(functions[0])).startswith(
        "Forecast of a city.\nIn words.\n\nArgs:"
    )
    assert [argument.arg for argument in functions[0].args.kwonlyargs] == [
        "city",
        "days",
        "units",
        "at",
        "exact",
    ]


@pytest.mark.parametrize("description", ['ends """ it', "a \\ b", 'quoted "'])
def test_a_description_that_breaks_a_docstring_is_documented_otherwise(description: str) -> None:
    tool = Tool(name="f", description=description, parameters={})
    made = {text_of(f"a/b#{n}", "tool_documentation", [tool], ())[1] for n in range(200)}
    assert made == {"doc_markdown", "doc_json", "doc_json_lines"}


def test_a_table_cell_that_breaks_the_table_makes_a_list() -> None:
    def page(description: str) -> str:
        parameters = {"properties": {"a": {"type": "string", "description": description}}}
        return joined("doc_markdown", [Tool(name="f", description="", parameters=parameters)], ())

    assert "| `a` | string | no | Plain. |" in page("Plain.")
    assert "- `a` (string, optional): one | two" in page("one | two")
    assert "- `a` (string, optional): one\n  two" in page("one\ntwo")


def test_code_stands_with_its_task() -> None:
    pair = [Message(role="user", content="Add."), Message(role="assistant", content="a + b\n")]
    made = {text_of(f"a/b#{n}", "code", (), pair) for n in range(200)}
    assert made == {
        ("### Task\n\nAdd.\n\n### Solution\n\na + b\n", "code_headings"),
        ("Add.\n\n```\na + b\n\n```", "code_fenced"),
        ("Q: Add.\n\nA:\na + b\n", "code_question"),
    }
    fenced = [*pair, Message(role="assistant", content="```\nx\n```")]
    made_of_fenced = {text_of(f"a/b#{n}", "code", (), fenced)[1] for n in range(200)}
    assert made_of_fenced == {"code_headings", "code_question"}
    with_calls = {text_of(f"a/b#{n}", "code", TOOLS, MESSAGES)[1] for n in range(200)}
    assert with_calls == {"bare_json"}


@pytest.mark.parametrize("template", CONVERSATIONS)
def test_spans_have_the_roles_of_what_they_hold(template: str) -> None:
    spans, _ = TEMPLATES[template].render(TOOLS, MESSAGES, 3)
    assert [role for role, _ in groupby(spans, key=lambda span: span[0])] == [
        "tool_doc",
        "system",
        "user",
        "thought",
        "call",
        "observation",
        "thought",
        "call",
        "observation",
        "answer",
    ]
    calls = "".join(text for role, text in spans if role == "call")
    assert calls.count("weather.forecast") == 1
    assert "I look." not in calls
    assert "sunny" not in calls


@pytest.mark.parametrize("required", [[{"a": 1}], [["a"]], [None, "a"], [1], {"a": 1}, "a", True])
def test_required_names_that_are_none_are_shown(required: Any) -> None:
    parameters = {"type": "object", "properties": {"a": {"type": "string"}}, "required": required}
    tools = (Tool(name="f", description="d", parameters=parameters),)
    for name, template in TEMPLATES.items():
        if not name.startswith("code"):
            text = template.render(tools, (), 0)[1]
            assert json_text(required) in " ".join(text.split()).replace("[ ", "[") or name == (
                "doc_json"
            )


def test_nothing_to_render_is_an_error() -> None:
    with pytest.raises(ValueError, match="record 'a/b#0': neither tools nor messages"):
        text_of("a/b#0", "trajectory", (), ())


def test_no_template_of_that_name() -> None:
    with pytest.raises(KeyError, match="nope"):
        parse("", "nope")


def test_texts_depend_neither_on_hash_seed_nor_on_locale_or_clock() -> None:
    program = (
        "from preprocess.render import *; from preprocess.render.specimens import *;"
        "print(fingerprint(), ascii([text_of(f'a/b#{n}', 'trajectory', TOOLS, MESSAGES)"
        " for n in range(30)]))"
    )
    printed = set()
    for changed in (
        {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC"},
        {"PYTHONHASHSEED": "2", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Tokyo"},
    ):
        environment = {**os.environ, **changed}
        command = [sys.executable, "-c", program]
        printed.add(subprocess.check_output(command, env=environment, text=True))
    assert len(printed) == 1
    assert printed.pop().startswith(fingerprint())


def test_the_fingerprint_is_known() -> None:
    # Changed templates or proportions are new text for every user: CHANGELOG.md says so.
    assert fingerprint() == "3a80d311ebecb53a"
